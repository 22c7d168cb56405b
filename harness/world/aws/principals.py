"""Who calls: access keys, role sessions and their expiry.

Signatures are not verified: a caller is who its access key (and, for a role session, its session token) says.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from threading import Lock
from typing import Literal

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class UnknownKey(Exception):
    """No principal has this access key."""


class WrongToken(Exception):
    """The session token does not belong to this access key."""


class Expired(Exception):
    """The credentials were good once."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller the gateway knows."""

    name: str
    """An administrator's own name, `user/<user>`, or `assumed-role/<role>/<session>`."""
    kind: Literal["administrator", "user", "role"]
    arn: str
    user_id: str
    entity: str
    """The name of the IAM role or user whose policies apply; an administrator's own name."""


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expiration: datetime | None = None
    """UTC; None is never."""


class Principals:
    """Every access key of the account. Thread-safe."""

    def __init__(self, account: str, user_of_key: Callable[[str], tuple[str, str] | None]) -> None:
        """`user_of_key` finds the name and id of the IAM user that owns an access key."""
        self._account = account
        self._user_of_key = user_of_key
        self._lock = Lock()
        self._keys: dict[str, tuple[Principal, Credentials]] = {}

    def administrator(self, name: str) -> Credentials:
        """New long-lived keys of a principal that may do everything."""
        principal = Principal(
            name, "administrator", f"arn:aws:iam::{self._account}:user/{name}", f"AIDA{_characters(17)}", name
        )
        return self._remember(principal, Credentials(f"AKIA{_characters(16)}", secrets.token_urlsafe(30)))

    def session(self, role: str, role_id: str, name: str, lifetime: timedelta) -> Credentials:
        """New temporary credentials of a role session."""
        credentials = Credentials(
            f"ASIA{_characters(16)}",
            secrets.token_urlsafe(30),
            secrets.token_urlsafe(120),
            datetime.now(UTC) + lifetime,
        )
        return self.adopt(role, role_id, name, credentials)

    def adopt(self, role: str, role_id: str, name: str, credentials: Credentials) -> Credentials:
        """Make credentials that somebody else minted known as those of a role session."""
        principal = Principal(
            f"assumed-role/{role}/{name}",
            "role",
            f"arn:aws:sts::{self._account}:assumed-role/{role}/{name}",
            f"{role_id}:{name}",
            role,
        )
        return self._remember(principal, credentials)

    def expire(self, principal: str) -> int:
        """End now the temporary credentials of principals whose name matches the glob; how many there were."""
        now = datetime.now(UTC)
        with self._lock:
            ended = [
                key
                for key, (owner, credentials) in self._keys.items()
                if credentials.expiration
                and credentials.expiration > now
                and fnmatchcase(owner.name, principal)
            ]
            for key in ended:
                owner, credentials = self._keys[key]
                self._keys[key] = (owner, replace(credentials, expiration=now))
        return len(ended)

    def still_valid(self, credentials: Credentials) -> bool:
        """Whether they authenticate now."""
        try:
            self.authenticate(credentials.access_key_id, credentials.token)
        except (UnknownKey, WrongToken, Expired):
            return False
        return True

    def identify(self, access_key_id: str) -> Principal | None:
        """Whose key this is, be it expired or not."""
        with self._lock:
            known = self._keys.get(access_key_id)
        if known:
            return known[0]
        user = self._user_of_key(access_key_id)
        if user is None:
            return None
        name, user_id = user
        return Principal(f"user/{name}", "user", f"arn:aws:iam::{self._account}:user/{name}", user_id, name)

    def authenticate(self, access_key_id: str, token: str | None) -> Principal:
        """Raises UnknownKey, WrongToken, Expired."""
        principal = self.identify(access_key_id)
        if principal is None:
            raise UnknownKey(access_key_id)
        with self._lock:
            known = self._keys.get(access_key_id)
        if known is None:
            return principal
        credentials = known[1]
        if credentials.token != token:
            raise WrongToken(access_key_id)
        if credentials.expiration and credentials.expiration <= datetime.now(UTC):
            raise Expired(access_key_id)
        return principal

    def _remember(self, principal: Principal, credentials: Credentials) -> Credentials:
        with self._lock:
            self._keys[credentials.access_key_id] = (principal, credentials)
        return credentials


def _characters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
