"""What is packed inside a stream of bytes: compressed streams, archives, base64 runs, and those inside each other.

Wherever in the stream it begins; what was cut or is damaged gives what is before.
"""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import re
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

MAX_DEPTH = 5
MEMBER_BUDGET = 64 * 1024 * 1024
"""Bytes unpacked from one stream at the most, all depths together; what is beyond is left packed."""

_PIECE = 4096
"""Bytes that are unpacked at a time: of a damaged stream at most so many are lost ahead of the damage."""
_SHORTEST_RUN = 40
"""Bytes of base64: 30 of what it stands for."""
_IS_BASE64 = bytes(byte.isascii() and (byte.isalnum() or byte in "+/_-") for byte in map(chr, range(256)))
_RUN = b"\1" * _SHORTEST_RUN
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_FOLD = re.compile(rb"(?:\s|\\[rn])+")
"""Between two lines of base64, also of those in a JSON text."""
_APART = b"AAAA"
_ZLIB_IN_BASE64 = (b"eA", b"eF", b"eJ", b"eN")
_TELLING_RUN = 400
"""Bytes of base64 from which on what it stands for is taken for a file of its own, which may be an archive."""


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


_Make = Callable[[], _Decompressor]
_ERRORS: Final = (zlib.error, lzma.LZMAError, ZstdError, OSError, EOFError, ValueError)
_COMPRESSED: Final[Mapping[str, tuple[bytes, _Make]]] = {
    "gzip": (b"\x1f\x8b\x08", lambda: zlib.decompressobj(31)),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\0", lzma.LZMADecompressor),
    "zstd": (b"\x28\xb5\x2f\xfd", ZstdDecompressor),
}
"""By the name of the format, how its streams begin."""
_ZIP_METHODS: Final[Mapping[int, _Make]] = {
    8: lambda: zlib.decompressobj(-15), 12: bz2.BZ2Decompressor, 93: ZstdDecompressor,
}  # fmt: skip
_ZIP, _ZIP_HEADER, _ZIP_STORED, _ZIP_LZMA = b"PK\3\4", 30, 0, 14
_GIT_OBJECT = re.compile(rb"(?:blob|tree|commit|tag) \d+\0")
_PACK = re.compile(rb"PACK\0\0\0[\2\3]")
_PACK_HEADER = 12
_PACK_BASE_BY_OFFSET, _PACK_BASE_BY_ID = 6, 7
_PDF_STREAM = re.compile(rb"stream\r?\n")


class _Allowance:
    """How many bytes may yet be unpacked."""

    def __init__(self, left: int) -> None:
        self.left = left

    def inflate(self, make: _Make, content: bytes, start: int) -> tuple[bytes, int]:
        """What is unpacked from there on, as far as it goes, and where its packed bytes end."""
        decompressor, unpacked, at = make(), [], start
        try:
            while not decompressor.eof and at < len(content) and self.left > 0:
                piece = decompressor.decompress(content[at : at + _PIECE], self.left)
                at += _PIECE
                self.left -= len(piece)
                unpacked.append(piece)
        except _ERRORS:
            return b"".join(unpacked), start
        return b"".join(unpacked), min(at, len(content)) - len(decompressor.unused_data)

    def taken(self, member: bytes) -> bytes:
        """As much of it as is allowed."""
        member = member[: self.left]
        self.left -= len(member)
        return member


def streams(content: bytes, where: str) -> Iterator[tuple[bytes, str]]:
    """The content itself, then every member packed in it at any depth, each with its place for people to read."""
    yield from _streams(content, where, 0, _Allowance(MEMBER_BUDGET))


def _streams(content: bytes, where: str, depth: int, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    yield content, where
    if depth < MAX_DEPTH:
        for member, name in _members(content, allowance):
            yield from _streams(member, f"{where} > {name}", depth + 1, allowance)


def _members(content: bytes, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    """What is packed inside, one layer down."""
    if content[257:262] == b"ustar":
        yield from _tar(content, allowance)
        return
    for name, (magic, make) in _COMPRESSED.items():
        yield from ((member, name) for member in _compressed(content, magic, make, allowance))
    if _begins_zlib(content):
        yield from _some(allowance.inflate(zlib.decompressobj, content, 0)[0], "zlib")
    if header := _GIT_OBJECT.match(content):
        yield from _some(allowance.taken(content[header.end() :]), "git object")
    if content.startswith(b"%PDF-"):
        for begin in _PDF_STREAM.finditer(content):
            yield from _some(allowance.inflate(zlib.decompressobj, content, begin.end())[0], "PDF stream")
    yield from _zip(content, allowance)
    for pack in _PACK.finditer(content):
        yield from _pack(content, pack.start() + _PACK_HEADER, allowance)
    yield from _base64(content, allowance)


def _some(member: bytes, name: str) -> Iterator[tuple[bytes, str]]:
    if member:
        yield member, name


def _begins_zlib(content: bytes) -> bool:
    return len(content) > 2 and content[0] == 0x78 and int.from_bytes(content[:2], "big") % 31 == 0


def _compressed(content: bytes, magic: bytes, make: _Make, allowance: _Allowance) -> Iterator[bytes]:
    """Every stream that begins so. Several on end, as `cat a.gz b.gz` gives them, are one."""
    at = content.find(magic)
    while at >= 0:
        joined = []
        end = at
        while content.startswith(magic, end):
            member, behind = allowance.inflate(make, content, end)
            joined.append(member)
            if behind == end:
                break
            end = behind
        if any(joined):
            yield b"".join(joined)
        at = content.find(magic, max(end, at + 1))


def _tar(content: bytes, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for entry in archive:
                start = entry.offset_data
                if entry.isreg() and allowance.left > 0:
                    yield allowance.taken(content[start : start + entry.size]), f"tar:{entry.name}"
    except (tarfile.TarError, *_ERRORS):
        return


def _zip(content: bytes, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    """By the members' own headers, so that an archive without its end is read too. Names are plain in the content."""
    at = content.find(_ZIP)
    while at >= 0:
        header = content[at : at + _ZIP_HEADER]
        method, size, name_size, extra_size = (
            int.from_bytes(header[begin:end], "little")
            for begin, end in ((8, 10), (18, 22), (26, 28), (28, 30))
        )
        behind_name = at + _ZIP_HEADER + name_size
        name = content[at + _ZIP_HEADER : behind_name].decode(errors="replace")
        start = behind_name + extra_size
        member, end = b"", at + len(_ZIP)
        if method == _ZIP_STORED:
            member = allowance.taken(content[start : start + size])
        elif method == _ZIP_LZMA:  # behind four bytes of its own, as `.lzma` but for the length
            packed = content[start + 4 : start + 9] + b"\xff" * 8 + content[start + 9 :]
            member, _ = allowance.inflate(lzma.LZMADecompressor, packed, 0)
        elif make := _ZIP_METHODS.get(method):
            member, behind = allowance.inflate(make, content, start)
            end = max(end, behind)
        yield from _some(member, f"zip:{name}")
        at = content.find(_ZIP, end)


def _pack(content: bytes, at: int, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    """The entries of a git pack. Of a delta, what it adds to its base is plain in it."""
    while at < len(content):
        kind = content[at] >> 4 & 7
        at = _behind_number(content, at)
        if kind == _PACK_BASE_BY_OFFSET:
            at = _behind_number(content, at)
        elif kind == _PACK_BASE_BY_ID:
            at += 20
        member, end = allowance.inflate(zlib.decompressobj, content, at)
        yield from _some(member, "git pack")
        if end == at:  # the checksum behind the last entry
            return
        at = end


def _behind_number(content: bytes, at: int) -> int:
    """Where a number ends whose bytes but the last have their highest bit set."""
    while at < len(content) and content[at] & 0x80:
        at += 1
    return at + 1


def _base64(content: bytes, allowance: _Allowance) -> Iterator[tuple[bytes, str]]:
    """What runs of base64 stand for: the long ones each, the others, most of which are digests, as one member."""
    short = []
    for run in base64_runs(content):
        text = run.translate(_TO_STANDARD)
        text = text[: len(text) - (len(text) % 4 == 1)]
        if len(text) < _TELLING_RUN and not text.startswith(_ZLIB_IN_BASE64):
            short.append(text + b"A" * (-len(text) % 4))
        elif allowance.left > 0:
            yield allowance.taken(base64.b64decode(text + b"=" * (-len(text) % 4))), "base64 run"
    if short and allowance.left > 0:
        yield allowance.taken(base64.b64decode(_APART.join(short))), "base64 run"


def base64_runs(content: bytes) -> Iterator[bytes]:
    """Every run of base64 without its padding; one that is folded into lines is one, its short last line included."""
    kinds = content.translate(_IS_BASE64) + b"\0"
    behind = 0
    while (at := kinds.find(_RUN, behind)) >= 0:
        lines = []
        while (behind := kinds.index(b"\0", at)) > at:
            lines.append(content[at:behind])
            fold = _FOLD.match(content, behind)
            if fold is None or (behind - at) % 4:
                break
            at = fold.end()
        yield b"".join(lines)
