"""Find canaries in whatever a run left behind: the raw stream, the stream squeezed, and what is packed inside."""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick, Implementation

from .canaries import Canary
from .patterns import patterns

MAX_DEPTH = 5
MEMBER_BUDGET = 64 * 1024 * 1024
"""Bytes unpacked from one haystack at the most; what is beyond stays unsearched and is said."""

_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
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
        budget = [MEMBER_BUDGET]
        for stream, place in _streams(content, where, 0, budget):
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


def _streams(content: bytes, where: str, depth: int, budget: list[int]) -> Iterator[tuple[bytes, str]]:
    yield content, where
    if depth == MAX_DEPTH:
        return
    for member, name in _members(content):
        budget[0] -= len(member)
        if budget[0] < 0:
            return
        yield from _streams(member, f"{where} > {name}", depth + 1, budget)


def _members(content: bytes) -> Iterator[tuple[bytes, str]]:
    """What is packed inside, one layer down. Damaged members give what they give."""
    if (packed := _packed(content)) is not None:
        yield packed
    elif content[:4] == b"PK\3\4":
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for info in archive.infolist():
                    yield info.filename.encode("utf-8", "surrogateescape"), "zip name"
                    with archive.open(info) as member:
                        yield member.read(MEMBER_BUDGET), f"zip:{info.filename}"
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error):
            return
    elif content[257:262] == b"ustar":
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for entry in archive:
                    reader = archive.extractfile(entry) if entry.isreg() else None
                    if reader is not None:
                        yield reader.read(MEMBER_BUDGET), f"tar:{entry.name}"
        except tarfile.TarError:
            return
    for run in _BASE64_RUN.finditer(content):
        text = run[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        text = text[: -(len(text) % 4 == 1) or None]
        yield base64.b64decode(text + b"=" * (-len(text) % 4)), "base64 run"


def _packed(content: bytes) -> tuple[bytes, str] | None:
    """What a compressed stream holds, as far as it goes: one that was cut still gives its beginning."""
    try:
        if content[:2] == b"\x1f\x8b":
            return zlib.decompressobj(31).decompress(content, MEMBER_BUDGET), "gzip"
        if content[:1] == b"\x78" and content[1:2] in b"\x01\x5e\x9c\xda":
            return zlib.decompressobj().decompress(content, MEMBER_BUDGET), "zlib"
        if content[:3] == b"BZh":
            return bz2.BZ2Decompressor().decompress(content, MEMBER_BUDGET), "bzip2"
        if content[:6] == b"\xfd7zXZ\0":
            return lzma.LZMADecompressor().decompress(content, MEMBER_BUDGET), "xz"
    except (zlib.error, OSError, lzma.LZMAError):
        return None
    return None
