"""The template host as one thing: its repositories, its tokens, its web server, and what was asked of it."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING

from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException

from ..server import Server
from . import api, smart_http
from .misbehaviour import HangUp, Interception, Interceptions, Misbehaviour
from .record import RequestLog
from .repository import Repository
from .tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIEnvironment

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]+(?<!\.git)/(?!\.)[A-Za-z0-9._-]+(?<!\.git)")
_CHALLENGE = 'Basic realm="Gitea"'
_END_SECONDS = 5.0


class TemplateHost:
    """Serves the repositories it is told to make, until closed."""

    def __init__(
        self, root: Path, *, bind_host: str = "127.0.0.1", advertise_host: str | None = None, port: int = 0
    ) -> None:
        """Repositories live in `root`. Machines reach the host as `advertise_host` (by default, where it listens).

        Raises PortInUse.
        """
        self.requests = RequestLog()
        self._root = root.resolve()
        self._repositories: dict[str, Repository] = {}
        self._tokens = Tokens()
        self._interceptions = Interceptions()
        self._under_way: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        self._server = Server("template-host", self._serve, bind_host=bind_host, port=port)
        self.url = self._server.url(advertise_host)

    def create_repository(self, name: str, *, private: bool = True) -> Repository:
        """An empty repository `owner/name`. Raises ValueError if the name is malformed or taken."""
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no repository name: owner/name, of letters, digits, '.', '_' and '-'"
            )
        with self._lock:
            if name in self._repositories:
                raise ValueError(f"there is a repository {name} already")
            repository = Repository(self._root / f"{name}.git", name, private=private)
            self._repositories[name] = repository
            return repository

    def clone_url(self, repository: str) -> str:
        return f"{self.url}/{repository}.git"

    def issue_token(self, *scopes: str, token: str | None = None) -> str:
        """A read token for repositories (`owner/name`) and owners (`owner`), of the given value or a fresh one."""
        return self._tokens.issue(*scopes, token=token)

    def revoke(self, token: str) -> None:
        """Raises KeyError if the token is not valid."""
        self._tokens.revoke(token)

    def intercept(self, repository: str, misbehaviour: Misbehaviour) -> Interception:
        """Misbehave towards one repository, there or not, until the interception is removed."""
        return self._interceptions.add(repository, misbehaviour)

    def close(self) -> None:
        """Stop serving; answers under way are cut off, and their git processes ended."""
        self._server.close()
        with self._lock:
            under_way = dict(self._under_way)
        for connection in under_way.values():
            _shut(connection)
        for thread in under_way:
            thread.join(_END_SECONDS)

    def __enter__(self) -> TemplateHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        connection: socket.socket = environ["werkzeug.socket"]
        named = api.repository_of(request.path) or smart_http.repository_of(request.path)
        number = self.requests.received(named, request)
        with self._lock:
            self._under_way[current_thread()] = connection
        try:
            answer = self._intercepted(named, request)
        except HangUp:
            self._ended()
            _shut(connection)
            raise ConnectionAbortedError("closed without an answer, as told") from None
        except BaseException:
            self._ended()
            raise
        self.requests.answered(number, answer.status_code)
        return self._counted(number, answer, answer(environ, start_response))

    def _counted(self, number: int, answer: Response, body: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in body:
                self.requests.sent(number, len(chunk))
                yield chunk
        finally:
            answer.close()
            self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._under_way.pop(current_thread(), None)

    def _intercepted(self, named: str | None, request: Request) -> Response:
        def proceed() -> Response:
            try:
                return self._answer(named, request)
            except HTTPException as refused:  # a body cut short by the client, for one
                return Response(f"{refused.description}\n", refused.code)

        return proceed() if named is None else self._interceptions.around(named, request, proceed)

    def _answer(self, named: str | None, request: Request) -> Response:
        over_api = request.path.startswith("/api/")
        if named is None:
            return self._refused(404, "Not found", over_api)
        allowed = "GET" if over_api else smart_http.method_of(request.path)
        if request.method != allowed:
            refused = self._refused(405, "Method not allowed", over_api)
            refused.headers["Allow"] = allowed
            return refused
        repository = self._repositories.get(named)
        refused_access = self._refused_access(repository, named, request, over_api)
        if refused_access is not None:
            return refused_access
        assert repository is not None
        if over_api:
            return api.serve(repository, request, self.url)
        if smart_http.is_push(request):
            return self._refused(403, "This token may only read", over_api)
        return smart_http.serve(repository, request)

    def _refused_access(
        self, repository: Repository | None, named: str, request: Request, over_api: bool
    ) -> Response | None:
        """What keeps this request from the repository; None if it may read it.

        A wrong credential is refused for a public repository too, as Gitea does. A git client without one is asked for
        it whether the repository exists or not; the API asks only for those that do.
        """
        access = self._tokens.access(named, request.headers.get("Authorization"))
        public = repository is not None and not repository.private
        if access == "unknown-token":
            return self._refused(401, "invalid username, password or token", over_api)
        if public or (repository is not None and access == "granted"):
            return None
        if access == "anonymous" and (repository is not None or not over_api):
            return self._refused(401, "token is required", over_api)
        return self._refused(404, "The target couldn't be found.", over_api)

    def _refused(self, status: int, message: str, over_api: bool) -> Response:
        answer = (
            api.problem(status, message, self.url)
            if over_api
            else Response(f"{message}\n", status, mimetype="text/plain")
        )
        if status == 401:
            answer.headers["WWW-Authenticate"] = _CHALLENGE
        return answer


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
