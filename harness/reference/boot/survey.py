"""Looking at the live tree: by stat where nothing was touched since the last look, by content where it was."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from stat import S_ISREG

from . import files
from .files import Kind
from .plan import ABSENT, Live
from .state import Seen, Stamp

_PIECE = 1 << 20
_BUFFER = 128 << 10
"""Bytes read and hashed at once: no more than what stays in a processor's cache."""
_LARGE = 256 << 10
"""Bytes of a file that is worth a thread's while."""
_MOST_PENDING = 16
_WAITS = 8
"""Of a few milliseconds each: a clock that is set back meanwhile is not waited for."""
_FILE_CLOCK = 5
"""CLOCK_REALTIME_COARSE of Linux, which file systems stamp with; Python has no name for it."""
_RESOLUTION = time.clock_getres(_FILE_CLOCK)
TICK = 2 * _RESOLUTION
"""Seconds: two ticks of the clock that file systems stamp with. A file stamped later than this before a look could be
changed once more under the same stamp, so such a stamp is not remembered."""


def _settled() -> int:
    """Stamps before this moment, in nanoseconds, may be remembered."""
    return time.clock_gettime_ns(_FILE_CLOCK) - round(TICK * 1e9)


def let_settle(changed: int) -> None:
    """Wait until what was stamped up to this moment (`time.time_ns`) can be remembered by a survey."""
    for _ in range(_WAITS):
        left = changed - _settled()
        if left < 0:
            return
        time.sleep(min(left / 1e9, TICK) + _RESOLUTION / 4)


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

    def note(self, path: str, mode: int, stamp: Stamp, digest: str | None) -> None:
        """A regular file that was read just now; `digest` None where it could not be."""
        if digest and stamp.changed < self.settled:
            self.seen[path] = Seen(stamp, digest)
        self.live[path] = Live("file", mode, stamp.size, digest, damage=None if digest else "unreadable")

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
    found = Survey(settled=_settled())
    written = written or {}
    by_directory: dict[str, list[str]] = {}
    for path in paths:
        by_directory.setdefault(path.rpartition("/")[0], []).append(path)
    with files.descent(root) as walk, _Reading(found) as reading:
        for parent in sorted(by_directory):
            try:
                directory = walk.enter(parent.split("/") if parent else [])
            except (FileNotFoundError, NotADirectoryError) as error:
                if isinstance(error, NotADirectoryError):
                    found.obstacles[error.filename] = "other"
                found.live |= dict.fromkeys(by_directory[parent], ABSENT)
                continue
            for path in by_directory[parent]:
                _look(directory, path, seen.get(path), written.get(path), found, reading)
    return found


def _look(
    directory: int, path: str, seen: Seen | None, written: Seen | None, found: Survey, reading: _Reading
) -> None:
    status = files.status(directory, path.rpartition("/")[2])
    if status is None:
        found.live[path] = ABSENT
        return
    mode = status.st_mode & 0o7777
    if (
        seen is not None
        and seen.stamp == (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        and S_ISREG(status.st_mode)
    ):
        found.stamps[path] = seen.stamp
        found.seen[path] = seen
        found.live[path] = Live("file", mode, status.st_size, seen.sha256)
        return
    kind = files.kind_of(status.st_mode)
    if kind != "file":
        found.live[path] = Live(kind, mode)
        return
    stamp = Stamp.of(status)
    found.stamps[path] = stamp
    if written is not None and written.stamp[:3] == stamp[:3]:
        found.note(path, mode, stamp, written.sha256)
    else:
        reading.read(directory, path, mode, stamp)


class _Reading:
    """Reads what has to be read; large files beside each other, since hashing them keeps one processor each."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._buffer = bytearray(_BUFFER)
        self._readers = ThreadPoolExecutor(os.cpu_count())
        self._pending: deque[tuple[str, int, Stamp, Future[str | None]]] = deque()

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._settle(0)
        self._readers.shutdown()

    def read(self, directory: int, path: str, mode: int, stamp: Stamp) -> None:
        try:
            file = files.open_to_read(directory, path.rpartition("/")[2])
        except OSError:
            self._found.note(path, mode, stamp, None)
            return
        if stamp.size < _LARGE:
            self._found.note(path, mode, stamp, _digest(file, self._buffer))
            return
        self._settle(_MOST_PENDING)
        self._pending.append((path, mode, stamp, self._readers.submit(_digest, file)))

    def _settle(self, most: int) -> None:
        """Wait until no more than so many are pending, each of which has a file open."""
        while len(self._pending) > most:
            path, mode, stamp, digest = self._pending.popleft()
            self._found.note(path, mode, stamp, digest.result())


def _digest(file: int, buffer: bytearray | None = None) -> str | None:
    """None where the file cannot be read; it is closed."""
    try:
        return files.digest_of(file, buffer or bytearray(_BUFFER))
    except OSError:
        return None
    finally:
        os.close(file)


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
