"""Find canaries in whatever a run left behind: the raw stream, the stream squeezed, and what is packed inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from ahocorasick_rs import BytesAhoCorasick, Implementation

from .canaries import Canary
from .patterns import patterns
from .unpack import streams

# Keeping only these finds what was folded, wrapped, spaced or joined.
_KEPT = bytes(byte for byte in range(256) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"/_"))
_DROPPED = bytes(byte for byte in range(256) if byte not in _KEPT)
_LONG = 4 << 20
"""Bytes that are searched faster with an automaton that takes longer to make."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret where it was found. It holds no part of the secret."""

    canary: Canary
    form: str
    where: str

    def __str__(self) -> str:
        return f"{self.canary!r} ({self.form}) in {self.where}"


class Search:
    """An automaton over every form of every canary; a pass costs the same for one canary as for hundreds."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        forms: dict[bytes, tuple[Canary, str]] = {}
        for canary in canaries:
            for form, pattern in patterns(canary.core):
                forms.setdefault(pattern, (canary, form))
        self._found = list(forms.values())
        self._searched: dict[bytes, list[Sighting]] = {}
        self._forms = list(forms)

    def sightings(self, content: bytes, where: str) -> list[Sighting]:
        """Each canary and form once, at the innermost place that it was found."""
        seen: dict[tuple[str, str, str], Sighting] = {}
        for stream, place in streams(content, where):
            for canary, form in self._matches(stream):
                seen.setdefault((canary.tenant, canary.field, form), Sighting(canary, form, place))
        return list(seen.values())

    def sightings_in_file(self, content: bytes, where: str) -> list[Sighting]:
        """The same, of something that comes again and again: the same content is not searched a second time."""
        digest = sha256(content).digest()
        if digest not in self._searched:
            self._searched[digest] = self.sightings(content, "")
        return [replace(found, where=f"{where}{found.where}") for found in self._searched[digest]]

    def _matches(self, stream: bytes) -> Iterator[tuple[Canary, str]]:
        if not self._forms or not stream:
            return
        automaton = self._fast if len(stream) > _LONG else self._light
        for text in (stream, stream.translate(None, _DROPPED)):
            for index in {match[0] for match in automaton.find_matches_as_indexes(text, overlapping=True)}:
                yield self._found[index]

    @cached_property
    def _light(self) -> BytesAhoCorasick:
        return BytesAhoCorasick(self._forms, implementation=Implementation.ContiguousNFA)

    @cached_property
    def _fast(self) -> BytesAhoCorasick:
        """Three times as fast, and seven times as long in the making."""
        return BytesAhoCorasick(self._forms, implementation=Implementation.DFA)
