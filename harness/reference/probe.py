"""How a provisioner asks whether a workspace's machine is alive, and what that machine alone answers."""

from __future__ import annotations


def probe_path(workspace: str, boot_sequence: int) -> str:
    """The path, at the agent's address, of the health of this boot of this workspace (HEAL-7).

    An address is given to another machine once its own is gone, and that one must not answer for it.
    """
    return f"/healthz/{workspace}/{boot_sequence}"
