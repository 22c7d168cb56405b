"""One threaded HTTP/1.1 server for every part of the world that machines talk to."""

from __future__ import annotations

import logging
from os import strerror
from socket import create_server
from threading import Thread
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import WSGIApplication

log = logging.getLogger(__name__)


class PortInUse(Exception):
    """The address asked for is taken by somebody else."""


class _QuietHandler(WSGIRequestHandler):
    """Requests are recorded by the parts themselves; the server only speaks of its own faults."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 - the parent's
        log.debug(message, *args)


class Server:
    """Serves a WSGI application from a thread, one thread a connection, until closed."""

    def __init__(
        self, name: str, app: WSGIApplication, *, bind_host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Port 0 takes a free one. Raises PortInUse."""
        self.name = name
        try:
            # Bound here and handed over, since werkzeug answers a taken port by printing and SystemExit.
            listener = create_server((bind_host, port), backlog=128)
        except OSError as refused:
            raise PortInUse(
                f"{name}: cannot listen on {bind_host}:{port} ({strerror(refused.errno or 0)}); "
                "choose another port, or 0 for a free one"
            ) from refused
        with listener:
            self._server = make_server(
                bind_host, 0, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
            )
        self.bind_host = bind_host
        self.port: int = self._server.port
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name=name, daemon=True
        )
        self._thread.start()

    def url(self, host: str | None = None) -> str:
        """The base URL, with no slash at its end, as seen by those who know this server as `host`."""
        return f"http://{host or self.bind_host}:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
