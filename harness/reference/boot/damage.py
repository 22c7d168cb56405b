"""Damage or user edit: what a live file that is neither the base nor the template's new version has become.

The rules are the contract's (words "Damage" and "Stub"; HEAL-1 to HEAL-5). Pure functions over contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .document import DocumentError, parse_mapping

CONFIG = "config.yaml"
LONGEST_CONFIG = 4 << 20
"""Bytes: a longer live config.yaml is judged by its bytes alone."""

_FALLBACK_KEYS = frozenset(
    {"name", "description", "version", "tier", "runtime", "model", "runtime_config", "skills"}
)
_ERROR_KEYS = frozenset(
    {
        "message",
        "error",
        "errors",
        "code",
        "status",
        "url",
        "documentation_url",
        "detail",
        "title",
        "type",
        "request_id",
    }
)
_ERROR_MARKS = frozenset({"message", "error", "errors", "detail"})


class Content(Protocol):
    """The bytes of a file, readable again and again."""

    @property
    def size(self) -> int: ...

    def pieces(self) -> Iterator[bytes]: ...


class Bytes:
    """Content that is in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def pieces(self) -> Iterator[bytes]:
        if self._content:
            yield self._content


def damage(path: str, live: Content, known: tuple[Content, ...]) -> str | None:
    """The reason code of the damage, or None for a user edit.

    `known` are the versions that a template delivered: the base first, if there is one, then the new one. `live`
    equals none of them.
    """
    if not known:
        return None
    if live.size == 0:
        return "empty" if all(version.size for version in known) else None
    if any(live.size < version.size and _is_prefix(live, version) for version in known):
        return "truncated"
    if _ends_with_nul(live) and not any(_ends_with_nul(version) for version in known):
        return "nul-filled"
    if path == CONFIG and live.size <= LONGEST_CONFIG:
        return _config_damage(live, known[0])
    return None


def _config_damage(live: Content, reference: Content) -> str | None:
    text = b"".join(live.pieces())
    try:
        document = parse_mapping(text)
    except DocumentError:
        return "unparsable"
    if document.keys() <= _ERROR_KEYS and document.keys() & _ERROR_MARKS:
        return "error-body"
    original = b"".join(reference.pieces())
    try:
        delivered = parse_mapping(original)
    except DocumentError:
        delivered = {}
    return "stub" if _is_stub(document, text, delivered, original) else None


def _is_stub(live: Mapping[str, Any], text: bytes, delivered: Mapping[str, Any], original: bytes) -> bool:
    """Whether a fallback wrote this and not a user (HEAL-3, HEAL-4); size does not tell.

    Only a fallback's keys is necessary, but small genuine configs have no others either. So a file that only lost
    lines of the delivered one is an edit; and where the delivered config itself has no more than a fallback's keys,
    one that still is about the same agent, or that differs in nothing else than its name, is an edit too.
    """
    if not _has_fallback_keys_only(live):
        return False
    if _only_lost_lines(text, original):
        return False
    if not _has_fallback_keys_only(delivered):
        return True
    differing = [key for key in delivered.keys() | live.keys() if live.get(key) != delivered.get(key)]
    return "name" in differing and differing != ["name"]


def _has_fallback_keys_only(document: Mapping[str, Any]) -> bool:
    if not document.keys() <= _FALLBACK_KEYS:
        return False
    runtime = document.get("runtime_config", {})
    if not (isinstance(runtime, Mapping) and runtime.keys() <= {"timeout"}):
        return False
    return not document.get("skills")


def _only_lost_lines(text: bytes, original: bytes) -> bool:
    remaining = iter([line.rstrip() for line in original.splitlines()])
    return all(line.rstrip() in remaining for line in text.splitlines() if line.strip())


def _is_prefix(short: Content, long: Content) -> bool:
    """Whether the one begins the other. Compares piece by piece; both may be far larger than memory."""
    theirs = long.pieces()
    held = b""
    for piece in short.pieces():
        while len(held) < len(piece) and (more := next(theirs, b"")):
            held += more
        if not held.startswith(piece):
            return False
        held = held[len(piece) :]
    return True


def _ends_with_nul(content: Content) -> bool:
    last = b""
    for piece in content.pieces():
        last = piece or last
    return last.endswith(b"\0")
