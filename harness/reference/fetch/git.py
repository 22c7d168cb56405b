"""The git transport: the `git` program, no checkout, so that no hook, filter or link of a template ever acts.

Objects go to a bare repository in a private directory of the machine's own disk, never the volume, and blobs are
streamed out of it one after another.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from ..errors import BootError, TransientError
from ..redact import Redactor
from .limits import Budget, breach
from .retry import patiently
from .transport import Kind, Listed

log = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PIECE = 1 << 20
_LONGEST_LISTED_LINE = 64 << 10
_SMALLEST_FILE_LIMIT = 1 << 20
"""Bytes: git writes small files of its own; a smaller bound is checked on what was received."""
_STATUS = re.compile(r"<= Recv header: HTTP/[0-9.]+ ([0-9]{3})")
_RETRY_AFTER = re.compile(r"<= Recv header: retry-after: *([0-9]+)", re.IGNORECASE)
_REQUEST = re.compile(r"=> Send header: (?:GET|POST) ")
_CONFIGURATION = {
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "http.followRedirects": "false",
    "core.hooksPath": "/dev/null",
    "credential.helper": "",
    "fetch.fsckObjects": "false",  # our own rules are stricter where it matters, and name the path
    "fetch.unpackLimit": "1",  # always one pack, whose size can be bounded
    "gc.auto": "0",
    "maintenance.auto": "false",
    # A small machine must take a large template (SKL-8): large blobs are streamed, windows kept small.
    "core.bigFileThreshold": "1m",
    "core.packedGitWindowSize": "1m",
    "core.packedGitLimit": "32m",
    "core.deltaBaseCacheLimit": "16m",
    "pack.threads": "2",
}
_FETCH_AGAIN = "restart the workspace to fetch it again; if it stays, check the machine's own disk"
_ASKPASS = """#!/bin/sh
case "$1" in
Username*) echo token ;;
*) cat /proc/self/fd/{token} ;;
esac
"""


@dataclass(frozen=True, slots=True)
class _Outcome:
    ok: bool
    output: bytes
    complaint: str
    """What git wrote to standard error."""
    trace: str
    """The headers that went over the wire, credentials already taken out by git."""

    @property
    def status(self) -> int | None:
        """Of the last HTTP answer."""
        statuses = _STATUS.findall(self.trace)
        return int(statuses[-1]) if statuses else None

    @property
    def retry_after(self) -> float | None:
        asked = _RETRY_AFTER.findall(self.trace)
        return float(asked[-1]) if asked else None


class GitTransport:
    """One repository over smart HTTP."""

    def __init__(
        self, host: str, repository: str, token: str | None, budget: Budget, redact: Redactor
    ) -> None:
        self._url = f"{host}/{repository}.git"
        self.repository = repository
        self._token = token
        self.budget = budget
        self._redact = redact

    def resolve(self, ref: str) -> str:
        if _COMMIT.fullmatch(ref):
            return ref
        return patiently(self.budget, lambda: self._resolve(ref))

    @contextmanager
    def checkout(self, commit: str) -> Iterator[GitCheckout]:
        with TemporaryDirectory(prefix="template-") as directory:
            store = Path(directory)
            patiently(self.budget, lambda: self._fetch(store, commit))
            yield GitCheckout(self, store, commit)

    def _resolve(self, ref: str) -> str:
        # In the order in which git itself prefers them; an annotated tag stands for what it points at.
        names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
        with TemporaryDirectory(prefix="template-") as directory:
            outcome = self._talk(
                Path(directory), "ls-remote", "--quiet", self._url, f"refs/tags/{ref}*", names[2]
            )
        if not outcome.ok:
            raise self._failure(outcome)
        found: dict[str, str] = {}
        for line in outcome.output.decode("utf-8", "replace").splitlines():
            commit, _, name = line.partition("	")
            found[name] = commit
        for name in names:
            if _COMMIT.fullmatch(commit := found.get(name, "")):
                return commit
        raise ref_not_found(self.repository, ref)

    def _fetch(self, store: Path, commit: str) -> None:
        git = store / "git"
        self.run(store, "init", "--quiet", "--bare", "--template=", str(git))
        outcome = self._talk(
            store,
            f"--git-dir={git}",
            *(
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
            ),
            self._url,
            commit,
        )
        if not outcome.ok:
            packs = [file.stat().st_size for file in (git / "objects" / "pack").glob("*")]
            # The whole of a pack is bounded by the size of a file that git may write.
            if (
                "signal 25" in outcome.complaint
                or "too large" in outcome.complaint
                or max(packs, default=0) >= self._limit
            ):
                raise breach("bytes", f"the pack of {self.repository} is larger than {self._limit} bytes")
            raise self._failure(outcome, commit)
        self.budget.receive(sum(pack.stat().st_size for pack in (git / "objects" / "pack").glob("*.pack")))

    @property
    def _limit(self) -> int:
        return self.budget.limits.bytes

    def run(self, store: Path, *arguments: str) -> bytes:
        """A git command that uses no network. Raises BootError `template-host-error`."""
        outcome = self._git(store, arguments, token=None)
        if not outcome.ok:
            raise self._failure(outcome)
        return outcome.output

    def _talk(self, store: Path, *arguments: str) -> _Outcome:
        """A git command that talks to the template host; only it can read the token, and only through a descriptor."""
        if self._token is None:
            outcome = self._git(store, arguments, token=None)
        else:
            token = os.memfd_create("askpass", os.MFD_CLOEXEC)
            try:
                os.write(token, self._token.encode())
                outcome = self._git(store, arguments, token=token)
            finally:
                os.close(token)
        self.budget.requests += len(_REQUEST.findall(outcome.trace))
        return outcome

    def _git(self, store: Path, arguments: Sequence[str], token: int | None) -> _Outcome:
        trace = store / "trace"
        trace.unlink(missing_ok=True)
        environment = git_environment(store, self.budget) | {
            "GIT_TRACE_CURL": str(trace),
            "GIT_TRACE_CURL_NO_DATA": "1",
        }
        if token is not None:
            askpass = store / "askpass"
            askpass.write_text(_ASKPASS.format(token=token))
            askpass.chmod(0o700)
            environment["GIT_ASKPASS"] = str(askpass)
        with _largest_file(max(self._limit, _SMALLEST_FILE_LIMIT)):
            git = Popen(
                ["git", *arguments],
                cwd=store,
                env=environment,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                pass_fds=() if token is None else (token,),
                start_new_session=True,
            )
        try:
            output, complaint = git.communicate(timeout=self.budget.remaining())
        except TimeoutExpired:
            self.budget.remaining()
            raise breach("time", f"git did not end within {self.budget.limits.time:g} s") from None
        finally:
            end(git)
        return _Outcome(
            git.returncode == 0,
            output,
            complaint.decode("utf-8", "replace"),
            trace.read_text("utf-8", "replace") if trace.exists() else "",
        )

    def _failure(self, outcome: _Outcome, commit: str | None = None) -> BootError:
        """What went wrong, by the HTTP status first: the words of git's complaints change with its version."""
        status, complaint = outcome.status, outcome.complaint
        said = self._redact.upstream(complaint)
        name = self.repository
        if (
            status in (401, 403)
            or "Authentication failed" in complaint
            or "could not read Username" in complaint
        ):
            return denied(name, status or 401)
        if status == 404:
            return template_not_found(name)
        if status == 410:
            return template_gone(name)
        if status is not None and (status >= 500 or status in (408, 429)):
            return TransientError(
                "template-host-unavailable",
                f"the template host answered HTTP {status} for {name}",
                hint_for(status),
                retry_after=outcome.retry_after,
            )
        if status is not None and 300 <= status < 400:
            return breach("redirects", f"the template host redirects {name}, and git follows none")
        if "Operation too slow" in complaint:
            return breach("throughput", f"less than {self.budget.limits.throughput} bytes a second")
        if commit and ("not our ref" in complaint or "unadvertised object" in complaint):
            return ref_not_found(name, commit)
        if status is None:
            return TransientError(
                "template-host-unreachable",
                f"the template host does not answer for {name}: {said}",
                "check the host's address and the machine's network",
            )
        if "not valid" in complaint or "invalid server response" in complaint or "not found" in complaint:
            return BootError(
                "template-host-error",
                f"what answers for {name} is no git server: {said}",
                "check the template host's address, and that nothing stands between it and the machine",
            )
        return TransientError(
            _broken_wire(complaint) or ("pack-corrupt" if commit else "template-host-error"),
            f"git could not fetch {name}: {said}",
            "restart the workspace to fetch it again; if it stays, see the template host's log",
        )


class GitCheckout:
    """A commit's tree in a private bare repository."""

    def __init__(self, transport: GitTransport, store: Path, commit: str) -> None:
        self._store = store
        self._budget = transport.budget
        self._listing = list(self._list(transport, commit))

    @property
    def listing(self) -> Sequence[Listed]:
        return self._listing

    def _list(self, transport: GitTransport, commit: str) -> Iterator[Listed]:
        if transport.run(self._store, self._git_dir, "cat-file", "-t", commit).strip() != b"commit":
            raise ref_not_found(transport.repository, commit)
        with self._reading("ls-tree", "-r", "-z", "-l", "--full-tree", commit) as output:
            for count, record in enumerate(_records(output)):
                if count >= self._budget.limits.entries:
                    raise breach(
                        "entries", f"the template has more than {self._budget.limits.entries} entries"
                    )
                description, _, path = record.partition(b"\t")
                mode, _, blob, size = description.decode("ascii").split()
                yield Listed(
                    path,
                    kind_of(mode),
                    0o755 if mode == "100755" else 0o644,
                    int(size) if size != "-" else 0,
                    blob,
                )

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        """In the order of `wanted`. git proved each object by its id when it received the pack."""
        with TemporaryFile() as names:
            names.write(b"".join(f"{file.blob}\n".encode() for file in wanted))
            names.seek(0)
            with self._reading("cat-file", "--batch", "--buffer", stdin=names) as output:
                for file in wanted:
                    header = output.readline(_LONGEST_LISTED_LINE).split()
                    if header != [file.blob.encode(), b"blob", str(file.size).encode()]:
                        raise BootError(
                            "digest-mismatch",
                            f"git does not hold {os.fsdecode(file.path)} as listed",
                            _FETCH_AGAIN,
                        )
                    yield file, self._pieces(output, file)
                    output.read(1)

    def _pieces(self, output: IO[bytes], file: Listed) -> Iterator[bytes]:
        left = file.size
        while left:
            self._budget.remaining()
            piece = output.read(min(left, _PIECE))
            if not piece:
                raise BootError("digest-mismatch", f"git gives {os.fsdecode(file.path)} short", _FETCH_AGAIN)
            left -= len(piece)
            yield piece

    @property
    def _git_dir(self) -> str:
        return f"--git-dir={self._store / 'git'}"

    @contextmanager
    def _reading(self, *arguments: str, stdin: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
        git = Popen(
            ["git", self._git_dir, *arguments],
            env=git_environment(self._store, self._budget),
            stdin=stdin or DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            bufsize=_PIECE,
            start_new_session=True,
        )
        try:
            if git.stdout is None:
                raise AssertionError("asked for a pipe")
            with git.stdout as output:
                yield output
        finally:
            end(git)


def git_environment(home: Path, budget: Budget) -> dict[str, str]:
    """All that git is told; nothing of this process's environment but the path to programs."""
    limits = budget.limits
    configuration = _CONFIGURATION | {
        "http.lowSpeedLimit": str(limits.throughput),
        "http.lowSpeedTime": str(max(1, round(limits.stall))),
    }
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(configuration)),
    }
    for number, (key, value) in enumerate(configuration.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """What is started in here writes none that is larger.

    Inherited, not set by the child: a child that runs Python first needs a copy of this process.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def end(process: Popen[bytes]) -> None:
    """Leave nothing of the process group running, and reap it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kind_of(mode: str) -> Kind:
    """What a git tree's mode means."""
    kinds: dict[str, Kind] = {
        "100644": "file",
        "100664": "file",
        "100755": "file",
        "120000": "link",
        "160000": "submodule",
    }
    return kinds.get(mode, "other")


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    """NUL-ended records."""
    rest = b""
    while piece := stream.read(64 << 10):
        *records, rest = (rest + piece).split(b"\0")
        yield from records
        if len(rest) > _LONGEST_LISTED_LINE:
            raise breach("path_length", "a path of the template has no end")


def template_not_found(repository: str) -> BootError:
    return BootError(
        "template-not-found",
        f"the template {repository} does not exist on the template host, or this tenant's token may not read it",
        "check the repository's name, and the template_repo_token of the tenant",
    )


def ref_not_found(repository: str, ref: str) -> BootError:
    return BootError(
        "ref-not-found",
        f"the template {repository} has no branch, tag or commit {ref}",
        "check the ref of the template",
    )


def _broken_wire(complaint: str) -> str | None:
    """The code where git's complaint is of the connection, not of what came over it."""
    if "reset by peer" in complaint:
        return "connection-reset"
    if "transfer closed" in complaint:
        return "answer-cut-short"
    return None


def hint_for(status: int) -> str:
    """The way out of an HTTP status that may pass by itself."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "the template host is busy: restart the workspace later, or ask who runs it for a higher rate limit"
    return "the template host is out of order: restart the workspace once it answers, or ask who runs it"


def template_gone(repository: str) -> BootError:
    return BootError(
        "template-gone",
        f"the template {repository} is gone from the template host for good (HTTP 410)",
        "name another template for the workspace",
    )


def denied(repository: str, status: int) -> BootError:
    if status == HTTPStatus.FORBIDDEN:
        return BootError(
            "template-host-forbidden",
            f"the template host forbids reading {repository} (HTTP {status})",
            "let the template_repo_token of the tenant read the repository",
        )
    return BootError(
        "template-host-denied",
        f"the template host refuses {repository} (HTTP {status})",
        "renew the template_repo_token of the tenant",
    )
