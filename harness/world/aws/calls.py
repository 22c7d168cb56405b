"""Every call that reached the AWS endpoint, in the order of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from threading import Condition
from typing import Any

from .principals import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """One request and, once answered, what became of it. Its repr shows no content, which may be secret."""

    at: datetime
    """When it arrived, UTC."""
    caller: Principal | None = field(repr=False)
    """None if nobody the gateway knows."""
    principal: str
    """The caller's name (see Principal), `unknown:<access key>` or `anonymous`."""
    service: str
    operation: str
    """The API operation, e.g. `CreateSecret`; `?` if the request names none."""
    region: str
    resources: tuple[str, ...]
    """ARNs of what it acts on, as far as the request tells."""
    request_bytes: int
    """Of the HTTP body."""
    parameters: Mapping[str, Any] = field(repr=False)
    """As boto3 takes them, but for the content of S3 objects; blobs are bytes, timestamps datetimes, EC2 user-data
    still base64."""
    body: bytes = field(repr=False)
    """The HTTP body, of a long upload its first 8 MiB; empty for the harness's own calls, which nobody judges."""
    head: bytes = field(default=b"", repr=False)
    """Method, path, query and headers, a line each, as they were sent; empty for the harness's own calls."""
    secret_bytes: int | None = None
    """Of the secret value that the request carries."""
    user_data_bytes: int | None = None
    """Of the user-data that the request carries, decoded."""
    status: int = 0
    """0 until answered."""
    error_code: str | None = None
    seconds: float = 0.0
    """Until answered, delays that were asked for included."""
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    """What boto3 would return; only callbacks of AwsGateway.after get it."""

    @property
    def action(self) -> str:
        """`secretsmanager:CreateSecret`: the API operation, also where IAM calls its permission otherwise."""
        return f"{self.service}:{self.operation}"

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 400 and self.error_code is None


Predicate = Callable[[Call], bool]


class CallLog:
    """Calls that were answered. Thread-safe."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._changed = Condition()

    def record(self, call: Call) -> None:
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()

    def mark(self) -> int:
        """Now, to be given as `since` to a later query."""
        with self._changed:
            return len(self._calls)

    def find(
        self,
        action: str = "*",
        *,
        principal: str = "*",
        service: str | None = None,
        where: Predicate | None = None,
        since: int = 0,
    ) -> list[Call]:
        """The calls since the mark whose action and principal match the globs, and `where`, in order."""
        with self._changed:
            calls = self._calls[since:]
        return [
            call
            for call in calls
            if fnmatchcase(call.action, action)
            and fnmatchcase(call.principal, principal)
            and (service is None or call.service == service)
            and (where is None or where(call))
        ]

    def wait(
        self,
        action: str = "*",
        *,
        principal: str = "*",
        service: str | None = None,
        where: Predicate | None = None,
        since: int = 0,
        timeout: float,
    ) -> Call:
        """The first such call, as soon as it was answered. Raises TimeoutError after `timeout` seconds."""

        def found() -> list[Call]:
            return self.find(action, principal=principal, service=service, where=where, since=since)

        with self._changed:
            calls = self._changed.wait_for(found, timeout)
        if not calls:
            raise TimeoutError(f"no call {action} by {principal} within {timeout} s")
        return calls[0]

    def __len__(self) -> int:
        return self.mark()

    def __iter__(self) -> Iterator[Call]:
        return iter(self.find())
