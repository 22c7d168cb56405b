"""What is done to workspaces, and what must then be true of them."""
