"""The data volume: its directories, the lock that keeps two boots apart, and what its errors mean."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import FrameType

from ..errors import BootError
from . import files
from .files import Kernel, descent

log = logging.getLogger(__name__)

OWN = ".boot"
CONFIGS = "configs"
_STAGING = "staging-"
_DISPLACED = "displaced-"
_ASIDE = "aside"
_GENERATIONS = "generations"
_KEPT_ASIDE = 5
"""Versions of one path; the oldest goes when another comes."""
_VERSION = re.compile(r"\d{4}\.[a-z]+")
"""What such a version is called; what else is beside it was kept of paths below."""
_LOCK_PATIENCE = 10.0
"""Seconds that an earlier boot or agent on this volume has for ending."""


class Volume:
    """An open volume, locked. Use `open_volume`."""

    def __init__(self, path: Path, root: int, own: int, lock: int) -> None:
        self.path = path
        self.own = own
        self.lock = lock
        """Held until the last process that has this descriptor ends: the agent inherits it."""
        self.kernel = Kernel()
        self.read_only = bool(os.fstatvfs(root).f_flag & os.ST_RDONLY)
        if not self.read_only:
            self._sweep()
        self.configs = _real_directory(root, CONFIGS, own)
        self.generations = _real_directory(own, _GENERATIONS, own)
        if not self.read_only:
            os.close(_real_directory(own, _ASIDE, own))

    @contextmanager
    def staging(self) -> Iterator[int]:
        """A new directory on the volume, outside the live tree; gone at the end with what is left in it."""
        name = _STAGING + os.urandom(8).hex()
        os.mkdir(name, 0o700, dir_fd=self.own)
        directory = files.open_directory(self.own, name)
        try:
            yield directory
        finally:
            os.close(directory)
            shutil.rmtree(name, ignore_errors=True, dir_fd=self.own)

    def publish(self, staging: int, name: str, directory: int, target: str) -> None:
        """Put a staged file at a name, whatever stood there; a directory there is moved out of the way first."""
        try:
            os.rename(name, target, src_dir_fd=staging, dst_dir_fd=directory)
        except IsADirectoryError:
            os.rename(target, f"{name}.displaced", src_dir_fd=directory, dst_dir_fd=staging)
            os.rename(name, target, src_dir_fd=staging, dst_dir_fd=directory)

    def write(self, directory: int, target: str, content: bytes, mode: int = 0o644) -> None:
        """A whole file or the one before it. Raises OSError."""
        with self.staging() as staging:
            file = files.create(staging, "new", mode)
            try:
                files.write_all(file, content)
            finally:
                os.close(file)
            self.publish(staging, "new", directory, target)

    @contextmanager
    def aside(self, path: str, why: str) -> Iterator[tuple[int, str, str]]:
        """A free name for something of `path` that is to be kept: directory, name, and how a report calls it."""
        parts = [_ASIDE, *path.split("/")]
        with descent(self.own) as walk:
            directory = walk.enter(parts, make=True)
            kept = sorted(filter(_VERSION.fullmatch, files.names(directory)))
            for name in kept[: max(0, len(kept) - _KEPT_ASIDE + 1)]:
                _remove(directory, name)
            name = f"{int(kept[-1][:4]) + 1 if kept else 1:04d}.{why}"
            yield directory, name, "/".join([OWN, *parts, name])

    def require(self, size: int) -> None:
        """Refuse up front what cannot fit. Raises BootError `volume-full`."""
        statistics = os.fstatvfs(self.own)
        left = statistics.f_bavail * statistics.f_frsize
        if size > left:
            raise BootError("volume-full", f"the volume has {left} bytes left, {size} are needed", _ENLARGE)

    def close(self) -> None:
        for descriptor in (self.configs, self.generations, self.own, self.lock):
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what boots that were killed left behind."""
        for name in files.names(self.own):
            if name.startswith(_STAGING):
                _remove(self.own, name)


_ENLARGE = "delete what is no longer needed in the workspace, or enlarge the volume"


@contextmanager
def open_volume(path: Path, patience: float) -> Iterator[Volume]:
    """Wait for the volume (`patience` seconds) and for its lock, then open it.

    Raises BootError `volume-…`.
    """
    _await_path(path, patience)
    with volume_errors():
        root = os.open(path, os.O_DIRECTORY)
        try:
            own = _real_directory(root, OWN, root)
            volume = Volume(path, root, own, _take_lock(own))
        finally:
            os.close(root)
    try:
        yield volume
    finally:
        volume.close()


@contextmanager
def volume_errors() -> Iterator[None]:
    """What the system says of the volume, in the words of the boot report (FAIL-3)."""
    try:
        yield
    except OSError as error:
        raise explain(error) from error


def explain(error: OSError) -> BootError:
    what = f"{error.strerror or error} ({errno.errorcode.get(error.errno or 0, '?')})"
    where = f" at {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BootError("volume-full", f"the volume is full, of bytes or of inodes: {what}{where}", _ENLARGE)
    if error.errno == errno.EROFS:
        return BootError(
            "volume-read-only",
            f"the volume is read-only{where}",
            "find out why the system mounted it so (a damaged file system?), and mount it writable",
        )
    return BootError(
        "volume-error", f"the volume refuses: {what}{where}", "check the volume's file system and owners"
    )


def _await_path(path: Path, patience: float) -> None:
    """A volume may be attached after the machine started: each mount is an event on the table of mounts."""
    deadline = monotonic() + patience
    with Path("/proc/self/mountinfo").open("rb") as mounts:
        events = select.poll()
        events.register(mounts, select.POLLPRI | select.POLLERR)
        announced = False
        while not path.is_dir():
            left = deadline - monotonic()
            if left <= 0:
                raise BootError(
                    "volume-error",
                    f"no volume appeared at {path}",
                    "check that the volume is attached to this machine and mounted there",
                )
            if not announced:
                log.info("waiting for the volume at %s", path)
                announced = True
            # A directory that is merely created raises no event, hence no longer than a second.
            events.poll(min(left, 1.0) * 1000)


def _take_lock(own: int) -> int:
    """Raises BootError `volume-error` when another boot or agent keeps the volume."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        lock = os.open("lock", flags, 0o600, dir_fd=own)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        lock = os.dup(own)
    try:
        with _alarm(_LOCK_PATIENCE):
            fcntl.flock(lock, fcntl.LOCK_EX)
    except TimeoutError:
        os.close(lock)
        raise BootError(
            "volume-error",
            f"another boot or agent is using this volume and did not end within {_LOCK_PATIENCE:g} s",
            "terminate the other machine",
        ) from None
    return lock


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt a blocking call. Raises TimeoutError."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _real_directory(parent: int, name: str, own: int) -> int:
    """Open or make it. What stands in its place, a planted link for one, is moved out of the way, never followed."""
    for _ in range(2):
        try:
            return files.open_directory(parent, name)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=parent)
        except NotADirectoryError:
            log.warning("%s is no directory: moved out of the way", name)
            os.rename(name, _DISPLACED + os.urandom(8).hex(), src_dir_fd=parent, dst_dir_fd=own)
    return files.open_directory(parent, name)


def _remove(directory: int, name: str) -> None:
    status = files.status(directory, name)
    if status is None:
        return
    if files.kind_of(status.st_mode) == "directory":
        shutil.rmtree(name, ignore_errors=True, dir_fd=directory)
    else:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
