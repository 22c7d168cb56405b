"""The boot report: the machine-readable account that every boot leaves behind (OBS-1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from ..index import Index, tree_digest

Verb = Literal[
    "delivered", "updated", "repaired", "preserved", "merged", "removed", "rejected", "skipped", "laid-aside"
]
Outcome = Literal["ready", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class PathNote:
    """What became of one path, and why; `aside` is where what it replaced is kept, relative to the volume's root."""

    path: str
    action: Verb
    reason: str
    aside: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "action": self.action, "reason": self.reason, "aside": self.aside}


@dataclass(frozen=True, slots=True)
class SkillNote:
    name: str
    status: Literal["loaded", "failed", "not-enabled"]
    reason: str | None = None
    commands: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "commands": list(self.commands),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    hint: str


def summary(index: Index) -> dict[str, Any]:
    return {"files": len(index), "digest": tree_digest(index)}


def now() -> str:
    """RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class BootReport:
    """Grows as the boot goes on; what is not known yet is None or empty."""

    workspace: str
    boot: Mapping[str, Any]
    identity: str
    repository: str
    ref: str
    transport: str
    started_at: str = field(default_factory=now)
    commit: str | None = None
    outcome: Outcome = "failed"
    error: Problem | None = None
    expected: Mapping[str, Any] | None = None
    delivered: Mapping[str, Any] | None = None
    paths: tuple[PathNote, ...] = ()
    skills: tuple[SkillNote, ...] = ()
    fetched_bytes: int = 0
    fetched_requests: int = 0

    def failed(self, problem: Problem) -> BootReport:
        return replace(self, outcome="failed", error=problem)

    def to_json(self) -> dict[str, Any]:
        error = self.error
        return {
            "schema": 1,
            "workspace": self.workspace,
            "boot": dict(self.boot),
            "started_at": self.started_at,
            "finished_at": now(),
            "identity": self.identity,
            "repository": self.repository,
            "ref": self.ref,
            "commit": self.commit,
            "transport": self.transport,
            "outcome": self.outcome,
            "error": error and {"code": error.code, "message": error.message, "hint": error.hint},
            "expected": self.expected,
            "delivered": self.delivered,
            "paths": [note.to_json() for note in self.paths],
            "skills": [note.to_json() for note in self.skills],
            "fetched": {"bytes": self.fetched_bytes, "requests": self.fetched_requests},
        }


def encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
