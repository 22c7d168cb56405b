"""Secrets in what was sent to AWS and to the template host, but for where they belong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from .canaries import CREDENTIAL_FIELD, Canary
from .search import Search, Sighting

if TYPE_CHECKING:
    from harness.world.aws.calls import Call
    from harness.world.template_host.record import RecordedRequest

SECRET_WRITES = frozenset({"CreateSecret", "PutSecretValue", "UpdateSecret"})
_VALUES = ("SecretString", "SecretBinary")


def in_request(search: Search, request: RecordedRequest) -> list[Sighting]:
    """In a request to the template host: anywhere but a template token in the header that is for it."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
    text = f"{request.method} {request.path}?{request.query}\n{headers!r}"
    sightings = search.sightings_again(
        text.encode("utf-8", "surrogateescape"), f"a request for {request.path}"
    )
    shown = search.sightings_again(
        (request.authorization or "").encode("utf-8", "surrogateescape"),
        f"the Authorization header of a request for {request.path}",
    )
    return sightings + [found for found in shown if found.canary.field != CREDENTIAL_FIELD]


def in_call(search: Search, call: Call) -> list[Sighting]:
    """In head or body of a call: anywhere but a tenant's own secrets in the value of its own bootstrap secret."""
    where = f"a call of {call.action}"
    sightings = search.sightings_again(call.head, f"the head of {where}")
    if call.operation in SECRET_WRITES:
        values = [as_bytes(call.parameters[name]) for name in _VALUES if name in call.parameters]
        stored = [found for value in values for found in search.sightings_again(value, where)]
        rest = {name: value for name, value in call.parameters.items() if name not in _VALUES}
        sightings += [found for found in stored if not _belongs(found.canary, call)]
        return sightings + search.sightings_again(as_bytes(rest), where)
    sightings += search.sightings_again(call.body, where)
    if b"%" in call.body and call.service != "s3":  # a form, as EC2 and IAM have it
        sightings += search.sightings_again(unquote_to_bytes(call.body), where)
    return sightings


def secret_name(call: Call) -> str:
    """Of the secret that a call is about, also where it is given by its ARN."""
    name = str(call.parameters.get("Name") or call.parameters.get("SecretId") or "")
    if name.startswith("arn:"):
        name = name.split(":secret:", 1)[-1].rsplit("-", 1)[0]
    return name


def as_bytes(value: Any) -> bytes:
    """Bytes and text as they are, anything else as JSON."""
    match value:
        case bytes():
            return value
        case str():
            return value.encode("utf-8", "surrogateescape")
        case _:
            return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogateescape")


def _belongs(canary: Canary, call: Call) -> bool:
    return secret_name(call) == f"molecule/tenant/{canary.tenant}/bootstrap"
