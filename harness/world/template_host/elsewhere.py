"""A host that is not the template host, to see what a client brings that is sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug import Request, Response

from ..server import Server
from .record import RecordedRequest, RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIEnvironment


class OtherHost:
    """Asks everybody for a credential, and records what they bring, until closed."""

    def __init__(self, *, bind_host: str = "127.0.0.1", advertise_host: str | None = None) -> None:
        self._log = RequestLog()
        self._server = Server("other-host", self._serve, bind_host=bind_host)
        self.url = self._server.url(advertise_host)

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        return self._log.all()

    def close(self) -> None:
        self._server.close()

    def __enter__(self) -> OtherHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        number = self._log.received(None, Request(environ))
        answer = Response("who are you?\n", 401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
        self._log.answered(number, answer.status_code)
        return answer(environ, start_response)
