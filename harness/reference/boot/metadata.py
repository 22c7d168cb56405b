"""What this machine is told about itself: instance metadata, version 2 only."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ..artifact import Artifact
from ..errors import BootError
from ..fetch.limits import Limits
from ..identity import Identity, IdentityError
from .exchange import exchange

log = logging.getLogger(__name__)

_LINK_LOCAL = "http://169.254.169.254"
_ROLES = "latest/meta-data/iam/security-credentials"
_TOKEN_SECONDS = "300"  # noqa: S105 - how long the token lives
_TIMEOUT = 5.0
_TRIES = 4
_REASONS = ("provision", "restart", "restore", "heal", "resume")
_TRANSPORTS = ("git", "archive", "object")


@dataclass(frozen=True, slots=True)
class Orders:
    """The user-data of this boot, checked."""

    workspace: str
    tenant: str
    sequence: int
    reason: str
    identity: Identity
    transport: str
    template_host: str
    """Base URL with no slash at its end."""
    bootstrap_secret: str
    provisioner: str
    """Base URL with no slash at its end."""
    heartbeat_seconds: float
    limits: Limits
    legacy_config: bool
    """Whether the workspace may have a config of the design before this one, for which the provisioner is asked."""
    accept_loss: bool
    """Whether the caller gave his word that this boot may take in a template which lost all its skills (REC-11)."""
    published: Artifact | BootError | None
    """Of the transport `object`, and of no other: where the template is, or why the provisioner could not put it
    there."""


class Metadata:
    """An IMDSv2 client. All methods raise BootError `metadata-error`."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` may have a path, under which `latest/…` is."""
        self._endpoint = endpoint.rstrip("/")
        self._token = self._ask(
            "PUT", "latest/api/token", {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
        )

    @classmethod
    def of_this_machine(cls) -> Metadata:
        return cls(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _LINK_LOCAL)

    def orders(self) -> Orders:
        return parse_orders(self._get("latest/user-data"))

    def address(self) -> str:
        return self._get("latest/meta-data/local-ipv4").decode("ascii", "replace").strip()

    def region(self) -> str:
        return self._get("latest/meta-data/placement/region").decode("ascii", "replace").strip()

    def role_credentials(self) -> Mapping[str, str]:
        """As EC2 gives them; without the keys where it cannot assume the role."""
        name = self._get(f"{_ROLES}/").decode("ascii", "replace").strip()
        try:
            credentials: Mapping[str, str] = json.loads(self._get(f"{_ROLES}/{name}"))
        except ValueError:
            raise BootError(
                "metadata-error",
                f"instance metadata does not give the credentials of the role {name}: not JSON",
                "restart the workspace; if it stays, replace its machine",
            ) from None
        return credentials

    def _get(self, path: str) -> bytes:
        return self._ask("GET", path, {"x-aws-ec2-metadata-token": self._token.decode("latin-1")})

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        doubt = ""
        for _ in range(_TRIES):
            try:
                answer = exchange(method, f"{self._endpoint}/{path}", headers=headers, timeout=_TIMEOUT)
            except OSError as error:
                doubt = str(error)
                continue
            if answer.status == HTTPStatus.OK:
                return answer.body
            doubt = f"HTTP {answer.status}"
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                break
        raise BootError(
            "metadata-error",
            f"instance metadata does not give {path}: {doubt}",
            "check that the instance has metadata (version 2) switched on, and an instance profile",
        )


def parse_orders(text: bytes) -> Orders:
    """Read user-data (JSON, schema 1). Raises BootError `metadata-error`, or `identity-malformed`."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _malformed("it is not JSON") from error
    if not isinstance(data, dict) or data.get("schema") != 1:
        raise _malformed("its schema is not 1")
    boot = _member(data, "boot", dict)
    template = _member(data, "template", dict)
    transport = _member(data, "transport", str)
    if transport not in _TRANSPORTS:
        raise _malformed(f"transport is none of {', '.join(_TRANSPORTS)}")
    reason = _member(boot, "reason", str)
    if reason not in _REASONS:
        raise _malformed(f"boot.reason is none of {', '.join(_REASONS)}")
    heartbeat = data.get("heartbeat_seconds")
    if isinstance(heartbeat, bool) or not isinstance(heartbeat, int | float) or heartbeat <= 0:
        raise _malformed("heartbeat_seconds is not a positive number")
    try:
        identity = Identity.parse(_member(template, "identity", str))
    except IdentityError as error:
        raise BootError(
            "identity-malformed", str(error), "give the workspace a template it can name"
        ) from error
    try:
        limits = Limits.with_overrides(data.get("fetch_limits") or {})
    except ValueError as error:
        raise _malformed(str(error)) from error
    return Orders(
        workspace=_member(data, "workspace", str),
        tenant=_member(data, "tenant", str),
        sequence=_member(boot, "sequence", int),
        reason=reason,
        identity=identity,
        transport=transport,
        template_host=_url(data, "template_host"),
        bootstrap_secret=_member(data, "bootstrap_secret", str),
        provisioner=_url(data, "provisioner"),
        heartbeat_seconds=float(heartbeat),
        limits=limits,
        legacy_config=_flag(data, "legacy_config"),
        accept_loss=_flag(data, "accept_loss"),
        published=_published(_member(data, "object", dict)) if transport == "object" else None,
    )


def _published(data: Mapping[str, Any]) -> Artifact | BootError:
    if "error" in data:
        error = _member(data, "error", dict)
        return BootError(*(_member(error, name, str) for name in ("code", "message", "hint")))
    try:
        return Artifact.from_json(data)
    except ValueError as error:
        raise _malformed(f"object: {error}") from error


def _malformed(rule: str) -> BootError:
    return BootError(
        "metadata-error", f"the user-data is malformed: {rule}", "the provisioner writes it: see its version"
    )


def _member(data: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = data.get(name)
    if not isinstance(value, kind) or isinstance(value, bool) or value in ("", {}):
        raise _malformed(f"{name} is missing or not a {kind.__name__}")
    return value


def _flag(data: Mapping[str, Any], name: str) -> bool:
    return data.get(name) is True


def _url(data: Mapping[str, Any], name: str) -> str:
    value: str = _member(data, name, str)
    if not value.startswith(("http://", "https://")):
        raise _malformed(f"{name} is not an http or https URL")
    return value.rstrip("/")
