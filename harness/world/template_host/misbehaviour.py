"""How the template host is told to misbehave towards one repository, and how often it really did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Event, Lock
from typing import TYPE_CHECKING

from werkzeug import Request, Response

if TYPE_CHECKING:
    from types import TracebackType

Proceed = Callable[[], Response]
"""Gives the answer as it would have been: from the next misbehaviour, or from the host itself."""


class HangUp(Exception):
    """Close the connection without an answer."""


class Misbehaviour(ABC):
    """Stands before everything else the host does for a repository, authentication included.

    `misbehave` may answer instead, or take `proceed()`'s answer and change its status, its headers or its body
    (see with_body), or raise HangUp. An answer that is taken and not passed on has to be closed.
    """

    def __init__(self, *, times: int | None = None, only: Callable[[Request], bool] | None = None) -> None:
        """For the first `times` requests (None: for all) that `only` accepts (None: all)."""
        self._times = times
        self._only = only
        self._happened: list[datetime] = []
        self._lock = Lock()

    @property
    def hits(self) -> int:
        """How many requests it happened to: what proves that a fault took place, not merely was switched on."""
        return len(self.happened)

    @property
    def happened(self) -> tuple[datetime, ...]:
        """When it happened."""
        with self._lock:
            return tuple(self._happened)

    def __call__(self, request: Request, proceed: Proceed) -> Response:
        return self.misbehave(request, proceed) if self._happens_to(request) else proceed()

    @abstractmethod
    def misbehave(self, request: Request, proceed: Proceed) -> Response: ...

    def _happens_to(self, request: Request) -> bool:
        if self._only is not None and not self._only(request):
            return False
        with self._lock:
            if self._times is not None and len(self._happened) >= self._times:
                return False
            self._happened.append(datetime.now(UTC))
            return True

    def _did_not_happen(self) -> None:
        """For a misbehaviour that sees only by the answer that there is nothing to do to it."""
        with self._lock:
            self._happened.pop()


class Fail(Misbehaviour):
    """Answers with an error status, and Retry-After in seconds if asked to."""

    def __init__(
        self,
        status: int,
        *,
        times: int | None = None,
        retry_after: int | None = None,
        only: Callable[[Request], bool] | None = None,
    ) -> None:
        super().__init__(times=times, only=only)
        self._status = status
        self._retry_after = retry_after

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        answer = Response(f"the host answers {self._status}\n", self._status, mimetype="text/plain")
        if self._retry_after is not None:
            answer.headers["Retry-After"] = str(self._retry_after)
        if self._status == 401:
            answer.headers["WWW-Authenticate"] = 'Basic realm="Gitea"'
        return answer


class Hold(Misbehaviour):
    """Keeps requests waiting until released, or until a bound that no scenario should reach; then answers them."""

    def __init__(self, *, only: Callable[[Request], bool] | None = None, bound: float = 30.0) -> None:
        """`bound` in seconds."""
        super().__init__(only=only)
        self._bound = bound
        self._first = Event()
        self._released = Event()

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        self._first.set()
        self._released.wait(self._bound)
        return proceed()

    def await_first(self, timeout: float) -> None:
        """Until a request waits. Raises TimeoutError after `timeout` seconds."""
        if not self._first.wait(timeout):
            raise TimeoutError(f"no request came within {timeout} s")

    def release(self) -> None:
        self._released.set()


class Unreachable(Misbehaviour):
    """Closes the connection without an answer."""

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        raise HangUp


def with_body(answer: Response, changed: Callable[[Iterator[bytes]], Iterator[bytes]]) -> Response:
    """The answer with what `changed` makes of its body, chunk by chunk; Content-Length stays as it is.

    A body that raises ConnectionError cuts the connection at that place.
    """
    close = getattr(answer.response, "close", None)
    if close is not None:
        answer.call_on_close(close)
    answer.response = changed(iter(answer.iter_encoded()))
    return answer


class Interceptions:
    """Which misbehaviours are on, by repository; the one added last stands foremost."""

    def __init__(self) -> None:
        self._active: dict[str, tuple[Misbehaviour, ...]] = {}
        self._lock = Lock()

    def add(self, repository: str, misbehaviour: Misbehaviour) -> Interception:
        with self._lock:
            self._active[repository] = (*self._active.get(repository, ()), misbehaviour)
        return Interception(self, repository, misbehaviour)

    def remove(self, repository: str, misbehaviour: Misbehaviour) -> None:
        with self._lock:
            active = self._active.get(repository, ())
            self._active[repository] = tuple(each for each in active if each is not misbehaviour)

    def around(self, repository: str, request: Request, proceed: Proceed) -> Response:
        with self._lock:
            active = self._active.get(repository, ())
        for misbehaviour in active:
            proceed = _before(misbehaviour, request, proceed)
        return proceed()


class Interception:
    """A misbehaviour that is on, until removed or until the `with` block ends."""

    def __init__(self, interceptions: Interceptions, repository: str, misbehaviour: Misbehaviour) -> None:
        self._interceptions = interceptions
        self._repository = repository
        self._misbehaviour = misbehaviour

    @property
    def hits(self) -> int:
        return self._misbehaviour.hits

    @property
    def happened(self) -> tuple[datetime, ...]:
        return self._misbehaviour.happened

    def remove(self) -> None:
        self._interceptions.remove(self._repository, self._misbehaviour)

    def __enter__(self) -> Interception:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def _before(misbehaviour: Misbehaviour, request: Request, proceed: Proceed) -> Proceed:
    return lambda: misbehaviour(request, proceed)
