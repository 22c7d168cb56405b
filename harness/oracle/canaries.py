"""Bootstrap secrets that can be told from anything else, wherever and however they surface."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

CORE_LENGTH = 32
CREDENTIAL_FIELD = "template_repo_token"

# What each field of a bootstrap secret looks like in the field. Some wear quotes, a newline or a non-ASCII letter,
# since values that survive only when they are tame are a fault of their own.
_WEAR = {
    "db_password": "p'\"é\n{core}",
    "admin_token": "mol_admin_{core}",
    "secrets_encryption_key": "-----BEGIN PRIVATE KEY-----\n{core}\n-----END PRIVATE KEY-----\n",
    "tunnel_token": '{{"a":"0","t":"{core}"}}',
    "ghcr_token": "ghp_{core}AbCd",
    "cp_admin_api_token": "sk-ant-api03-{core}",
    "shared_secret": "{core}",
    "display_session_signing_secret": "postgres://display:{core}@db.internal/sessions",
}


@dataclass(frozen=True, slots=True, repr=False)
class Canary:
    """A secret value that must not sing outside its cage. Its repr shows no part of it."""

    tenant: str
    field: str
    core: str
    """The part to search for: no encoder that works by the character tears it apart."""
    value: str
    """The whole value, as stored in the bootstrap secret."""

    def __repr__(self) -> str:
        return f"<canary {self.tenant}/{self.field}>"


@dataclass(frozen=True, slots=True)
class Brood:
    """The secrets that a tenant has at a time. By itself, without the key, it tells nothing of them."""

    tenant: str
    generation: int = 0
    """How often they were exchanged before."""

    def canaries(self, key: bytes) -> dict[str, Canary]:
        """By field, the template token included, whether the tenant has one or not."""
        return {
            **bootstrap_canaries(key, self.tenant, self.generation),
            CREDENTIAL_FIELD: credential_canary(key, self.tenant, self.generation),
        }


def bootstrap_canaries(key: bytes, tenant: str, generation: int = 0) -> dict[str, Canary]:
    """One canary for each mandatory field of the tenant's bootstrap secret, the same for the same `key`."""
    canaries = {}
    for field, wear in _WEAR.items():
        core = _core(key, tenant, field, generation)
        canaries[field] = Canary(tenant, field, core, wear.format(core=core))
    return canaries


def credential_canary(key: bytes, tenant: str, generation: int = 0) -> Canary:
    """The tenant's read-scoped template token, for the template host to issue."""
    core = _core(key, tenant, CREDENTIAL_FIELD, generation)
    return Canary(tenant, CREDENTIAL_FIELD, core, f"gta_{core}")


def _core(key: bytes, tenant: str, field: str, generation: int) -> str:
    """32 letters of the base32 alphabet: in ASCII none of them makes a `+` or `/` in base64, at any offset."""
    digest = hmac.digest(key, f"{tenant}|{field}|{generation}".encode(), hashlib.sha256)
    return base64.b32encode(digest).decode()[:CORE_LENGTH]
