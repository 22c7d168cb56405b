"""The proof that the harness catches what it claims: known-bad implementations."""
