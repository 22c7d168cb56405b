"""Reconciles on a directory, without a world around them: templates come out of memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from harness.reference.allowlist import admit
from harness.reference.boot.legacy import LegacyConfig
from harness.reference.boot.reconcile import Base, Reconciled, Wanted, reconcile
from harness.reference.boot.state import read_state
from harness.reference.boot.store import open_recorded, recover_generation, store_generation
from harness.reference.boot.volume import open_volume
from harness.reference.fetch.limits import Limits
from harness.reference.fetch.transport import Listed
from harness.templates import Template


class InMemory:
    """A checkout of a template that nobody had to fetch."""

    def __init__(self, template: Template) -> None:
        self._bodies = {path.encode(): file.content for path, file in template.files.items()}
        self.listing: Sequence[Listed] = [
            Listed(
                path.encode(), "file", int(file.mode, 8), file.size, hashlib.sha1(file.content).hexdigest()
            )
            for path, file in template.files.items()
        ]

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        for file in wanted:
            yield file, [self._bodies[file.path]]


def deliver(
    data: Path, template: Template, *, full: bool = False, legacy: LegacyConfig | None = None
) -> Reconciled:
    """One boot's reconcile; `full` trusts no stamp of the last."""
    with open_volume(data, 0) as volume:
        state = read_state(volume.own)
        recorded = (
            open_recorded(volume, state.generation, state.base) if state else recover_generation(volume)
        )
        base = Base(
            state.base if state else recorded.index if recorded else {},
            recorded,
            state.seen if state and not full else {},
            state.edits if state else {},
        )
        checkout = InMemory(template)
        new = store_generation(volume, admit(checkout.listing, Limits()), checkout, [])
        with closing(new):
            done = reconcile(volume, base, Wanted("acme/helper@main", "c" * 40, "git", new), state, legacy)
        if recorded:
            recorded.close()
        return done


class Stamp(NamedTuple):
    inode: int
    modified: int
    changed: int
    mode: int


def stamps(data: Path) -> dict[str, Stamp]:
    """Of everything below the config root."""
    configs = data / "configs"
    return {
        str(path.relative_to(configs)): Stamp(
            status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode
        )
        for path in sorted(configs.rglob("*"))
        for status in [path.lstat()]
    }


def contents(data: Path) -> dict[str, bytes]:
    configs = data / "configs"
    return {
        str(path.relative_to(configs)): path.read_bytes()
        for path in configs.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def bodies(template: Template) -> dict[str, bytes]:
    return {path: file.content for path, file in template.asset_set().items()}
