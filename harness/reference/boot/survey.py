"""Looking at the live tree: by stat where nothing was touched since the last look, by content where it was."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from . import files
from .files import Descent, Kind
from .plan import Live
from .state import Seen, Stamp

_PIECE = 1 << 20
_FILE_CLOCK = 5
"""CLOCK_REALTIME_COARSE of Linux, which file systems stamp with; Python has no name for it."""
TICK = 2 * time.clock_getres(_FILE_CLOCK)
"""Seconds: two ticks of the clock that file systems stamp with. A file stamped later than this before a look could be
changed once more under the same stamp, so such a stamp is not remembered."""


@dataclass(slots=True)
class Survey:
    """The paths asked for, as they are on the volume."""

    live: dict[str, Live] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    """Of regular files."""
    obstacles: dict[str, Kind] = field(default_factory=dict)
    """Where a directory is needed and something else is."""
    looked_at: int = 0
    """When the survey began, by the clock of file systems, in nanoseconds."""

    def seen(self) -> dict[str, Seen]:
        """What the next boot may take for read."""
        return {
            path: Seen(stamp, digest)
            for path, stamp in self.stamps.items()
            if (digest := self.live[path].sha256) and stamp.changed < self.looked_at - TICK * 1e9
        }


def survey(root: int, paths: Iterable[str], seen: Mapping[str, Seen]) -> Survey:
    """`root` is the open config root; `seen` what an earlier survey may be trusted for (empty: read everything)."""
    found = Survey(looked_at=time.clock_gettime_ns(_FILE_CLOCK))
    with files.descent(root) as walk:
        for path in sorted(paths, key=_by_directory):
            _look(walk, path, seen.get(path), found)
    return found


def _by_directory(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name


def _look(walk: Descent, path: str, seen: Seen | None, found: Survey) -> None:
    *parents, name = path.split("/")
    try:
        directory = walk.enter(parents)
        status = files.status(directory, name)
    except FileNotFoundError:
        status = None
    except NotADirectoryError as error:
        found.obstacles[error.filename] = "other"
        status = None
    if status is None:
        found.live[path] = Live("absent")
        return
    kind = files.kind_of(status.st_mode)
    mode = status.st_mode & 0o7777
    if kind != "file":
        found.live[path] = Live(kind, mode)
        return
    stamp = Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest = seen.sha256 if seen is not None and seen.stamp == stamp else _digest(directory, name)
    found.stamps[path] = stamp
    found.live[path] = Live(kind, mode, stamp.size, digest, damage=None if digest else "unreadable")


def _digest(directory: int, name: str) -> str | None:
    """None where the file cannot be read."""
    digest = sha256()
    with suppress(OSError):
        file = files.open_to_read(directory, name)
        try:
            while piece := os.read(file, _PIECE):
                digest.update(piece)
        finally:
            os.close(file)
        return digest.hexdigest()
    return None


class LiveContent:
    """The bytes of a live file, for the judgement of damage."""

    def __init__(self, root: int, path: str, size: int) -> None:
        self._root = root
        self._path = path
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def pieces(self) -> Iterator[bytes]:
        """Raises OSError."""
        *parents, name = self._path.split("/")
        with files.descent(self._root) as walk:
            file = files.open_to_read(walk.enter(parents), name)
            try:
                while piece := os.read(file, _PIECE):
                    yield piece
            finally:
                os.close(file)
