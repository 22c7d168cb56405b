"""Text of anywhere, made fit for a page: nothing in it is invisible, and nothing in it is markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup, escape

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # what turns the direction, or has no width
    "\ud800-\udfff"  # halves of characters, which no file can hold
    "\ufdd0-\ufdef\ufffe\uffff"
    "]"
)


def printable(value: object) -> object:
    """Each thing that a page is about to show: in text, what would hide or turn it is written as an escape."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _INVISIBLE.sub(_escaped, value)
    return value


def prose(text: str) -> Markup:
    """Words of the contract, in which code stands between backticks."""
    parts = str(printable(text)).split("`")
    if len(parts) % 2 == 0:  # a backtick without its pair is one
        return escape("`".join(parts))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def link(path: str) -> str:
    """A relative path as an address; file names are bytes, whatever they mean."""
    return quote(path, errors="surrogateescape")


def duration(seconds: float) -> str:
    """`0.4 s`, `59.9 s`, `3 min 12 s`, `1 h 04 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(text: str) -> datetime | None:
    """A time of the ledger, in UTC; None where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
