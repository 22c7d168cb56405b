"""Errors as the caller sees them: RFC 9457 problem details, bounded and with no secret in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MAX_TEXT = 500
"""Characters of any text that came from elsewhere."""

_SECRET_SHAPES = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@"
    r"|(?P<header>\b(?:bearer|basic|token)\s+)(?=\S*\d)[A-Za-z0-9._~+/=-]{16,}"
    r"|(?P<field>\b[\w-]*(?:token|secret|passw|signature|credential|api_key|encryption_key)[\w-]*(?:=|[\"']\s*:\s*[\"']))"
    r"[^\s\"',;&}]{4,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[baprs]-|AKIA|ASIA)[A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)


def _blank(match: re.Match[str]) -> str:
    kept = match["scheme"] or match["header"] or match["field"] or ""
    return f"{kept}[redacted]" + ("@" if match["scheme"] else "")


def bounded(text: str, limit: int = MAX_TEXT) -> str:
    """`text` on few characters: control characters become spaces, what looks like a credential is blanked, and
    what is over `limit` is cut with a mark."""
    blanked = _SECRET_SHAPES.sub(_blank, "".join(c if c.isprintable() else " " for c in text))
    return blanked if len(blanked) <= limit else blanked[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a workspace is not well, in terms its owner can act on (OBS-2)."""

    code: str
    message: str
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": bounded(self.message), "hint": self.hint and bounded(self.hint)}


class FaultError(Exception):
    """Work on a workspace that cannot go on."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.fault = Fault(code, message, hint)


class Problem(Exception):
    """A request that is refused."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(f"{status.value} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:molecule:problem:{self.code}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": bounded(self.detail),
            "code": self.code,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        return body
