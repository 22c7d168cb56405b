"""Telling the provisioner what came of this boot, with proof of who says so.

The proof is a presigned STS GetCallerIdentity request: only who holds the role's credentials can sign it, and only its
query string is sent, so that the provisioner asks an STS of its own choice.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import BootError, TransientError
from .exchange import Answer, exchange
from .fetch.limits import Budget, Limits
from .fetch.retry import patiently
from .metadata import Orders
from .redact import Redactor
from .report import encode

if TYPE_CHECKING:
    from botocore.session import Session

log = logging.getLogger(__name__)

_PROOF_SECONDS = 60
_TIMEOUT = 10.0
_BOUNDS = Limits(time=120.0, retries=8)


class Dismissed(BootError):
    """This machine, or this boot of it, is not the workspace's current one: it must end (HTTP 409)."""


@dataclass(frozen=True, slots=True)
class Registration:
    auth_token: str
    heartbeat_seconds: float


def identity_proof(session: Session, region: str) -> str:
    """The query string. It works for a minute, so it is never logged and made anew for each try."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL")
    base = (endpoint or f"https://sts.{region}.amazonaws.com").rstrip("/")
    request = AWSRequest("GET", f"{base}/?Action=GetCallerIdentity&Version=2011-06-15")
    credentials = session.get_credentials()
    if credentials is None:
        raise BootError("metadata-error", "this machine has no role", "attach the tenant's instance profile")
    SigV4QueryAuth(credentials.get_frozen_credentials(), "sts", region, expires=_PROOF_SECONDS).add_auth(
        request
    )
    return urlsplit(str(request.url)).query


def register(
    session: Session,
    region: str,
    orders: Orders,
    report: bytes,
    card: Mapping[str, Any] | None,
    url: str | None,
    redact: Redactor,
) -> Registration:
    """Raises Dismissed, BootError `registration-refused`."""

    def attempt() -> Registration:
        body = {
            "workspace": orders.workspace,
            "boot_sequence": orders.sequence,
            "identity_proof": identity_proof(session, region),
            "report": json.loads(report),
            "agent_card": card,
            "agent_url": url,
        }
        try:
            answer = exchange(
                "POST",
                f"{orders.provisioner}/registry/register",
                body=encode(body),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT,
            )
        except OSError as error:
            raise TransientError(
                "registration-refused",
                f"the provisioner does not answer: {error}",
                "check that the provisioner runs, and that the machine reaches its address",
            ) from error
        return _read(answer, redact)

    return patiently(Budget(_BOUNDS), attempt)


def _read(answer: Answer, redact: Redactor) -> Registration:
    status = answer.status
    if status == HTTPStatus.OK:
        try:
            data = json.loads(answer.body)
            return Registration(str(data["auth_token"]), float(data["heartbeat_seconds"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BootError(
                "registration-refused",
                "the provisioner's answer is malformed",
                "check that the address is the provisioner's, and that its version fits this boot agent's",
            ) from error
    said = redact.upstream(answer.body.decode("utf-8", "replace"))
    message = f"the provisioner answered HTTP {status}: {said}"
    if status in (HTTPStatus.CONFLICT, HTTPStatus.GONE):
        raise Dismissed("registration-refused", message, "another machine has taken this one's place")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        asked = answer.retry_after or ""
        raise TransientError(
            "registration-refused",
            message,
            "the provisioner is out of order: see its log, and restart the workspace once it answers",
            retry_after=float(asked) if asked.isdigit() else None,
        )
    raise BootError("registration-refused", message, "check the machine's role and the provisioner's log")
