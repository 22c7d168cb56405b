"""What an outsider can see of a workspace once it has settled, and what he has a right to expect there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.runtime.base import Entry, Process, Volume
from harness.templates.model import CONFIG, Template, TemplateProblem, is_asset

from .canaries import Canary
from .search import Search, Sighting

if TYPE_CHECKING:
    from harness.world.aws.calls import Call
    from harness.world.template_host.record import RecordedRequest

Document = Mapping[str, Any]

CONFIGS = "configs"
"""Where the assets are, from the volume's root."""
BOOT_STATE = ".boot"
"""Where the boot report is, from the volume's root, and what else is the implementation's own, if it says no other."""
BOOT_REPORT = f"{BOOT_STATE}/report.json"
CREDENTIAL_FILE = f"{CONFIGS}/.auth_token"
"""The one agent-owned file that may hold a credential (BND-3)."""


@dataclass(frozen=True)
class Contest:
    """A file that the user edited, and that the template then changed too: three versions of it."""

    base: bytes | None
    """What the template had when the user wrote; None for what the user added."""
    user: bytes
    template: bytes


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
    writable: bool = True
    """Whether its volume could be written to."""
    edits: Mapping[str, bytes] = field(default_factory=dict)
    """User edits of assets and user-added files below the config root: path there to content.

    Of what the template has not changed since: these bytes have to stay.
    """
    contests: Mapping[str, Contest] = field(default_factory=dict)
    """What the template has changed since, where the contract leaves open what is made of both versions."""
    added: Collection[str] = ()
    """Of the edits, those of files that no template had."""
    damaged: Mapping[str, bytes] = field(default_factory=dict)
    """What this boot had to repair, by path below the config root: the bytes of the damage."""

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
    own_directories: Collection[str] = (BOOT_STATE,)
    """Of what is the implementation's own on the volume, from its root."""
    template_tokens: Collection[Canary] = ()
    """Every one that any tenant of the scenario ever had: their requests are seen too."""

    @property
    def report(self) -> Document | None:
        """The boot report behind the status, None where there was none."""
        boot = self.workspace.get("boot")
        report: Document | None = boot.get("report") if boot else None
        return report

    @property
    def carded_skills(self) -> frozenset[str]:
        """The ids of the skills in the agent card; none where there is no card, or it is no A2A agent card."""
        skills = (self.card or {}).get("skills")
        ids = (
            [skill.get("id") for skill in skills if isinstance(skill, Mapping)]
            if isinstance(skills, list)
            else []
        )
        return frozenset(id_ for id_ in ids if isinstance(id_, str))

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
            if path not in self.expected.edits and path not in self.expected.contests
        }

    @cached_property
    def named_skills(self) -> tuple[str, ...]:
        """The skills that config.yaml enables: the template's, or the one on the volume where the user edited it."""
        template = self.expected.template
        if CONFIG in self.expected.edits or CONFIG in self.expected.contests:
            live = self.content.get(f"{CONFIGS}/{CONFIG}", b"")
            try:
                return template.with_file(CONFIG, live).named_skills()
            except TemplateProblem:
                pass
        return template.named_skills()

    def is_its_own(self, path: str) -> bool:
        """Whether a path of the volume is the implementation's own, and neither asset nor agent-owned."""
        return path.partition("/")[0] in self.own_directories

    def rows(self, path: str) -> list[Document]:
        """What the boot report says of a path."""
        return [row for row in (self.report or {}).get("paths", []) if row["path"] == path]

    def kept_aside(self, row: Document) -> bytes | None:
        """The content of the file that a row of the boot report says was kept; None where there is none."""
        named = str(row.get("aside") or "")
        return self.content.get(named.removeprefix("/data/").lstrip("/"))

    @cached_property
    def content(self) -> Mapping[str, bytes]:
        """Every regular file of the volume, read once; of one that is the template's by its digest, the template's."""
        templates = {file.sha256: file.content for file in self.expected.template.files.values()}
        found = {}
        for path, entry in self.entries.items():
            if entry.kind != "file" or self.volume is None:
                continue
            if entry.sha256 in templates:
                found[path] = templates[entry.sha256]
            else:
                with suppress(OSError):  # gone since it was listed
                    found[path] = self.volume.read(path)
        return found

    @cached_property
    def sightings(self) -> Mapping[str, Sequence[Sighting]]:
        """The secrets that are in the files of the volume. What is noise of the template, byte for byte, holds none."""
        noise = {file.sha256 for file in self.expected.template.files.values() if file.noise}
        self.search.spare(noise)
        return {
            path: self.search.sightings_again(content, path)
            for path, content in self.content.items()
            if self.entries[path].sha256 not in noise
        }


def asset_mode(entry: Entry) -> str:
    """The mode that counts for an asset: 755 where its owner may execute it."""
    return "755" if entry.mode & 0o100 else "644"


def altered_assets(before: Mapping[str, Entry], seen: Seen) -> list[str]:
    """One line for each asset that is not as it was: gone, new, or of other content."""
    problems = []
    was = {path: entry for path, entry in before.items() if is_asset(path.removeprefix(f"{CONFIGS}/"))}
    now = {f"{CONFIGS}/{path}": entry for path, entry in seen.configs.items() if is_asset(path)}
    for path in was.keys() | now.keys():
        if path not in now or path not in was:
            problems.append(f"{path}: {'gone' if path in was else 'new'}")
        elif (was[path].kind, was[path].sha256) != (now[path].kind, now[path].sha256):
            problems.append(f"{path}: altered")
    return problems
