"""What was judged and what judged it, to the byte: digests and commits, so that a statement can be held to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.images import identities
from harness.templates import tree_digest
from harness.templates.git import GitFailed, GitMissing, run_git

if TYPE_CHECKING:
    from harness.contract.manifest import Implementation
    from harness.session import Choices

HARNESS = Path(__file__).parents[1]
NOT_SOURCE = {".git", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Judged:
    """The implementation: its images, or where it ran in no container, the tree digest of its source."""

    images: list[str]
    source: str | None


def judged(choices: Choices) -> Judged:
    """Raises ImageError, RuntimeUnavailable."""
    if choices.runtime == "docker":
        return Judged(
            identities(choices.implementation, choices.overlay, choices.coverage, choices.engines), None
        )
    return Judged([], source_digest(choices.implementation))


def source_digest(implementation: Implementation) -> str:
    """Of the source folder that the manifest names, else of all that lies beside the manifest."""
    folder = implementation.home / (implementation.capabilities.source or ".")
    files = {
        path.relative_to(folder): path
        for path in folder.rglob("*")
        if path.is_file() and not NOT_SOURCE.intersection(path.relative_to(folder).parts)
    }
    return tree_digest(
        (
            name.as_posix(),
            "755" if path.stat().st_mode & 0o100 else "644",
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for name, path in files.items()
    )


@dataclass(frozen=True, slots=True)
class Checkout:
    """A git checkout: its commit, and the paths that are not as committed, untracked ones too."""

    commit: str | None
    """None: in no checkout."""
    changes: list[str]


def checkout(package: Path = HARNESS) -> Checkout:
    """The checkout that a package's folder is tracked in."""
    try:
        run_git("ls-files", "--error-unmatch", "--", "__init__.py", directory=package)
        commit = run_git("rev-parse", "--verify", "HEAD", directory=package).decode().strip()
        root = Path(run_git("rev-parse", "--show-toplevel", directory=package).decode().rstrip("\n"))
        tracked = run_git("diff", "--name-only", "-z", "HEAD", directory=root)
        untracked = run_git("ls-files", "--others", "--exclude-standard", "-z", directory=root)
    except (GitFailed, GitMissing):
        return Checkout(None, [])
    paths = (tracked + untracked).decode(errors="replace").split("\0")
    return Checkout(commit, sorted({path for path in paths if path}))
