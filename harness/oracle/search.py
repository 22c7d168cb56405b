"""Find canaries in whatever a run left behind: the raw stream, the stream squeezed, and what is packed inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick, Implementation

from .canaries import Canary
from .patterns import patterns
from .unpack import streams

# Keeping only these finds what was folded, wrapped, spaced or joined.
_KEPT = bytes(byte for byte in range(256) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"/_"))
_DROPPED = bytes(byte for byte in range(256) if byte not in _KEPT)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret where it was found. It holds no part of the secret."""

    canary: Canary
    form: str
    where: str

    def __str__(self) -> str:
        return f"{self.canary!r} ({self.form}) in {self.where}"


class Search:
    """One automaton over every form of every canary; a pass costs the same for one canary as for hundreds."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        forms: dict[bytes, tuple[Canary, str]] = {}
        for canary in canaries:
            for form, pattern in patterns(canary.core):
                forms.setdefault(pattern, (canary, form))
        self._found = list(forms.values())
        self._automaton = BytesAhoCorasick(list(forms), implementation=Implementation.DFA) if forms else None

    def sightings(self, content: bytes, where: str) -> list[Sighting]:
        """Each canary and form once, at the innermost place that it was found."""
        seen: dict[tuple[str, str, str], Sighting] = {}
        for stream, place in streams(content, where):
            for canary, form in self._matches(stream):
                seen.setdefault((canary.tenant, canary.field, form), Sighting(canary, form, place))
        return list(seen.values())

    def _matches(self, stream: bytes) -> Iterator[tuple[Canary, str]]:
        if self._automaton is None or not stream:
            return
        for text in (stream, stream.translate(None, _DROPPED)):
            for index in {
                match[0] for match in self._automaton.find_matches_as_indexes(text, overlapping=True)
            }:
                yield self._found[index]
