# Works with descriptors of directories, which pathlib does not know.
# ruff: noqa: PTH115, PTH123, PTH208
"""Looks into volumes and edits them, never following a link: in this process, or over HTTP from a container.

A container has only this file and `tracer`, handed to its Python as text, so nothing but the standard library may be
imported.
Volumes are hostile ground: a name may be a link, a fifo, or not UTF-8, and it may change while it is looked at.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import http.server
import json
import os
import secrets
import shutil
import stat
import struct
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from .tracer import Tracer

Kind = Literal["file", "directory", "link", "fifo", "other"]

Row = tuple[str, Kind, int, int, int, int, int, "str | None", "str | None"]
"""path, kind, permission bits, size, inode, mtime and ctime in ns, SHA-256 or None, target of a link or None."""

FRAME = struct.Struct(">IQ")
"""What stands before each file of a stream: the length of its path, and of its content. Two zeros end the stream."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CHUNK = 1 << 20
_VANISHED = (FileNotFoundError, NotADirectoryError)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "fifo" if stat.S_ISFIFO(mode) else "other"


def _parts(path: str) -> list[str]:
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise OSError(errno.EINVAL, "not a path relative to the volume's root", path)
    return parts


def _open_file(directory: int, name: str, path: str) -> int:
    """Open for reading what must be a regular file; never blocks on a fifo."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, "not a regular file", path)
    return descriptor


def _digest(directory: int, name: str, path: str) -> str | None:
    """None if it may not be read, or is no regular file any more."""
    try:
        descriptor = _open_file(directory, name, path)
    except OSError:
        return None
    digest = hashlib.sha256()
    with open(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Tree:
    """A directory tree. Paths are relative to its root; bytes that are not UTF-8 are surrogate-escaped."""

    def __init__(self, root: str) -> None:
        self.root = root

    def rows(self, under: str = "", *, digest: bool = True) -> list[Row]:
        """One row for each path at or below `under`, but for the root; none if it does not exist."""
        rows: list[Row] = []
        for directory, name, path, status in self._walk(under):
            kind = _kind(status.st_mode)
            sha256 = _digest(directory, name, path) if digest and kind == "file" else None
            target = None
            if kind == "link":
                try:
                    target = os.readlink(name, dir_fd=directory)
                except OSError:
                    continue
            rows.append(
                (
                    path,
                    kind,
                    stat.S_IMODE(status.st_mode),
                    status.st_size,
                    status.st_ino,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                    sha256,
                    target,
                )
            )
        return rows

    @contextmanager
    def open(self, path: str) -> Iterator[int]:
        """A descriptor of a regular file."""
        with self._parent(path) as (directory, name):
            descriptor = _open_file(directory, name, path)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def read(self, path: str) -> bytes:
        with self.open(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return file.read()

    def files(self, under: str = "") -> Iterator[tuple[str, bytes]]:
        for directory, name, path, status in self._walk(under):
            if not stat.S_ISREG(status.st_mode):
                continue
            try:
                descriptor = _open_file(directory, name, path)
            except _VANISHED:
                continue
            with open(descriptor, "rb") as file:
                content = file.read()
            yield path, content

    def write(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        with self._parent(path, make=True) as (directory, name):
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            try:
                descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
            except FileExistsError:
                descriptor = os.open(name, flags | os.O_TRUNC, dir_fd=directory)
            else:
                mode = 0o644 if mode is None else mode
                self._adopt(directory, descriptor)
            with open(descriptor, "wb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file", path)
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
                if mode is not None:
                    os.fchmod(descriptor, mode)

    def make_directory(self, path: str) -> None:
        os.close(self._enter(_parts(path), make=True))

    def make_link(self, path: str, target: str) -> None:
        with self._parent(path, make=True) as (directory, name):
            os.symlink(target, name, dir_fd=directory)

    def make_fifo(self, path: str) -> None:
        with self._parent(path, make=True) as (directory, name):
            os.mkfifo(name, 0o644, dir_fd=directory)

    def chmod(self, path: str, mode: int) -> None:
        with self._parent(path) as (directory, name):
            # A link has no mode of its own, and Linux would change its target's.
            if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, "a link has no mode of its own", path)
            os.chmod(name, mode, dir_fd=directory)

    def remove(self, path: str) -> None:
        if not path:
            root = self._enter([])
            try:
                for name in os.listdir(root):
                    self._remove(root, name)
            finally:
                os.close(root)
            return
        with self._parent(path) as (directory, name):
            self._remove(directory, name)

    def copy_to(self, target: str) -> None:
        """Copy everything into the existing directory `target`, with its modes, owners, times and hard links."""
        done = subprocess.run(
            ["cp", "-a", "--", f"{self.root}/.", target],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise OSError(errno.EIO, f"cp: {done.stderr.decode(errors='replace').strip()}", self.root)

    def _remove(self, directory: int, name: str) -> None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=directory)
            return
        try:
            shutil.rmtree(name, dir_fd=directory)
        except PermissionError:
            # Not root, and a directory in there is closed to its own owner.
            self._open_up(directory, name)
            shutil.rmtree(name, dir_fd=directory)

    def _open_up(self, directory: int, name: str) -> None:
        os.chmod(name, 0o700, dir_fd=directory)
        inside = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            for child in os.listdir(inside):
                if stat.S_ISDIR(os.stat(child, dir_fd=inside, follow_symlinks=False).st_mode):
                    self._open_up(inside, child)
        finally:
            os.close(inside)

    def _adopt(self, directory: int, descriptor: int) -> None:
        """Give what root makes to the owner of the directory, as if the machine had made it."""
        if os.geteuid() == 0:
            owner = os.fstat(directory)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def _enter(self, parts: list[str], *, make: bool = False) -> int:
        """A descriptor of a directory, reached step by step so that no part of the way is a link."""
        descriptor = os.open(self.root, _DIRECTORY)
        try:
            for part in parts:
                made = False
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=descriptor)
                        made = True
                inside = os.open(part, _DIRECTORY, dir_fd=descriptor)
                if made:
                    self._adopt(descriptor, inside)
                os.close(descriptor)
                descriptor = inside
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        parts = _parts(path)
        if not parts:
            raise IsADirectoryError(errno.EISDIR, "the root of the volume is a directory", path)
        directory = self._enter(parts[:-1], make=make)
        try:
            yield directory, parts[-1]
        finally:
            os.close(directory)

    def _walk(self, under: str) -> Iterator[tuple[int, str, str, os.stat_result]]:
        """Directory's descriptor, name in it, path and status, parents first. Depth costs descriptors, not stack."""
        parts = _parts(under)
        try:
            first = self._enter(parts[:-1])
        except OSError as error:
            if error.filename == self.root or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return
        above = "/".join(parts[:-1])
        stack = [(first, above, iter(parts[-1:] if parts else sorted(os.listdir(first))))]
        try:
            while stack:
                directory, prefix, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                path = f"{prefix}/{name}" if prefix else name
                try:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    yield directory, name, path, status
                    if stat.S_ISDIR(status.st_mode):
                        inside = os.open(name, _DIRECTORY, dir_fd=directory)
                        stack.append((inside, path, iter(sorted(os.listdir(inside)))))
                except _VANISHED:
                    continue
        finally:
            for directory, _, _ in stack:
                os.close(directory)


def processes(init: int) -> list[tuple[int, list[str], dict[str, str]]]:
    """Pid, argv and environment of each process in the pid namespace of process `init`; none if it is gone."""
    found = []
    try:
        namespace = os.readlink(f"/proc/{init}/ns/pid")
    except FileNotFoundError:
        return []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") != namespace:
                continue
        except (FileNotFoundError, PermissionError):
            continue  # gone, or so much the engine's own that not even this may look at it
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                argv = file.read()
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if argv:  # a zombie has none
            pairs = (os.fsdecode(pair).partition("=") for pair in environment.split(b"\0") if b"=" in pair)
            found.append(
                (
                    int(name),
                    [os.fsdecode(argument) for argument in argv.split(b"\0")[:-1]],
                    {key: value for key, _, value in pairs},
                )
            )
    return found


class Keeper(http.server.ThreadingHTTPServer):
    """Serves the trees below `root`, `<root>/<name>/_data` each, to who knows the token; only names with the prefix."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], root: str, prefix: str, token: str) -> None:
        super().__init__(address, _Handler)
        self.root = root
        self.prefix = prefix
        self.token = token
        self._tracers: dict[str, Tracer] = {}

    def tree(self, name: str) -> Tree:
        if not name.startswith(self.prefix) or "/" in name:
            raise PermissionError(errno.EPERM, "not a volume of this run", name)
        return Tree(f"{self.root}/{name}/_data")

    def trace(self, init: int, **arguments: Any) -> str:
        """Trace every process of a machine; the name of the tracer."""
        there = [pid for pid, _, _ in processes(init)]
        if not there:
            raise ProcessLookupError(errno.ESRCH, "the machine is off", str(init))
        tracer, name = Tracer(init, there, **arguments), secrets.token_hex(8)
        self._tracers[name] = tracer
        return name

    def tracer(self, name: str) -> Tracer:
        return self._tracers[name]


class _Handler(http.server.BaseHTTPRequestHandler):
    """POST /<verb>/<volume>?<arguments as JSON>; the body is the content to write. Errors are 400 with errno."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Keeper
    _streaming: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.server.token}"):
            self._answer(401, b"")
            return
        route, _, query = self.path.partition("?")
        _, verb, name = route.split("/")
        self._streaming = False  # one handler serves all the requests of a connection
        arguments = json.loads(urllib.parse.unquote(query) or "{}")
        try:
            self._serve(verb, urllib.parse.unquote(name), arguments, body)
        except OSError as error:
            if self._streaming:
                self.close_connection = True  # what is missing at the end tells the reader
                return
            refused = {"errno": error.errno, "message": error.strerror, "path": error.filename}
            self._answer(400, json.dumps(refused).encode())

    def _serve(self, verb: str, name: str, arguments: dict[str, Any], body: bytes) -> None:
        answer: object = None
        if verb == "processes":
            answer = processes(int(name))
        elif verb == "trace":
            answer = self.server.trace(int(name), **arguments)
        elif verb == "traced":
            tracer = self.server.tracer(name)
            answer = {"hits": tracer.hits(), "on_volume": tracer.on_volume()}
        elif verb == "untrace":
            self.server.tracer(name).close()
        else:
            tree = self.server.tree(name)
            if verb == "read":
                # Read whole before its length is said: a machine that runs may shorten it meanwhile.
                self._answer(200, tree.read(**arguments))
                return
            if verb == "files":
                self._send_files(tree, **arguments)
                return
            if verb == "copy_to":
                tree.copy_to(self.server.tree(arguments["target"]).root)
            elif verb == "write":
                tree.write(content=body, **arguments)
            elif verb in ("rows", "make_directory", "make_link", "make_fifo", "chmod", "remove"):
                answer = getattr(tree, verb)(**arguments)
            else:
                raise OSError(errno.ENOSYS, "no such verb", verb)
        self._answer(200, json.dumps(answer).encode())

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_files(self, tree: Tree, under: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._streaming = True
        gathered = bytearray()  # small files come together, since every chunk costs the reader
        for path, content in tree.files(under):
            encoded = os.fsencode(path)
            gathered += FRAME.pack(len(encoded), len(content)) + encoded + content
            if len(gathered) >= _CHUNK:
                self._send_chunk(gathered)
                gathered.clear()
        self._send_chunk(gathered + FRAME.pack(0, 0))
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, content: bytearray) -> None:
        self.wfile.write(b"%x\r\n" % len(content) + content + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass


def main(root: str, prefix: str, port: str) -> None:
    keeper = Keeper(("", int(port)), root, prefix, os.environ["KEEPER_TOKEN"])
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    keeper.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
