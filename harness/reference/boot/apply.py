"""Doing what the plan says: stage, make durable, rename, make durable again. Nothing in the live tree is half written.

Running it again is the recovery: there is no redo log.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ..index import Index
from . import files
from .files import Descent, Kernel
from .plan import Action
from .report import PathNote
from .state import Seen, Stamp
from .store import Generation
from .volume import Volume

_STAGED = ("place", "replace", "merge", "lay-aside")
_TREES = "trees"
"""Of the staging directory: holds directories that go live as they are."""
_LARGE = 1 << 18
"""Bytes of a file that is worth setting the disk to work for at once."""
_MARGIN = 1 << 20
"""Bytes for directories and the state file."""


@dataclass(frozen=True, slots=True)
class Applied:
    notes: list[PathNote]
    written: dict[str, Seen]
    """What was staged, by the path that it was staged for; renaming it changed only the time of change."""
    changed: int = 0
    """When the last change to the live tree was done, by `time.time_ns`."""


def apply(
    volume: Volume,
    actions: Sequence[Action],
    generation: Generation,
    merged: Mapping[str, Merged],
    stamps: Mapping[str, Stamp],
) -> Applied:
    """`merged` holds what each path to merge becomes; `stamps` what the survey saw, to notice who wrote since.

    Raises OSError, before the first rename where room is short; GenerationCorrupt, before the first rename too.
    """
    writes = [action for action in actions if action.step in _STAGED]
    if all(action.step == "keep" for action in actions):
        return Applied([PathNote(action.path, action.verb, action.reason) for action in actions], {})
    sizes = (
        len(merged[action.path].text) if action.step == "merge" else generation.index[action.path].size
        for action in writes
    )
    volume.require(_MARGIN + sum(sizes))
    with volume.staging() as staging, files.descent(staging) as trees:
        fresh = _fresh_trees(volume, writes)
        written: dict[str, Seen] = {}
        for number, action in enumerate(actions):
            if action.step in _STAGED:
                spot = _spot(trees, number, action, fresh)
                seen = _stage(volume.kernel, spot, action, generation, merged)
                if action.step != "lay-aside":
                    written[action.path] = seen
        if writes:
            volume.kernel.syncfs(volume.own)
        arrived = {top for top in fresh if _move_tree(volume, trees.enter([_TREES]), top)}
        with files.descent(volume.configs) as walk:
            work = _Work(volume, walk, stamps, generation.index)
            notes = [
                PathNote(action.path, action.verb, action.reason)
                if action.path.partition("/")[0] in arrived
                else work.do(action, _spot(trees, number, action, fresh))
                for number, action in enumerate(actions)
            ]
        changed = time.time_ns()
        volume.kernel.syncfs(volume.own)
    return Applied(notes, written, changed)


def prune(configs: int, gone: Iterable[str]) -> None:
    """Take the directories of files that are gone where they hold nothing more, but for those at the config root.

    A skill whose last file went must not stay as an empty, broken skill, whoever took that file.
    """
    directories = {
        tuple(parents[:depth])
        for parents in (path.split("/")[:-1] for path in gone)
        for depth in range(2, len(parents) + 1)
    }
    for *above, name in sorted(directories, key=len, reverse=True):
        with suppress(OSError), files.descent(configs) as walk:
            os.rmdir(name, dir_fd=walk.enter(above))


class Merged(NamedTuple):
    """What becomes of a file that user and template both changed."""

    text: bytes
    mode: int


class _Spot(NamedTuple):
    """Where a file is staged."""

    directory: int
    name: str


def _spot(trees: Descent, number: int, action: Action, fresh: frozenset[str]) -> _Spot:
    """The `number`-th action's, which is its own; good until the next one is asked for."""
    parents, _, name = action.path.rpartition("/")
    if action.path.partition("/")[0] in fresh:
        return _Spot(trees.enter([_TREES, *parents.split("/")], make=True), name)
    return _Spot(trees.enter([]), str(number))


def _fresh_trees(volume: Volume, writes: Sequence[Action]) -> frozenset[str]:
    """The directories at the config root that are not there at all: each arrives whole, in one rename."""
    steps: dict[str, set[str]] = {}
    for action in writes:
        top, _, rest = action.path.partition("/")
        if rest:
            steps.setdefault(top, set()).add(action.step)
    return frozenset(
        top
        for top, taken in steps.items()
        if taken == {"place"} and files.status(volume.configs, top) is None
    )


def _move_tree(volume: Volume, trees: int, top: str) -> bool:
    """False where something has taken the name meanwhile: then the files are placed one by one."""
    try:
        if not volume.kernel.rename_into_place(trees, top, volume.configs, top):
            os.rename(top, top, src_dir_fd=trees, dst_dir_fd=volume.configs)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _stage(
    kernel: Kernel, spot: _Spot, action: Action, generation: Generation, merged: Mapping[str, Merged]
) -> Seen:
    entry = generation.index[action.path]
    result = merged[action.path] if action.step == "merge" else None
    file = files.create(spot.directory, spot.name, result.mode if result else entry.mode)
    try:
        if result:
            files.write_all(file, result.text)
            digest = sha256(result.text).hexdigest()
        else:
            generation.copy(action.path, file)
            digest = entry.sha256
        if entry.size >= _LARGE:
            kernel.start_writeback(file, 0, 0)
        return Seen(Stamp.of(os.fstat(file)), digest)
    finally:
        os.close(file)


class _Work:
    """The renames of one reconcile."""

    def __init__(self, volume: Volume, walk: Descent, stamps: Mapping[str, Stamp], index: Index) -> None:
        self._volume = volume
        self._walk = walk
        self._stamps = stamps
        self._index = index

    def do(self, action: Action, staged: _Spot) -> PathNote:
        aside = None
        match action.step:
            case "clear" | "remove":
                aside = self._remove(action)
            case "place":
                aside = self._place(action, staged)
            case "replace" | "merge":
                aside = self._replace(action, staged)
            case "mode":
                self._mend_mode(action)
            case "lay-aside":
                with self._volume.aside(action.path, "template") as (directory, name, aside):
                    os.rename(staged.name, name, src_dir_fd=staged.directory, dst_dir_fd=directory)
            case "keep":
                pass
        return PathNote(action.path, action.verb, action.reason, aside)

    def _remove(self, action: Action) -> str:
        *parents, name = action.path.split("/")
        with self._volume.aside(action.path, "removed") as (directory, kept, report):
            os.rename(name, kept, src_dir_fd=self._walk.enter(parents), dst_dir_fd=directory)
        self._walk.close()
        prune(self._volume.configs, [action.path])
        return report

    def _place(self, action: Action, staged: _Spot) -> str | None:
        *parents, name = action.path.split("/")
        directory = self._walk.enter(parents, make=True)
        try:
            if not self._volume.kernel.rename_into_place(*staged, directory, name):
                os.rename(staged.name, name, src_dir_fd=staged.directory, dst_dir_fd=directory)
        except FileExistsError:
            return self._replace(action, staged)
        return None

    def _replace(self, action: Action, staged: _Spot) -> str | None:
        *parents, name = action.path.split("/")
        directory = self._walk.enter(parents, make=True)
        kept: str | None = None
        linked = None
        if action.keep_aside:
            # Kept by a second name first, so that a crash at any step loses neither version.
            with suppress(OSError), self._volume.aside(action.path, "replaced") as (aside, slot, report):
                os.link(name, slot, src_dir_fd=directory, dst_dir_fd=aside, follow_symlinks=False)
                linked, kept = files.status(aside, slot), report
        try:
            exchanged = self._volume.kernel.exchange(*staged, directory, name)
        except FileNotFoundError:
            exchanged = False
        if not exchanged:
            return self._replace_in_two_steps(action, staged, directory, name) or kept
        displaced = files.status(*staged)
        if displaced is None or (linked is not None and os.path.samestat(displaced, linked)):
            return kept
        if linked is None and not action.keep_aside and self._untouched(action.path, displaced):
            return None
        return self._keep(action.path, *staged)

    def _replace_in_two_steps(self, action: Action, staged: _Spot, directory: int, name: str) -> str | None:
        """Where names cannot be exchanged: what is no file gives way first."""
        kept = None
        status = files.status(directory, name)
        if status is not None and files.kind_of(status.st_mode) == "directory":
            kept = self._keep(action.path, directory, name)
        os.rename(staged.name, name, src_dir_fd=staged.directory, dst_dir_fd=directory)
        return kept

    def _untouched(self, path: str, displaced: os.stat_result) -> bool:
        """Whether what was displaced is what the survey saw; a rename changes only the time of change."""
        stamp = self._stamps.get(path)
        return stamp is not None and stamp[:3] == (displaced.st_ino, displaced.st_size, displaced.st_mtime_ns)

    def _keep(self, path: str, directory: int, name: str) -> str:
        with self._volume.aside(path, "replaced") as (aside, slot, report):
            os.rename(name, slot, src_dir_fd=directory, dst_dir_fd=aside)
        return report

    def _mend_mode(self, action: Action) -> None:
        *parents, name = action.path.split("/")
        file = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._walk.enter(parents))
        try:
            if files.kind_of(os.fstat(file).st_mode) == "file":
                Path(f"/proc/self/fd/{file}").chmod(self._index[action.path].mode)
        finally:
            os.close(file)
