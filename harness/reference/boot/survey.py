"""Looking at the live tree: by stat where nothing was touched since the last look, by content where it was."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from . import files
from .files import Kind
from .plan import ABSENT, Live
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
    seen: dict[str, Seen] = field(default_factory=dict)
    """What the next survey may take for read."""
    settled: int = 0
    """Stamps before this moment, in nanoseconds, may be remembered."""

    def update(self, later: Survey) -> None:
        """Take over what a later survey of some of the paths found."""
        for path in later.live:
            self.stamps.pop(path, None)
            self.seen.pop(path, None)
        self.live |= later.live
        self.stamps |= later.stamps
        self.seen |= later.seen


def survey(
    root: int, paths: Iterable[str], seen: Mapping[str, Seen], written: Mapping[str, Seen] | None = None
) -> Survey:
    """`root` is the open config root; `seen` what an earlier survey may be trusted for (empty: read everything).

    `written` is what this process wrote under other names just now, so that only the time of change may differ.
    """
    found = Survey(settled=time.clock_gettime_ns(_FILE_CLOCK) - round(TICK * 1e9))
    written = written or {}
    by_directory: dict[str, list[str]] = {}
    for path in paths:
        by_directory.setdefault(path.rpartition("/")[0], []).append(path)
    with files.descent(root) as walk:
        for parent in sorted(by_directory):
            try:
                directory = walk.enter(parent.split("/") if parent else [])
            except (FileNotFoundError, NotADirectoryError) as error:
                if isinstance(error, NotADirectoryError):
                    found.obstacles[error.filename] = "other"
                found.live |= dict.fromkeys(by_directory[parent], ABSENT)
                continue
            for path in by_directory[parent]:
                _look(directory, path, seen.get(path), written.get(path), found)
    return found


def _look(directory: int, path: str, seen: Seen | None, written: Seen | None, found: Survey) -> None:
    name = path.rpartition("/")[2]
    status = files.status(directory, name)
    if status is None:
        found.live[path] = ABSENT
        return
    kind = files.kind_of(status.st_mode)
    mode = status.st_mode & 0o7777
    if kind != "file":
        found.live[path] = Live(kind, mode)
        return
    stamp = Stamp.of(status)
    found.stamps[path] = stamp
    if seen is not None and seen.stamp == stamp:
        found.seen[path] = seen
        found.live[path] = Live(kind, mode, stamp.size, seen.sha256)
        return
    if written is not None and written.stamp[:3] == stamp[:3]:
        digest: str | None = written.sha256
    else:
        digest = _digest(directory, name)
    if digest and stamp.changed < found.settled:
        found.seen[path] = Seen(stamp, digest)
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
