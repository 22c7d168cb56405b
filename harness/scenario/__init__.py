"""What a scenario is written in: tenants, repositories and workspaces of a disposable cloud."""
