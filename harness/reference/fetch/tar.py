"""Reading the tar stream of an archive, strictly: what a forge's archives are made of, and nothing else.

General readers take a bad header or a cut between two members for the end of the archive and say nothing; that is how
skills get lost. Here an archive ends with its end mark and nothing behind it, or it is corrupt.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Protocol

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20
_LONGEST_EXTENSION = 1 << 20
"""Bytes of a header that extends another: far more than any path."""
_FILE = (tarfile.REGTYPE, tarfile.AREGTYPE)


class TarCorrupt(ValueError):
    """The stream is no whole archive of files; the message says what is wrong."""

    code = "archive-corrupt"


class TarOverlong(TarCorrupt):
    """The archive is whole, and something that does not belong to it comes behind its end."""

    code = "archive-overlong"

    def __init__(self) -> None:
        super().__init__("has something behind its end")


class Source(Protocol):
    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end of the stream."""


class Member:
    """A regular file of the archive. Its pieces must be taken before the next member."""

    def __init__(self, path: bytes, size: int, source: Source) -> None:
        self.path = path
        self.size = size
        self._source = source
        self._left = size

    def pieces(self) -> Iterator[bytes]:
        """Raises TarCorrupt."""
        while self._left:
            piece = self._source.read(min(self._left, _PIECE))
            if not piece:
                raise TarCorrupt("is cut short in a file")
            self._left -= len(piece)
            yield piece

    def skip(self) -> None:
        for _ in self.pieces():
            pass
        if len(self._source.read(-self.size % _BLOCK)) != -self.size % _BLOCK:
            raise TarCorrupt("is cut short behind a file")


class Tar:
    """`comment` is that of the global header, where git puts the commit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.comment: str | None = None

    def members(self) -> Iterator[Member]:
        """The regular files, in order, up to the proven end of the stream. Raises TarCorrupt."""
        extended: dict[bytes, bytes] = {}
        while True:
            header = self._source.read(_BLOCK)
            if header == bytes(_BLOCK):
                break
            info = _parsed(header)
            if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
                extension = self._extension(info.size)
                if info.type == tarfile.GNUTYPE_LONGNAME:
                    extended[b"path"] = extension.rstrip(b"\0")
                elif info.type == tarfile.XHDTYPE:
                    extended |= _records(extension)
                else:
                    self.comment = _records(extension).get(b"comment", b"").decode("ascii", "replace")
                continue
            path = extended.get(b"path") or info.name.encode("utf-8", "surrogateescape")
            size = _size(extended.get(b"size"), info)
            extended = {}
            if info.type in _FILE:
                member = Member(path, size, self._source)
                yield member
                member.skip()
            elif info.type not in (tarfile.DIRTYPE, tarfile.SYMTYPE) or size:
                # A link is judged by the listing, and carries no bytes.
                raise TarCorrupt(f"holds an entry of type {info.type!r}")
        self._expect_end()

    def _extension(self, size: int) -> bytes:
        if size > _LONGEST_EXTENSION:
            raise TarCorrupt("has a header larger than any path")
        padded = size + -size % _BLOCK
        content = self._source.read(padded)
        if len(content) != padded:
            raise TarCorrupt("is cut short in a header")
        return content[:size]

    def _expect_end(self) -> None:
        if self._source.read(_BLOCK) != bytes(_BLOCK):
            raise TarCorrupt("has no whole end mark")
        while rest := self._source.read(_PIECE):
            if rest.strip(b"\0"):
                raise TarOverlong


def _parsed(header: bytes) -> tarfile.TarInfo:
    if len(header) != _BLOCK:
        raise TarCorrupt("is cut short between two files")
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise TarCorrupt("has a broken header") from error


def _size(extended: bytes | None, info: tarfile.TarInfo) -> int:
    if (extended is not None and not extended.isdigit()) or info.size < 0:
        raise TarCorrupt("has a broken size")
    return int(extended) if extended is not None else info.size


def _records(text: bytes) -> dict[bytes, bytes]:
    """Of an extended header: `length SP key=value LF`, the length in bytes and of the whole record."""
    records: dict[bytes, bytes] = {}
    while text:
        length, space, _ = text.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 3 <= int(length) <= len(text):
            raise TarCorrupt("has a broken extended header")
        record, text = text[len(length) + 1 : int(length)], text[int(length) :]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise TarCorrupt("has a broken extended header")
        records[key] = value[:-1]
    return records
