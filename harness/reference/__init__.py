"""The reference implementation: a provisioner and a boot agent. It knows nothing of the harness."""
