"""What an outsider can see of a workspace once it has settled, and what he has a right to expect there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.runtime.base import Entry, Process, Volume
from harness.templates.model import Template

from .canaries import Canary
from .search import Search

if TYPE_CHECKING:
    from harness.world.aws.calls import Call
    from harness.world.template_host.record import RecordedRequest

Document = Mapping[str, Any]

CONFIGS = "configs"
"""Where the assets are, from the volume's root."""
BOOT_STATE = ".boot"
"""The implementation's own, from the volume's root."""
BOOT_REPORT = f"{BOOT_STATE}/report.json"
CREDENTIAL_FILE = f"{CONFIGS}/.auth_token"
"""The one agent-owned file that may hold a credential (BND-3)."""


@dataclass(frozen=True)
class Expected:
    """What the history of a workspace entitles an outsider to expect of its latest boot."""

    repository: str
    ref: str
    commit: str
    template: Template
    transport: str | None
    reason: str
    private: bool
    edits: Mapping[str, bytes] = field(default_factory=dict)
    """User edits of assets and user-added files below the config root: path there to content."""

    @property
    def identity(self) -> str:
        return f"{self.repository}@{self.ref}"


@dataclass(frozen=True)
class Seen:
    """One settled workspace, seen from the outside: status API, volume, console, wire."""

    tenant: str
    workspace: Document
    """The status API's answer."""
    card: Document | None
    """The agent card as the machine itself serves it; None where no machine answers."""
    entries: Mapping[str, Entry]
    """The whole volume."""
    volume: Volume | None
    console: bytes
    processes: Sequence[Process]
    user_data: bytes
    calls: Sequence[Call]
    """AWS calls of the implementation since the scenario began."""
    requests: Sequence[RecordedRequest]
    """What reached the template host since the scenario began."""
    logs: Mapping[str, bytes]
    """What the implementation's fixed parts wrote since the scenario began, by name."""
    expected: Expected
    canaries: Mapping[str, Canary]
    search: Search
    schema_problems: Callable[[Any], list[str]]
    violations: Sequence[str]
    """Answers of the lifecycle API since the scenario began that were not as lifecycle.yaml says."""

    @property
    def report(self) -> Document | None:
        """The boot report behind the status, None where there was none."""
        boot = self.workspace.get("boot")
        report: Document | None = boot.get("report") if boot else None
        return report

    @property
    def status(self) -> str:
        return str(self.workspace["status"])

    @property
    def error(self) -> Document:
        """What the status says went wrong; empty where nothing did."""
        error: Document = self.workspace.get("error") or {}
        return error

    @property
    def complaint(self) -> str:
        """The whole text of the error."""
        return " ".join(str(self.error.get(part) or "") for part in ("code", "message", "hint"))

    @cached_property
    def written(self) -> Mapping[str, Entry]:
        """What is below the config root but directories and the agent-owned credential file."""
        return {
            path: entry
            for path, entry in self.configs.items()
            if entry.kind != "directory" and f"{CONFIGS}/{path}" != CREDENTIAL_FILE
        }

    @cached_property
    def configs(self) -> Mapping[str, Entry]:
        """What is below the config root, by path from there."""
        prefix = f"{CONFIGS}/"
        return {
            path.removeprefix(prefix): entry
            for path, entry in self.entries.items()
            if path.startswith(prefix)
        }

    @cached_property
    def untouched_assets(self) -> Mapping[str, tuple[str, str]]:
        """(mode, sha256) that each asset has to have which no user edit covers."""
        return {
            path: (file.mode, file.sha256)
            for path, file in self.expected.template.asset_set().items()
            if path not in self.expected.edits
        }

    @cached_property
    def content(self) -> Mapping[str, bytes]:
        """Every regular file of the volume, read once."""
        return dict(self.volume.files()) if self.volume is not None else {}


def asset_mode(entry: Entry) -> str:
    """The mode that counts for an asset: 755 where its owner may execute it."""
    return "755" if entry.mode & 0o100 else "644"
