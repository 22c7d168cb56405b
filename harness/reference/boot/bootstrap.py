"""The bootstrap secret: the only secret that a machine reads, all of it or none (FAIL-4)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus

from ..errors import BootError, TransientError
from ..fetch.limits import Budget, Limits
from ..fetch.retry import patiently
from ..json_text import parse_json
from .role import Role

MANDATORY = (
    "db_password",
    "admin_token",
    "secrets_encryption_key",
    "tunnel_token",
    "ghcr_token",
    "cp_admin_api_token",
    "shared_secret",
    "display_session_signing_secret",
)
TEMPLATE_TOKEN = "template_repo_token"  # noqa: S105 - the field's name

_DENIED = (
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
)
_EXPIRED = ("ExpiredTokenException", "ExpiredToken", "RequestExpired")
_GONE = ("ResourceNotFoundException", "InvalidRequestException")
"""The second is what AWS answers for a secret that is scheduled for deletion."""
_BUSY = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")
_BOUNDS = Limits(time=120.0, retries=7)


class ExpiredRole(BootError):
    """The role's credentials were good once; instance metadata has new ones."""


class Bootstrap:
    """Its values never show in a repr."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    @property
    def template_token(self) -> str | None:
        """The read-scoped token of the template host; None for public templates."""
        return self._fields.get(TEMPLATE_TOKEN) or None

    def values(self) -> Iterable[str]:
        return [value for value in self._fields.values() if value]


def read_bootstrap(role: Role, name: str) -> Bootstrap:
    """Raises ExpiredRole, BootError `secret-missing`, `secret-denied`, `secret-malformed`, `secret-unavailable`."""
    return parse_bootstrap(name, patiently(Budget(_BOUNDS), lambda: _secret_string(role, name)))


def _secret_string(role: Role, name: str) -> str | None:
    """Raises TransientError `secret-unavailable` for what may pass by itself."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    wanted = json.dumps({"SecretId": name}).encode()
    try:
        answer = role.post("secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER", headers, wanted)
    except OSError as failed:
        raise TransientError(
            "secret-unavailable",
            f"the secret store cannot be reached for {name} ({type(failed).__name__})",
            "check the machine's role and its way to Secrets Manager",
        ) from failed
    try:
        said = parse_json(answer.body)
    except ValueError:
        said = {}  # what stands before the secret store answers in its own way
    if not isinstance(said, dict):
        said = {}
    if answer.status == HTTPStatus.OK and said:
        text: str | None = said.get("SecretString")
        return text
    raise _refused(name, str(said.get("__type", answer.status)).rpartition("#")[2], answer.status)


def _refused(name: str, code: str, status: int) -> BootError:
    if code in _GONE:
        return BootError(
            "secret-missing",
            f"the secret {name} does not exist",
            "write the tenant's bootstrap secret, or provision the tenant anew",
        )
    if code in _EXPIRED:
        return ExpiredRole(
            "secret-denied",
            f"this machine's role credentials have expired, and so it may not read {name} ({code})",
            "restart the workspace; if it goes on, check the clock and the instance metadata of its machine",
        )
    if code in _DENIED:
        return BootError(
            "secret-denied",
            f"this machine's role may not read {name} ({code})",
            "let the tenant's role read its bootstrap secret: see the policy of its instance profile",
        )
    busy = status == HTTPStatus.TOO_MANY_REQUESTS or code in _BUSY
    kind = TransientError if busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR else BootError
    return kind(
        "secret-unavailable",
        f"the secret store gave no answer for {name} ({code})",
        "restart the workspace once Secrets Manager answers",
    )


def parse_bootstrap(name: str, text: str | None) -> Bootstrap:
    """Raises BootError `secret-malformed`, which names fields and never values."""
    try:
        fields = parse_json(text or "")
    except ValueError:
        # The parser's own message would quote the secret: it is not chained.
        raise _malformed(name, "is not JSON") from None
    if not isinstance(fields, dict):
        raise _malformed(name, "is not a JSON object")
    if missing := [field for field in MANDATORY if not fields.get(field)]:
        raise _malformed(name, f"lacks {', '.join(missing)}")
    if wrong := [field for field, value in fields.items() if not isinstance(value, str)]:
        raise _malformed(name, f"holds what is no string: {', '.join(map(repr, wrong))}")
    return Bootstrap(fields)


def _malformed(name: str, rule: str) -> BootError:
    return BootError(
        "secret-malformed", f"the secret {name} {rule}", "write the tenant's bootstrap secret anew"
    )
