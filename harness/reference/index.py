"""The one normal form of an asset set, whatever carried it: `{path: (mode, size, sha256)}`. Its digest names it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple, TypeAlias


class Entry(NamedTuple):
    mode: int
    """0o644 or 0o755."""
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex."""


Index: TypeAlias = Mapping[str, Entry]
"""Keyed by path relative to the template's root, `/` between parts."""


def tree_digest(index: Index) -> str:
    """sha256 over `path NUL mode NUL sha256 LF` in the order of the paths' UTF-8 bytes, as hex."""
    digest = sha256()
    for path in sorted(index, key=str.encode):
        entry = index[path]
        digest.update(f"{path}\0{entry.mode:o}\0{entry.sha256}\n".encode())
    return digest.hexdigest()
