"""The workspace's agent, as far as the platform sees one: an agent card, a health check, a heartbeat.

It runs by path, on the standard library alone and with a clean environment; what it is told comes through an inherited
descriptor: `agent.py LISTENER ORDERS`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

DISMISSED = 3
"""The exit status of an agent that was told that it is not, or no longer, the workspace's."""
_DISMISSALS = (401, 404, 409, 410)
_TIMEOUT = 10.0


def _handler(orders: Mapping[str, Any]) -> type[BaseHTTPRequestHandler]:
    pages = {
        "/.well-known/agent-card.json": json.dumps(orders["card"]).encode(),
        orders["probe_path"]: b'{"status":"ok"}',
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _TIMEOUT

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            body = page if page is not None else b'{"title":"Not Found","status":404}'
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, orders: Mapping[str, Any]) -> None:
        super().__init__(listener.getsockname()[:2], _handler(orders), bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is its own affair, and no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _heartbeat(orders: Mapping[str, Any]) -> int:
    """One heartbeat; the HTTP status. Raises OSError, HTTPException."""
    address = urlsplit(orders["heartbeat_url"])
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=_TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {orders['auth_token']}", "Content-Type": "application/json"}
        connection.request("POST", address.path, json.dumps(orders["heartbeat"]), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def main(listener: int, message: int) -> int:
    """Serve until told to end: 0 after SIGTERM or SIGINT, DISMISSED when the provisioner says so."""
    ending = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ending.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with os.fdopen(message, "rb") as stream:
        orders = json.load(stream)
    server = _Server(socket.socket(fileno=listener), orders)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("agent: serving", flush=True)  # noqa: T201 - the console is all it has
    while not ending.wait(orders["heartbeat_seconds"]):
        try:
            status = _heartbeat(orders)
        except (OSError, HTTPException):
            continue  # a provisioner that restarts: the next heartbeat tells
        if status in _DISMISSALS:
            print(f"agent: dismissed by the provisioner (HTTP {status})", flush=True)  # noqa: T201
            return DISMISSED
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
