"""What must not be in a template's files, seen as they pass: a tenant's own secrets, and stand-ins for other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .errors import BootError

_SHORTEST_SECRET = 8
"""Bytes: shorter values would be found in any text."""
_LFS = b"version https://git-lfs.github.com/spec/"


def telling(values: Iterable[str]) -> list[str]:
    """Those values of a bootstrap secret that no text holds by chance."""
    return [value for value in values if len(value.encode()) >= _SHORTEST_SECRET]


def secrets_to_find(values: Iterable[str]) -> list[bytes]:
    """The same, as they stand in a file."""
    return [value.encode() for value in telling(values)]


def inspected(path: str, pieces: Iterable[bytes], secrets: Sequence[bytes]) -> Iterator[bytes]:
    """The same pieces, refused when they hold a bootstrap value (BND-9) or stand for a file that is elsewhere."""
    overlap = max(map(len, secrets), default=1) - 1
    tail = b""
    first = True
    for piece in pieces:
        if first and piece.startswith(_LFS):
            raise BootError(
                "entry-lfs-pointer",
                f"the template's {path!r} is a pointer to Git LFS",
                "commit the file itself",
            )
        first = False
        text = tail + piece if tail else piece
        for secret in secrets:
            if secret in text:
                raise BootError(
                    "credential-in-assets",
                    f"the template's {path!r} holds a value of this tenant's bootstrap secret",
                    "take it out of the template, and change the secret",
                )
        tail = text[-overlap:] if overlap else b""
        yield piece
