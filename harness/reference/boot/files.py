"""Files reached from an open directory, one name at a time, so that no planted link is ever followed (ALW-4)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Literal

Kind = Literal["absent", "file", "directory", "link", "fifo", "other"]

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""What is new is made behind no link either."""
_EXCHANGE = 2
_NOREPLACE = 1
_SYNC_FILE_RANGE_WRITE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EXDEV)


def kind_of(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "fifo" if stat.S_ISFIFO(mode) else "other"


def status(directory: int, name: str) -> os.stat_result | None:
    """Of the name itself, never of what it points at; None where nothing is."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def open_directory(parent: int, name: str) -> int:
    """Raises NotADirectoryError, which is what Linux says of a link too where a directory is asked for."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def open_to_read(directory: int, name: str) -> int:
    """A regular file. Raises OSError, for anything else too."""
    file = os.open(name, _READ, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return file


def create(directory: int, name: str, mode: int = 0o644) -> int:
    """A new file, open for writing. Raises FileExistsError."""
    return os.open(name, _WRITE, mode, dir_fd=directory)


def read_whole(directory: int, name: str, longest: int) -> bytes:
    """Raises OSError, EFBIG for a file of more than `longest` bytes."""
    file = open_to_read(directory, name)
    with os.fdopen(file, "rb") as stream:
        size = os.fstat(file).st_size
        if size > longest:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        return stream.read(longest)


def digest_of(file: int, buffer: bytearray) -> str:
    """sha256 of an open file from where it stands to its end, read through `buffer`. Raises OSError."""
    digest, view = sha256(), memoryview(buffer)
    while count := os.readv(file, (buffer,)):
        digest.update(view[:count])
    return digest.hexdigest()


def write_all(file: int, content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


class Descent:
    """Directories under one root, opened as paths ask for them; neighbours share what is open."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: list[tuple[str, int]] = []

    def enter(self, parts: list[str], *, make: bool = False) -> int:
        """The directory at `parts`. Raises FileNotFoundError, NotADirectoryError with `filename` the path up to it."""
        common = 0
        while common < len(parts) and common < len(self._open) and self._open[common][0] == parts[common]:
            common += 1
        self._leave(common)
        for depth in range(common, len(parts)):
            parent, name = self._open[-1][1] if self._open else self._root, parts[depth]
            try:
                directory = open_directory(parent, name)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(name, 0o755, dir_fd=parent)
                directory = open_directory(parent, name)
            except NotADirectoryError as error:
                raise NotADirectoryError(error.errno, error.strerror, "/".join(parts[: depth + 1])) from None
            self._open.append((name, directory))
        return self._open[-1][1] if self._open else self._root

    def close(self) -> None:
        self._leave(0)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])


@contextmanager
def descent(root: int) -> Iterator[Descent]:
    walk = Descent(root)
    try:
        yield walk
    finally:
        walk.close()


class Kernel:
    """Calls that Python has no name for."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)

    def syncfs(self, file: int) -> None:
        """Everything written to the file system of `file` is durable afterwards. Raises OSError."""
        if self._library.syncfs(file) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def start_writeback(self, file: int, offset: int, size: int) -> None:
        """Let the disk begin with these bytes (`size` 0: all from `offset`) while there is more to do.

        A hint, which makes nothing durable: what fails here is for `syncfs` to tell.
        """
        self._library.sync_file_range(
            file, ctypes.c_int64(offset), ctypes.c_int64(size), _SYNC_FILE_RANGE_WRITE
        )

    def exchange(self, from_directory: int, from_name: str, to_directory: int, to_name: str) -> bool:
        """Swap two names in one step; False where this file system cannot. Raises OSError."""
        return self._rename(from_directory, from_name, to_directory, to_name, _EXCHANGE)

    def rename_into_place(self, from_directory: int, from_name: str, to_directory: int, to_name: str) -> bool:
        """Rename to a name that is free; False where this file system cannot say. Raises FileExistsError, OSError."""
        return self._rename(from_directory, from_name, to_directory, to_name, _NOREPLACE)

    def _rename(
        self, from_directory: int, from_name: str, to_directory: int, to_name: str, flags: int
    ) -> bool:
        names = os.fsencode(from_name), os.fsencode(to_name)
        if self._library.renameat2(from_directory, names[0], to_directory, names[1], flags) == 0:
            return True
        code = ctypes.get_errno()
        if code in _UNSUPPORTED:
            return False
        raise OSError(code, os.strerror(code), to_name)
