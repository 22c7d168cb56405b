"""What the volume remembers of its last reconcile. Written last and in one step; torn or lost, it only costs time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import BootError
from ..index import Entry, Index
from ..json_text import parse_json
from . import files
from .report import encode

NAME = "state.json"
SCHEMA = 1
_LONGEST = 256 << 20


class Stamp(NamedTuple):
    """What tells that a file was not touched since its content was read; times in nanoseconds."""

    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Seen(NamedTuple):
    stamp: Stamp
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    identity: str
    commit: str
    transport: str
    generation: str
    """The tree digest of `base`, which names the copy kept on the volume."""
    base: Index
    seen: Mapping[str, Seen]
    """What is live, which for a user's edit is not what is in `base`: the two must never be taken for each other."""

    @property
    def edits(self) -> dict[str, str]:
        """The digests of what is live and not the template's, by path: damage is healed before a state is written."""
        return {path: seen.sha256 for path, seen in self.seen.items() if not self._is_base(path, seen)}

    def to_json(self) -> bytes:
        return encode(
            {
                "schema": SCHEMA,
                "identity": self.identity,
                "commit": self.commit,
                "transport": self.transport,
                "generation": self.generation,
                "base": self.base,
                "seen": {
                    # A digest is said once: only what is not the template's has its own.
                    path: seen.stamp if self._is_base(path, seen) else [*seen.stamp, seen.sha256]
                    for path, seen in self.seen.items()
                },
            }
        )

    def _is_base(self, path: str, seen: Seen) -> bool:
        entry = self.base.get(path)
        return entry is not None and entry.sha256 == seen.sha256


def _seen(base: Index, path: str, stamp: list[int], digest: str | None = None) -> Seen:
    return Seen(Stamp._make(stamp), digest or base[path].sha256)


def read_state(directory: int) -> State | None:
    """None for no readable state. Raises BootError `volume-error` for the state of a newer version than this."""
    try:
        data = parse_json(files.read_whole(directory, NAME, _LONGEST))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    schema = data.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BootError(
            "volume-error",
            f"the volume was last written by a newer boot agent (state schema {schema}; this one knows {SCHEMA})",
            "boot this workspace with the newer image",
        )
    try:
        base = dict(zip(data["base"], map(Entry._make, data["base"].values()), strict=True))
        return State(
            identity=data["identity"],
            commit=data["commit"],
            transport=data["transport"],
            generation=data["generation"],
            base=base,
            seen={path: _seen(base, path, seen[:4], *seen[4:]) for path, seen in data["seen"].items()},
        )
    except (KeyError, TypeError, AttributeError):
        return None
