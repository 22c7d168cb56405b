"""What every transport gives: a commit for a ref, then the commit's listing, then the bodies asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["file", "link", "submodule", "other"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a template's tree, as its host lists it: nothing of it is trusted yet."""

    path: bytes
    kind: Kind
    mode: int
    """0o644 or 0o755; of files only."""
    size: int
    """Bytes; of files only."""
    blob: str
    """Names the content: the git object id, or of a file in an artifact the SHA-256; empty where nothing is known."""


class Checkout(Protocol):
    """A template's tree at one commit."""

    @property
    def listing(self) -> Sequence[Listed]: ...

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        """Each wanted file once, in any order, with its bytes in pieces that must be taken before the next file.

        The bytes are proven to be those of the listing by the time that the pieces, or the files, are at their end.
        """


class Transport(Protocol):
    """A way to one repository on the template host. Everything raises BootError, TransientError while it may pass."""

    def resolve(self, ref: str) -> str:
        """The commit id (40 hex) that a branch, a tag or a full commit id means now."""

    def checkout(self, commit: str) -> AbstractContextManager[Checkout]: ...
