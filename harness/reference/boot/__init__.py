"""The boot agent: brings the recorded template's assets onto the volume, then starts the workspace's agent."""
