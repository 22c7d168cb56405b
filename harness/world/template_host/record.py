"""What was asked of the template host, in the order it came, for scenarios and the oracle to read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from werkzeug import Request


@dataclass(frozen=True)
class RecordedRequest:
    """One request, as it stood when the log was read."""

    repository: str | None
    """`owner/name` as the path names it, whether there is such a repository or not."""
    method: str
    path: str
    query: str
    headers: Headers = field(repr=False)
    """As sent, credentials included; hence not shown."""
    received_at: datetime
    status: int | None = None
    """None while there is no answer, and for ever where the connection was closed without one."""
    bytes_sent: int = 0
    """Of the answer's body, so far."""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


class RequestLog:
    """Every request since the host was started; safe to read while it serves.

    A request is here before its answer's first byte is sent, and a byte is counted before it is sent: who has an
    answer finds it in the log.
    """

    def __init__(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._lock = Lock()

    def mark(self) -> int:
        """A place in the log, to ask later what came since."""
        with self._lock:
            return len(self._requests)

    def all(self, *, since: int = 0) -> tuple[RecordedRequest, ...]:
        """Every request, or every one since a mark."""
        with self._lock:
            return tuple(self._requests[since:])

    def of(self, repository: str, *, since: int = 0) -> tuple[RecordedRequest, ...]:
        """The requests that named this repository."""
        return tuple(each for each in self.all(since=since) if each.repository == repository)

    def received(self, repository: str | None, request: Request) -> int:
        """Enter a request; the number that comes back names it to the other methods."""
        entered = RecordedRequest(
            repository=repository,
            method=request.method,
            path=request.path,
            query=request.query_string.decode("latin-1"),
            headers=Headers(list(request.headers)),
            received_at=datetime.now(UTC),
        )
        with self._lock:
            self._requests.append(entered)
            return len(self._requests) - 1

    def answered(self, number: int, status: int) -> None:
        with self._lock:
            self._requests[number] = replace(self._requests[number], status=status)

    def sent(self, number: int, size: int) -> None:
        with self._lock:
            request = self._requests[number]
            self._requests[number] = replace(request, bytes_sent=request.bytes_sent + size)
