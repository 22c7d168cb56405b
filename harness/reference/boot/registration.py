"""Telling the provisioner what came of this boot, with proof of who says so.

The proof is a presigned STS GetCallerIdentity request: only who holds the role's credentials can sign it, and only its
query string is sent, so that the provisioner asks an STS of its own choice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ..errors import BootError, TransientError
from ..fetch.limits import Budget, Limits
from ..fetch.retry import patiently
from ..json_text import parse_json
from ..redact import Redactor
from .exchange import Answer, exchange
from .metadata import Orders
from .report import encode
from .role import Role

log = logging.getLogger(__name__)

_TIMEOUT = 10.0
_BOUNDS = Limits(time=120.0, retries=8)


class Dismissed(BootError):
    """This machine, or this boot of it, is not the workspace's current one: it must end (HTTP 409)."""


class Unproven(BootError):
    """The provisioner does not accept the proof of who this machine is (HTTP 401)."""


@dataclass(frozen=True, slots=True)
class Registration:
    auth_token: str
    heartbeat_seconds: float


def register(
    role: Role,
    orders: Orders,
    report: bytes,
    card: Mapping[str, Any] | None,
    url: str | None,
    redact: Redactor,
) -> Registration:
    """Raises Dismissed, Unproven, BootError `registration-refused`."""
    body = {"report": json.loads(report), "agent_card": card, "agent_url": url}
    data = ask(role, orders, "register", body, redact, code="registration-refused")
    try:
        return Registration(str(data["auth_token"]), float(data["heartbeat_seconds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise malformed("registration-refused") from error


def ask(
    role: Role,
    orders: Orders,
    what: str,
    body: Mapping[str, Any],
    redact: Redactor,
    *,
    code: str,
) -> Mapping[str, Any]:
    """The answer of `/registry/{what}` to this machine. Raises Dismissed, and BootError `code`."""

    def attempt() -> Mapping[str, Any]:
        proven = {
            "workspace": orders.workspace,
            "boot_sequence": orders.sequence,
            "identity_proof": role.proof(),
        }
        try:
            answer = exchange(
                "POST",
                f"{orders.provisioner}/registry/{what}",
                body=encode(proven | dict(body)),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT,
            )
        except OSError as error:
            raise TransientError(
                code,
                f"the provisioner does not answer: {error}",
                "check that the provisioner runs, and that the machine reaches its address",
            ) from error
        return _read(answer, redact, code)

    return patiently(Budget(_BOUNDS), attempt)


def malformed(code: str) -> BootError:
    return BootError(
        code,
        "the provisioner's answer is malformed",
        "check that the address is the provisioner's, and that its version fits this boot agent's",
    )


def _read(answer: Answer, redact: Redactor, code: str) -> Mapping[str, Any]:
    status = answer.status
    if status == HTTPStatus.OK:
        try:
            data = parse_json(answer.body)
        except ValueError as error:
            raise malformed(code) from error
        if not isinstance(data, dict):
            raise malformed(code)
        return data
    said = redact.upstream(answer.body.decode("utf-8", "replace"))
    message = f"the provisioner answered HTTP {status}: {said}"
    if status in (HTTPStatus.CONFLICT, HTTPStatus.GONE):
        raise Dismissed(code, message, "another machine has taken this one's place")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        asked = answer.retry_after or ""
        raise TransientError(
            code,
            message,
            "the provisioner is out of order: see its log, and restart the workspace once it answers",
            retry_after=float(asked) if asked.isdigit() else None,
        )
    kind = Unproven if status == HTTPStatus.UNAUTHORIZED else BootError
    raise kind(code, message, "check the machine's role and the provisioner's log")
