"""Find canaries in whatever a run left behind: the raw stream, the stream squeezed, and what is packed inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from ahocorasick_rs import BytesAhoCorasick, Implementation

from .canaries import Canary
from .patterns import HASHES, patterns, squeezed
from .unpack import streams

_LONG = 8 << 20
"""Bytes that are searched faster with an automaton that takes longer to make."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret where it was found. It holds no part of the secret."""

    canary: Canary
    form: str
    where: str

    @property
    def hashed(self) -> bool:
        """Whether it is a bare hash of the secret, which gives nothing away and is no failure by itself."""
        return self.form in HASHES

    def __str__(self) -> str:
        return f"{self.canary!r} ({self.form}) in {self.where}"


class Search:
    """Automata over every form of every canary; a pass costs nearly the same for one canary as for hundreds."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        plain: dict[bytes, tuple[Canary, str]] = {}
        odd: dict[bytes, tuple[Canary, str]] = {}
        for canary in canaries:
            for pattern in patterns(canary.core, canary.value):
                forms = plain if pattern.survives_squeezing else odd
                forms.setdefault(pattern.content, (canary, pattern.form))
        self._squeezed = _Automaton(plain)
        self._raw = _Automaton(odd)
        self._searched: dict[str, list[Sighting]] = {}

    def sightings(self, content: bytes, where: str) -> list[Sighting]:
        """Each canary and form once, at the outermost place that it was found."""
        seen: dict[tuple[str, str, str], Sighting] = {}
        for stream, place in streams(content, where):
            for canary, form in self._matches(stream):
                seen.setdefault((canary.tenant, canary.core, form), Sighting(canary, form, place))
        return list(seen.values())

    def sightings_again(self, content: bytes, where: str) -> list[Sighting]:
        """The same, of something that comes again and again: the same content is not searched a second time."""
        return self.sightings_of(sha256(content).hexdigest(), lambda: content, where)

    def sightings_of(self, digest: str, read: Callable[[], bytes], where: str) -> list[Sighting]:
        """The same, of content that is read only if none of its SHA-256 (lower-case hex) was searched before."""
        if digest not in self._searched:
            self._searched[digest] = self.sightings(read(), "")
        return [replace(found, where=f"{where}{found.where}") for found in self._searched[digest]]

    def spare(self, digests: Iterable[str]) -> None:
        """Content of these digests holds nothing, and is long: it need not be searched."""
        for digest in digests:
            self._searched.setdefault(digest, [])

    def redacted(self, content: bytes) -> bytes:
        """Without its secrets: the plain ones are named instead, and lines that hold others are withheld, or all of it.

        Bare hashes stay.
        """
        for canary in {found.canary for found in self.leaks(content, "it")}:
            content = content.replace(canary.core.encode(), repr(canary).encode())
        if self.leaks(content, "it"):
            lines = content.splitlines(keepends=True)
            content = self._withheld(b"".join(self._withheld(line, "a line") for line in lines), "all")
        return content

    def leaks(self, content: bytes, where: str) -> list[Sighting]:
        """The sightings but bare hashes."""
        return [found for found in self.sightings(content, where) if not found.hashed]

    def _withheld(self, content: bytes, what: str) -> bytes:
        found = "; ".join(str(each) for each in self.leaks(content, what))
        return f"[withheld: {found}]\n".encode() if found else content

    def _matches(self, stream: bytes) -> Iterator[tuple[Canary, str]]:
        # What squeezing leaves whole need not be looked for in the stream as it is.
        yield from self._raw.matches(stream)
        yield from self._squeezed.matches(squeezed(stream))


class _Automaton:
    """Finds in one pass which of many patterns occur, and so which form of which canary."""

    def __init__(self, forms: dict[bytes, tuple[Canary, str]]) -> None:
        self._patterns = list(forms)
        self._found = list(forms.values())

    def matches(self, stream: bytes) -> Iterator[tuple[Canary, str]]:
        if not self._patterns or not stream:
            return
        automaton = self._fast if len(stream) > _LONG else self._light
        for index in {match[0] for match in automaton.find_matches_as_indexes(stream, overlapping=True)}:
            yield self._found[index]

    @cached_property
    def _light(self) -> BytesAhoCorasick:
        return BytesAhoCorasick(self._patterns, implementation=Implementation.ContiguousNFA)

    @cached_property
    def _fast(self) -> BytesAhoCorasick:
        """Twice as fast, and ten times as long in the making."""
        return BytesAhoCorasick(self._patterns, implementation=Implementation.DFA)
