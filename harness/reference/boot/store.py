"""Generations: asset sets kept whole on the volume, as merge base, heal source and offline source.

A generation is a directory named by its tree digest, with one file of all bodies and an index of where each begins, so
that keeping one costs two inodes and one sequential write. Nothing out of it is believed before its digest agrees.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from hashlib import sha256

from ..allowlist import Admission
from ..errors import BootError
from ..fetch.transport import Checkout
from ..index import Entry, Index, tree_digest
from ..inspection import inspected
from ..json_text import parse_json
from . import files
from .report import encode
from .volume import Volume

_BODIES = "bodies"
_INDEX = "index.json"
_SCHEMA = 1
_PIECE = 1 << 20
_WRITEBACK = 8 << 20
"""Bytes after which the disk is set to work, while the next ones are fetched and hashed."""
_LONGEST_INDEX = 256 << 20


class GenerationCorrupt(Exception):
    """The copy on the volume is not what it was: it must be fetched again."""


class Generation:
    """One asset set, open for reading. Bodies are verified by whoever reads them to their end."""

    def __init__(
        self,
        bodies: int,
        index: Index,
        offsets: Callable[[], Mapping[str, int]],
        *,
        digest: str | None = None,
        fresh: bool = False,
    ) -> None:
        """`fresh` says that this process has just written and hashed the bodies."""
        self._bodies = bodies
        self._fresh = fresh
        self._find_offsets = offsets
        self.index = index
        self.digest = digest or tree_digest(index)

    @cached_property
    def offsets(self) -> Mapping[str, int]:
        """Where each body begins. Raises GenerationCorrupt."""
        return self._find_offsets()

    def content(self, path: str) -> StoredContent:
        return StoredContent(self._bodies, self.offsets[path], self.index[path])

    def read(self, path: str) -> bytes:
        """Raises GenerationCorrupt."""
        return b"".join(self.content(path).pieces())

    def copy(self, path: str, file: int) -> None:
        """Raises GenerationCorrupt, OSError."""
        if self._fresh:
            self._copy_unread(path, file)
            return
        for piece in self.content(path).pieces():
            files.write_all(file, piece)

    def _copy_unread(self, path: str, file: int) -> None:
        """What this process hashed as it wrote it is not hashed again."""
        position, left = self.offsets[path], self.index[path].size
        while left:
            count = os.copy_file_range(self._bodies, file, left, position)
            if not count:
                raise GenerationCorrupt
            position, left = position + count, left - count

    def close(self) -> None:
        os.close(self._bodies)


class StoredContent:
    """One body in a generation."""

    def __init__(self, bodies: int, offset: int, entry: Entry) -> None:
        self._bodies = bodies
        self._offset = offset
        self._entry = entry

    @property
    def size(self) -> int:
        return self._entry.size

    def pieces(self) -> Iterator[bytes]:
        """Raises GenerationCorrupt at the end, when what was given is not what was stored."""
        digest = sha256()
        position, end = self._offset, self._offset + self._entry.size
        while position < end:
            piece = os.pread(self._bodies, min(_PIECE, end - position), position)
            if not piece:
                break
            digest.update(piece)
            position += len(piece)
            yield piece
        if digest.hexdigest() != self._entry.sha256:
            raise GenerationCorrupt


def open_recorded(volume: Volume, digest: str, index: Index) -> Generation | None:
    """The generation that the state names and describes: where each body begins is read when one is asked for.

    None for a copy that is missing or visibly not whole.
    """
    try:
        directory = files.open_directory(volume.generations, digest)
    except OSError:
        return None
    try:
        bodies = files.open_to_read(directory, _BODIES)
    except OSError:
        return None
    finally:
        os.close(directory)
    if os.fstat(bodies).st_size != sum(entry.size for entry in index.values()):
        os.close(bodies)
        return None

    def offsets() -> Mapping[str, int]:
        whole = open_generation(volume, digest)
        if whole is None:
            raise GenerationCorrupt
        with closing(whole):
            return whole.offsets

    return Generation(bodies, index, offsets, digest=digest)


def open_generation(volume: Volume, digest: str) -> Generation | None:
    """None for a copy that is missing or visibly not whole."""
    try:
        directory = files.open_directory(volume.generations, digest)
    except OSError:
        return None
    try:
        stored = parse_json(files.read_whole(directory, _INDEX, _LONGEST_INDEX))
        index = {path: Entry(mode, size, sha) for path, (mode, size, sha, _) in stored["files"].items()}
        offsets = {path: offset for path, (_, _, _, offset) in stored["files"].items()}
        if stored["schema"] != _SCHEMA or tree_digest(index) != digest:
            return None
        bodies = files.open_to_read(directory, _BODIES)
        if os.fstat(bodies).st_size != sum(entry.size for entry in index.values()):
            os.close(bodies)
            return None
        return Generation(bodies, index, lambda: offsets, digest=digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        os.close(directory)


def recover_generation(volume: Volume) -> Generation | None:
    """The newest whole generation, for a volume that has lost its state: then the base is known all the same."""
    ages = [
        (status.st_mtime_ns, name)
        for name in files.names(volume.generations)
        if (status := files.status(volume.generations, name))
    ]
    for _, name in sorted(ages, reverse=True):
        if generation := open_generation(volume, name):
            return generation
    return None


def store_generation(
    volume: Volume, admission: Admission, checkout: Checkout, secrets: Sequence[bytes]
) -> Generation:
    """Keep an asset set on the volume. Not yet durable when this returns.

    Raises BootError of the transport and of `inspected`; OSError.
    """
    wanted = list(admission.assets.values())
    names = {file.path: path for path, file in admission.assets.items()}
    index: dict[str, Entry] = {}
    offsets: dict[str, int] = {}
    with volume.staging() as staging:
        os.mkdir("generation", 0o700, dir_fd=staging)
        directory = files.open_directory(staging, "generation")
        try:
            with os.fdopen(files.create(directory, _BODIES, 0o600), "wb", buffering=_PIECE) as bodies:
                position = on_the_way = 0
                for file, pieces in checkout.bodies(wanted):
                    path = names[file.path]
                    digest, size = sha256(), 0
                    for piece in inspected(path, pieces, secrets):
                        digest.update(piece)
                        size += len(piece)
                        bodies.write(piece)
                    index[path] = Entry(file.mode, size, digest.hexdigest())
                    offsets[path] = position
                    position += size
                    if position - on_the_way >= _WRITEBACK:
                        bodies.flush()
                        volume.kernel.start_writeback(bodies.fileno(), on_the_way, position - on_the_way)
                        on_the_way = position
            if lacking := admission.assets.keys() - index.keys():
                raise BootError(
                    "archive-corrupt",
                    f"{len(lacking)} files did not arrive, {min(lacking)!r} for one",
                    "restart the workspace to fetch them again",
                )
            stored = {path: [*entry, offsets[path]] for path, entry in index.items()}
            with os.fdopen(files.create(directory, _INDEX, 0o600), "wb") as listing:
                listing.write(encode({"schema": _SCHEMA, "files": stored}))
            generation = Generation(
                files.open_to_read(directory, _BODIES), index, lambda: offsets, fresh=True
            )
        finally:
            os.close(directory)
        with suppress(FileNotFoundError):
            os.rename(generation.digest, "before", src_dir_fd=volume.generations, dst_dir_fd=staging)
        os.rename("generation", generation.digest, src_dir_fd=staging, dst_dir_fd=volume.generations)
    return generation


def drop_other_generations(volume: Volume, digest: str) -> None:
    """Keep one. Never raises: what stays only takes room."""
    with suppress(OSError), volume.staging() as staging:
        for name in files.names(volume.generations):
            if name != digest:
                os.rename(name, name, src_dir_fd=volume.generations, dst_dir_fd=staging)
