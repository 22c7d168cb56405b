"""The bootstrap secret: the only secret that a machine reads, all of it or none (FAIL-4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from .errors import BootError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.session import Session
    from mypy_boto3_secretsmanager import SecretsManagerClient

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
_GONE = ("ResourceNotFoundException", "InvalidRequestException")
"""The second is what AWS answers for a secret that is scheduled for deletion."""


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


def read_bootstrap(session: Session, region: str, name: str) -> Bootstrap:
    """Raises BootError `secret-missing`, `secret-denied`, `secret-malformed`, `secret-unavailable`."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    patience = Config(
        retries={"total_max_attempts": 8, "mode": "standard"}, connect_timeout=5, read_timeout=10, proxies={}
    )
    try:
        client = cast(
            "SecretsManagerClient",
            session.create_client("secretsmanager", region_name=region, config=patience),
        )
        text = client.get_secret_value(SecretId=name).get("SecretString")
    except ClientError as refused:
        code = refused.response.get("Error", {}).get("Code", "unknown")
        if code in _GONE:
            raise BootError(
                "secret-missing",
                f"the secret {name} does not exist",
                "write the tenant's bootstrap secret, or provision the tenant anew",
            ) from refused
        if code in _DENIED:
            raise BootError(
                "secret-denied",
                f"this machine's role may not read {name} ({code})",
                "let the tenant's role read its bootstrap secret: see the policy of its instance profile",
            ) from refused
        raise BootError(
            "secret-unavailable",
            f"the secret store gave no answer for {name} ({code})",
            "restart the workspace once Secrets Manager answers",
        ) from refused
    except BotoCoreError as failed:
        raise BootError(
            "secret-unavailable",
            f"the secret store cannot be reached for {name} ({type(failed).__name__})",
            "check the machine's role and its way to Secrets Manager",
        ) from failed
    return parse_bootstrap(name, text)


def parse_bootstrap(name: str, text: str | None) -> Bootstrap:
    """Raises BootError `secret-malformed`, which names fields and never values."""
    try:
        fields = json.loads(text or "")
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
