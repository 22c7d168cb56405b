"""From boot agent to workspace agent: the same process, with nothing of the boot left in its memory or environment."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ..probe import probe_path
from .metadata import Orders
from .registration import Registration

_AGENT = Path(__file__).with_name("agent.py")
_BACKLOG = 128


def listen(port: int) -> socket.socket:
    """Bound before the machine is registered: whoever asks from then on waits in the queue and is answered."""
    return socket.create_server(("", port), backlog=_BACKLOG)


def become_agent(
    listener: socket.socket, lock: int, orders: Orders, registration: Registration, card: Mapping[str, Any]
) -> NoReturn:
    """The agent gets its orders through a descriptor, and keeps the volume's lock until it ends. Raises OSError."""
    standing_orders = {
        "card": card,
        "probe_path": probe_path(orders.workspace, orders.sequence),
        "heartbeat_url": f"{orders.provisioner}/registry/heartbeat",
        "heartbeat_seconds": registration.heartbeat_seconds,
        "heartbeat": {"workspace": orders.workspace, "boot_sequence": orders.sequence},
        "auth_token": registration.auth_token,
    }
    message = os.memfd_create("orders", os.MFD_CLOEXEC)
    os.write(message, json.dumps(standing_orders).encode())
    os.lseek(message, 0, os.SEEK_SET)
    for descriptor in (listener.fileno(), message, lock):
        os.set_inheritable(descriptor, True)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    arguments = [sys.executable, "-I", "-S", str(_AGENT), str(listener.fileno()), str(message)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, arguments, environment)  # noqa: S606 - no shell is wanted
