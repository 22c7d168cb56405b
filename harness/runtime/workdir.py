"""Where a run keeps what it must have on this computer's disk: one private directory a worker, with its owner's name.

`<temporary directory>/workspace-conformance-<uid>/<run>/<worker>/`
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .keeper import Tree
from .ownership import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER = "owner.json"


class UnsafeDirectory(Exception):
    """The place for private files is in somebody else's hands."""


def private_root() -> Path:
    """The directory of everything of this user, made if absent. Raises UnsafeDirectory."""
    root = Path(tempfile.gettempdir()) / f"workspace-conformance-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UnsafeDirectory(
            f"{root} must be a directory of user {os.getuid()} that nobody else may enter; "
            "remove it, or set TMPDIR to a directory of your own"
        )
    return root


def make(owner: Owner) -> Path:
    """The worker's directory. It appears with its owner's name in it, or not at all. Raises FileExistsError."""
    run = private_root() / owner.run
    while True:
        run.mkdir(mode=0o700, exist_ok=True)
        # The last worker of the run to leave removes the run's directory, perhaps right now.
        with suppress(FileNotFoundError):
            fresh = Path(tempfile.mkdtemp(prefix=f".{owner.worker}.", dir=run))
            break
    (fresh / _OWNER).write_text(json.dumps(owner.labels()))
    directory = run / owner.worker
    try:
        fresh.rename(directory)
    except OSError:
        shutil.rmtree(fresh)
        raise FileExistsError(f"worker {owner.worker} of run {owner.run} has {directory} already") from None
    return directory


def remove(directory: Path) -> None:
    """Remove a worker's directory, and the run's if that was its last. Does nothing if it is gone."""
    # The owner's name goes last, so that a removal cut short is still known for what it is.
    with suppress(FileNotFoundError):
        tree = Tree(str(directory))
        for child in directory.iterdir():
            if child.name != _OWNER:
                tree.remove(child.name)
        shutil.rmtree(directory)
    with suppress(OSError):
        directory.parent.rmdir()


def every() -> Iterator[tuple[Owner, Path]]:
    """Each worker's directory on this computer, of whatever run, with its owner."""
    for run in _children(private_root()):
        for worker in _children(run):
            try:
                owner = Owner.from_labels(json.loads((worker / _OWNER).read_text()))
            except (FileNotFoundError, NotADirectoryError, ValueError):
                continue
            if owner is not None:
                yield owner, worker


def _children(directory: Path) -> list[Path]:
    """None where another run has taken it away by now."""
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
