"""What is packed inside a stream of bytes: compressed streams, archives, base64 runs, and those inside each other."""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

MAX_DEPTH = 5
MEMBER_BUDGET = 64 * 1024 * 1024
"""Bytes unpacked from one stream at the most; what is beyond is left packed."""

_SHORTEST_RUN = 40
"""Bytes of base64: 30 of what it stands for."""
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % _SHORTEST_RUN)
_STRIDE = 8
_IS_BASE64 = bytes(byte.isascii() and (byte.isalnum() or byte in "+/_-") for byte in map(chr, range(256)))
_HINT = b"\1" * (_SHORTEST_RUN // _STRIDE)
"""What a run leaves of itself where only every eighth byte is looked at, and only whether it is of base64."""


def streams(content: bytes, where: str) -> Iterator[tuple[bytes, str]]:
    """The content itself, then every member packed in it at any depth, each with its place for people to read."""
    yield from _streams(content, where, 0, [MEMBER_BUDGET])


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
    for run in base64_runs(content):
        text = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        text = text[: -(len(text) % 4 == 1) or None]
        yield base64.b64decode(text + b"=" * (-len(text) % 4)), "base64 run"


def base64_runs(content: bytes) -> Iterator[bytes]:
    """Every run of base64. Looking at every eighth byte first goes through random bytes many times as fast.

    A run covers five such bytes or more in a row, so that it lies within what surrounds one hint, and in no other's.
    """
    looked_at = content[::_STRIDE].translate(_IS_BASE64) + b"\0"
    last = 0
    while (first := looked_at.find(_HINT, last)) >= 0:
        last = looked_at.index(b"\0", first)
        start, end = max(0, (first - 1) * _STRIDE), last * _STRIDE + len(b"==")
        yield from (run[0] for run in _BASE64_RUN.finditer(content, start, end))


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
