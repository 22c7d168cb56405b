"""What must not be in a template's files, seen as they pass: credentials, and stand-ins for other files (BND-9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .credentials import BEHIND, REACH, recognised
from .errors import BootError

_SHORTEST_SECRET = 8
"""Bytes: shorter values would be found in any text."""
_LFS = b"version https://git-lfs.github.com/spec/"
_WINDOW = 1 << 16
"""Bytes that are looked at together at least: a look at every few bytes would see most of them again and again."""


def telling(values: Iterable[str]) -> list[str]:
    """Those values of a bootstrap secret that no text holds by chance."""
    return [value for value in values if len(value.encode()) >= _SHORTEST_SECRET]


def secrets_to_find(values: Iterable[str]) -> list[bytes]:
    """The same, as they stand in a file."""
    return [value.encode() for value in telling(values)]


def inspected(path: str, pieces: Iterable[bytes], secrets: Sequence[bytes]) -> Iterator[bytes]:
    """The same pieces, each given on only once it was looked at, however the stream is cut.

    Raises BootError: `entry-lfs-pointer`; `credential-in-assets` where it holds one of `secrets`, this tenant's own;
    `credential-format-in-assets` where it holds what has the form of anybody's.
    """
    inspection = _Inspection(path, secrets)
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if inspection.take(piece):
            yield from held
            held.clear()
    inspection.end()
    yield from held


class _Inspection:
    """Of one file. Every place is judged once, with what stands before and behind it."""

    def __init__(self, path: str, secrets: Sequence[bytes]) -> None:
        self._path = path
        self._secrets = secrets
        self._longest = max(map(len, secrets), default=1)
        self._first = True
        self._judged = 0
        """Of what waits, the beginning at which no credential stands: it only matters for what comes behind it."""
        self._waiting: list[bytes] = []
        self._new = 0
        """Bytes of what waits that were not looked at."""

    def take(self, piece: bytes) -> bool:
        """Whether all that was taken is looked at."""
        self._waiting.append(piece)
        self._new += len(piece)
        if self._new < _WINDOW:
            return False
        self._look(last=False)
        return True

    def end(self) -> None:
        self._look(last=True)

    def _look(self, *, last: bool) -> None:
        text = b"".join(self._waiting)
        if self._first and text.startswith(_LFS):
            raise BootError(
                "entry-lfs-pointer",
                f"the template's {self._path!r} is a pointer to Git LFS",
                "commit the file itself",
            )
        for secret in self._secrets:
            if secret in text:
                raise BootError(
                    "credential-in-assets",
                    f"the template's {self._path!r} holds a value of this tenant's bootstrap secret",
                    "take it out of the template, and change the secret",
                )
        stop = len(text) if last else max(self._judged, len(text) - REACH)
        if rule := recognised(text, self._judged, stop):
            raise BootError(
                "credential-format-in-assets",
                f"the template's {self._path!r} holds what looks like {rule.title} (rule {rule.name})",
                "take it out of the template, and revoke it if it is one; a placeholder in its place may stay",
            )
        keep = max(0, min(stop - BEHIND, len(text) - self._longest + 1))
        self._waiting, self._judged = [text[keep:]], stop - keep
        self._new, self._first = 0, False
