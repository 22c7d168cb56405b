"""Read-scoped access tokens: who may read what."""

from __future__ import annotations

import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from threading import Lock
from typing import Literal

Access = Literal["granted", "unknown-token", "out-of-scope", "anonymous"]


class Tokens:
    """The tokens that are valid now. Every one of them reads, none writes."""

    def __init__(self) -> None:
        self._scopes: dict[str, frozenset[str]] = {}
        self._lock = Lock()

    def issue(self, *scopes: str, token: str | None = None) -> str:
        """A token for repositories (`owner/name`) and for all that owners have (`owner`).

        `token` is taken as its value (a canary, say); without it a fresh one, shaped as Gitea's, is drawn.
        """
        if not scopes:
            raise ValueError("a token needs something to read: name a repository (owner/name) or an owner")
        value = token or secrets.token_hex(20)
        with self._lock:
            self._scopes[value] = frozenset(scopes)
        return value

    def revoke(self, token: str) -> None:
        """Raises KeyError if the token is not valid."""
        with self._lock:
            del self._scopes[token]

    def access(self, repository: str, authorization: str | None) -> Access:
        """What an Authorization header (None: there was none) is worth for a private repository."""
        if authorization is None:
            return "anonymous"
        with self._lock:
            scopes = self._scopes.get(_presented(authorization))
        if scopes is None:
            return "unknown-token"
        return "granted" if scopes & {repository, repository.partition("/")[0]} else "out-of-scope"


def _presented(authorization: str) -> str:
    """The token in a header: `token T`, `Bearer T`, or the password of `Basic`; empty if there is none."""
    scheme, _, value = authorization.strip().partition(" ")
    match scheme.lower():
        case "token" | "bearer":
            return value.strip()
        case "basic":
            try:
                return b64decode(value, validate=True).decode().partition(":")[2]
            except (NotBase64, UnicodeDecodeError):
                return ""
    return ""
