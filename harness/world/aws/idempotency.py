"""EC2's ClientToken: the same request sent twice takes effect once, which moto does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from .errors import AwsError

if TYPE_CHECKING:
    from .requests import AwsRequest


@dataclass(slots=True)
class _Attempt:
    parameters: Any
    busy: Lock = field(default_factory=Lock)
    answer: Response | None = None


class Idempotency:
    """Remembers the answers to requests that carry a client token. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._attempts: dict[tuple[str, str], _Attempt] = {}

    def once(self, request: AwsRequest, carry_out: Callable[[], Response]) -> Response:
        """Carry out, or answer as the first time. A failure is not remembered. Raises AwsError for another request
        with the same token."""
        token = request.parameters.get("ClientToken") if request.service == "ec2" else None
        if not token:
            return carry_out()
        with self._lock:
            key = (request.operation_name, str(token))
            attempt = self._attempts.setdefault(key, _Attempt(request.parameters))
        with attempt.busy:
            if attempt.parameters != request.parameters:
                raise AwsError(
                    "IdempotentParameterMismatch",
                    "The request uses the same client token as a previous, but non-identical request.",
                )
            if attempt.answer is None:
                answer = carry_out()
                if answer.status_code >= 300:
                    return answer
                attempt.answer = answer
            first = attempt.answer
        return Response(first.get_data(), first.status_code, first.headers)
