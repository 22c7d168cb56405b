"""A template's repository on the host: a bare git repository that is published to, and read from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from ...templates.git import GitFailed, complained, run_git, start_git
from ...templates.model import Template, TemplateFile, TemplateLink, TemplateSubmodule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ...templates.model import Entry

DEFAULT_BRANCH = "main"

_AUTHOR_NAME = "Template Author"
_AUTHOR_EMAIL = "author@template.invalid"
_FIRST_COMMIT_AT = 1_767_225_600
"""2026-01-01T00:00:00Z. Each further commit of a repository is a minute later, so that ids are reproducible."""

_FAST_IMPORT = {
    "core.fsync": "none",  # a repository of one test run has no power cut to survive
    "core.compression": "0",  # ten times as fast, and nobody pays for the bytes
    "fastimport.unpackLimit": "1",  # always a pack: thousands of loose objects would slow every fetch
}


_TREE_MODE = b"40000"


class NoSuchRef(Exception):
    """The repository has no such branch, tag or commit."""


@dataclass(frozen=True)
class TreeEntry:
    """One line of a git tree's listing; the size is 0 for what is no blob."""

    mode: str
    kind: str
    sha: str
    size: int
    path: str


class Repository:
    """`owner/name` on the host. Safe to publish to while it is read."""

    def __init__(self, path: Path, name: str, *, private: bool) -> None:
        """Makes the bare repository at `path`, which must not exist."""
        self.path = path
        self.name = name
        self.private = private
        self._commits = 0
        self._lock = Lock()
        path.mkdir(parents=True)
        # No template directory: no sample hooks, nothing of this computer's git installation.
        run_git(
            "init", "--quiet", "--bare", "--template=", f"--initial-branch={DEFAULT_BRANCH}", directory=path
        )

    def identity(self, ref: str = DEFAULT_BRANCH) -> str:
        """`owner/name@ref`, as a workspace names its template."""
        return f"{self.name}@{ref}"

    def publish(
        self,
        template: Template,
        *,
        branch: str = DEFAULT_BRANCH,
        tag: str | None = None,
        message: str = "Publish the template",
    ) -> str:
        """Commit the template, whole, on top of the branch; the commit's id.

        The same templates published in the same order give the same ids. Raises GitFailed, for one if git refuses a
        path.
        """
        with self._lock:
            parent = self.find(branch, tags=False)
            when = self._next_moment()
            commit = _imported(self.path, _commit_stream(template, branch, parent, when, message))
            if tag is not None:
                self._point(f"refs/tags/{tag}", commit)
            return commit

    def publish_literally(self, entries: Iterable[tuple[str, Entry]], *, branch: str = DEFAULT_BRANCH) -> str:
        """As publish, with trees written byte by byte: names that git's own tools refuse, and one name twice.

        A path that begins with a slash is one name, slashes and all.
        """
        with self._lock:
            parent = self.find(branch, tags=False)
            lines = [
                (tuple(_encoded_parts(path)), _mode(entry), self._object(entry)) for path, entry in entries
            ]
            moment = f"{self._next_moment()} +0000"
            author = {
                f"GIT_{role}_{field}": value
                for role in ("AUTHOR", "COMMITTER")
                for field, value in (("NAME", _AUTHOR_NAME), ("EMAIL", _AUTHOR_EMAIL), ("DATE", moment))
            }
            parents = ("-p", parent) if parent is not None else ()
            commit = (
                run_git(
                    "commit-tree", self._tree_literally(lines), *parents, "-m", "Publish the template",
                    directory=self.path, environment=author,
                )
                .decode()
                .strip()
            )  # fmt: skip
            self._point(f"refs/heads/{branch}", commit)
            return commit

    def commit(self, ref: str) -> str:
        """The id of the commit that a branch, a tag or a commit id names. Raises NoSuchRef."""
        found = self.find(ref)
        if found is None:
            raise NoSuchRef(f"{self.name} has no branch, tag or commit {ref!r}")
        return found

    def branch(self, name: str, at: str) -> None:
        """Make a branch at what a ref names, or move it there, forward, back or aside. Raises NoSuchRef."""
        self._point(f"refs/heads/{name}", self.commit(at))

    def move(self, branch: str, to: str) -> None:
        """Move a branch that exists, as a forced push does. Raises NoSuchRef."""
        if self.find(branch, tags=False) is None:
            raise NoSuchRef(f"{self.name} has no branch {branch!r}")
        self.branch(branch, to)

    def tag(self, name: str, at: str, *, message: str | None = None) -> None:
        """Make a tag, annotated if it has a message, or move it. Raises NoSuchRef."""
        commit = self.commit(at)
        if message is None:
            self._point(f"refs/tags/{name}", commit)
            return
        with self._lock:
            identity = {
                "GIT_COMMITTER_NAME": _AUTHOR_NAME,
                "GIT_COMMITTER_EMAIL": _AUTHOR_EMAIL,
                "GIT_COMMITTER_DATE": f"{self._next_moment()} +0000",
            }
            run_git(
                "tag", "--annotate", "--force", f"--message={message}", name, commit,
                directory=self.path, environment=identity,
            )  # fmt: skip

    def delete_ref(self, name: str) -> None:
        """Delete the branch or, if there is none, the tag of this name. Raises NoSuchRef."""
        for full in (f"refs/heads/{name}", f"refs/tags/{name}"):
            if self._commit_of((full,)) is not None:
                run_git("update-ref", "-d", full, directory=self.path)
                return
        raise NoSuchRef(f"{self.name} has no branch or tag {name!r}")

    def archive(self, commit: str) -> bytes:
        """A commit as the archive API gives it, whole."""
        folder = f"--prefix={self.name.partition('/')[2]}/"
        return run_git("archive", "--format=tar.gz", folder, commit, directory=self.path)

    def size_on_disk(self) -> int:
        """What its objects take on disk."""
        return sum(pack.stat().st_size for pack in (self.path / "objects" / "pack").glob("*.pack"))

    def is_empty(self) -> bool:
        """Whether there is no branch and no tag."""
        return not run_git("for-each-ref", "--count=1", directory=self.path)

    def find(self, ref: str, *, tags: bool = True) -> str | None:
        """The id of the commit that a whole commit id, a branch or a tag names, looked up in this order."""
        if _is_full_id(ref):
            return self._commit_of((ref,))
        return self._commit_of((f"refs/heads/{ref}", f"refs/tags/{ref}") if tags else (f"refs/heads/{ref}",))

    def find_tree(self, ref: str) -> str | None:
        """The id of the tree that a tree's or commit's id, a branch or a tag names."""
        names = (ref,) if _is_full_id(ref) else (f"refs/heads/{ref}", f"refs/tags/{ref}")
        return self._object_of(names, "tree")

    def tree(self, tree: str, *, recursive: bool) -> list[TreeEntry]:
        """What the tree of this id lists; recursively, directories are listed before what is in them."""
        options = ("-r", "-t") if recursive else ()
        return self._listed(*options, tree)

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """What stands at a path of a commit."""
        found = self._listed(commit, "--", path)
        return found[0] if found and found[0].path == path else None

    def _object(self, entry: Entry) -> str:
        """The id of what an entry points at, which is in the repository then (but for a submodule's commit)."""
        if isinstance(entry, TemplateSubmodule):
            return entry.commit
        content = (
            entry.content
            if isinstance(entry, TemplateFile)
            else entry.target.encode("utf-8", "surrogateescape")
        )
        return self._written("blob", content)

    def _tree_literally(self, lines: Sequence[tuple[tuple[bytes, ...], bytes, str]]) -> str:
        """The id of a tree of (parts of the path, mode, object id)."""
        here: list[tuple[bytes, bytes, str]] = []
        below: dict[bytes, list[tuple[tuple[bytes, ...], bytes, str]]] = {}
        for (name, *rest), mode, sha in lines:
            if rest:
                below.setdefault(name, []).append((tuple(rest), mode, sha))
            else:
                here.append((name, mode, sha))
        here += [(name, _TREE_MODE, self._tree_literally(inner)) for name, inner in below.items()]
        # git sorts a directory as if its name ended with a slash.
        here.sort(key=lambda line: line[0] + b"/" * (line[1] == _TREE_MODE))
        return self._written(
            "tree", b"".join(b"%b %b\0%b" % (mode, name, bytes.fromhex(sha)) for name, mode, sha in here)
        )

    def _written(self, kind: str, content: bytes) -> str:
        return (
            run_git(
                "hash-object", "-t", kind, "-w", "--literally", "--stdin", directory=self.path, given=content
            )
            .decode()
            .strip()
        )

    def _listed(self, *arguments: str) -> list[TreeEntry]:
        listing = run_git("ls-tree", "-z", "-l", "--full-tree", *arguments, directory=self.path)
        entries = []
        for line in filter(None, listing.split(b"\0")):
            about, _, path = line.partition(b"\t")
            mode, kind, sha, size = about.decode().split()
            bytes_ = int(size) if size != "-" else 0
            entries.append(TreeEntry(mode, kind, sha, bytes_, path.decode("utf-8", "surrogateescape")))
        return entries

    def _commit_of(self, names: tuple[str, ...]) -> str | None:
        return self._object_of(names, "commit")

    def _object_of(self, names: tuple[str, ...], kind: str) -> str | None:
        """The first of the names that is there, peeled to an object of this kind; one git process for all."""
        if any(not name.isprintable() or " " in name for name in names):
            return None
        asked = "".join(f"{name}^{{{kind}}}\n" for name in names).encode("utf-8", "surrogateescape")
        for line in (
            run_git("cat-file", "--batch-check", directory=self.path, given=asked).decode().splitlines()
        ):
            fields = line.split(" ")
            if len(fields) == 3 and fields[1] == kind:
                return fields[0]
        return None

    def _point(self, ref: str, commit: str) -> None:
        run_git("update-ref", ref, commit, directory=self.path)

    def _next_moment(self) -> int:
        self._commits += 1
        return _FIRST_COMMIT_AT + 60 * (self._commits - 1)


def _is_full_id(ref: str) -> bool:
    return len(ref) == 40 and set(ref) <= set("0123456789abcdef")


def _imported(path: Path, stream: Iterator[bytes]) -> str:
    """Feed a stream to git fast-import; the commit id that it answers with. Raises GitFailed."""
    arguments = ("fast-import", "--quiet", "--done", "--depth=0", "--date-format=raw")
    with start_git(
        *arguments,
        directory=path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        configuration=_FAST_IMPORT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.writelines(stream)
            process.stdin.close()
        except BrokenPipeError:  # it gave up on the stream; what it says about it is below
            pass
        answer = process.stdout.read().decode().strip()
        complaint = process.stderr.read()
    if process.returncode != 0:
        raise GitFailed(arguments, process.returncode, complained(complaint))
    return answer


def _commit_stream(
    template: Template, branch: str, parent: str | None, when: int, message: str
) -> Iterator[bytes]:
    """A commit that replaces everything below it, in fast-import's language; contents are passed on uncopied."""
    author = f"{_AUTHOR_NAME} <{_AUTHOR_EMAIL}> {when} +0000"
    text = message.encode()
    marks: dict[bytes, int] = {}
    for file in template.files.values():  # what stands at several paths is hashed once
        if file.content not in marks:
            marks[file.content] = len(marks) + 1
            yield b"blob\nmark :%d\ndata %d\n" % (marks[file.content], file.size)
            yield file.content
            yield b"\n"
    last = len(marks) + 1
    yield f"commit refs/heads/{branch}\nmark :{last}\nauthor {author}\ncommitter {author}\n".encode()
    yield b"data %d\n%b\n" % (len(text), text)
    if parent is not None:
        yield f"from {parent}\n".encode()
    yield b"deleteall\n"
    for path, entry in template.entries.items():
        yield _entry_line(_quoted(path), entry, marks)
    yield b"get-mark :%d\ndone\n" % last


def _entry_line(path: bytes, entry: Entry, marks: Mapping[bytes, int]) -> bytes:
    if isinstance(entry, TemplateFile):
        return b"M 100%b :%d %b\n" % (entry.mode.encode(), marks[entry.content], path)
    if isinstance(entry, TemplateLink):
        target = entry.target.encode("utf-8", "surrogateescape")
        return b"M 120000 inline %b\ndata %d\n%b\n" % (path, len(target), target)
    return b"M 160000 %b %b\n" % (entry.commit.encode(), path)


def _mode(entry: Entry) -> bytes:
    if isinstance(entry, TemplateFile):
        return b"100" + entry.mode.encode()
    return b"120000" if isinstance(entry, TemplateLink) else b"160000"


def _encoded_parts(path: str) -> list[bytes]:
    raw = path.encode("utf-8", "surrogateescape")
    return [raw] if raw.startswith(b"/") else raw.split(b"/")


def _quoted(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
