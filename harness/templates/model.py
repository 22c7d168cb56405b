"""A template as the harness knows it: a set of paths with content, and what the contract reads from them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Mode = Literal["644", "755"]

CONFIG = "config.yaml"
SKILLS = "agent-skills"
ALLOWLIST = (CONFIG, "system-prompt.md", "prompts/**", f"{SKILLS}/**")
"""What of a template is delivered (ALW-1): files by name, and everything below a directory."""


class TemplateProblem(Exception):
    """A template cannot be used; the message is one line and names the thing, the rule and the way out."""


@dataclass(frozen=True)
class TemplateFile:
    """A regular file. The content is shared, never copied, by every template that holds the file."""

    content: bytes = field(repr=False)
    mode: Mode = "644"
    noise: bool = field(default=False, compare=False)
    """Whether it is made of a seed alone, so that there is nothing to be found in it."""

    @property
    def size(self) -> int:
        return len(self.content)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class TemplateLink:
    """A symbolic link, which no implementation may deliver (ALW-3)."""

    target: str


@dataclass(frozen=True)
class TemplateSubmodule:
    """Another repository at a commit, which no implementation may deliver (ALW-3)."""

    commit: str


Entry = TemplateFile | TemplateLink | TemplateSubmodule


def is_asset(path: str) -> bool:
    """Whether the allowlist names `path` (relative to the template's root)."""
    return any(
        path.startswith(rule.removesuffix("**")) if rule.endswith("/**") else path == rule
        for rule in ALLOWLIST
    )


def tree_digest(entries: Iterable[tuple[str, str, str]]) -> str:
    """The digest of (path, mode "644" or "755", sha256 hex) triples, in whatever order they come.

    sha256 over `path NUL mode NUL sha256 LF`, sorted by the path's UTF-8 bytes.
    """
    lines = sorted((_encoded(path), mode, sha256) for path, mode, sha256 in entries)
    digest = hashlib.sha256()
    for path, mode, sha256 in lines:
        digest.update(path + f"\0{mode}\0{sha256}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Template:
    """Paths and what stands there; a change gives another template that shares all the rest.

    Paths are relative to the root, `/` between parts; bytes that are not UTF-8 are surrogate-escaped. No path is
    checked: hostile templates are templates too.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", MappingProxyType(dict(self.entries)))

    @classmethod
    def from_directory(cls, directory: Path) -> Template:
        """Everything in `directory` as it lies there, tracked by git or not; `.git` is left out at any depth.

        Links are kept as links; an empty directory leaves no trace (as in git). Raises TemplateProblem on anything
        that is neither a file, a directory nor a link, and OSError.
        """
        return cls(dict(_walk(directory, "")))

    @property
    def files(self) -> Mapping[str, TemplateFile]:
        """The regular files, asset or not."""
        return {path: entry for path, entry in self.entries.items() if isinstance(entry, TemplateFile)}

    def asset_set(self) -> Mapping[str, TemplateFile]:
        """The regular files that the allowlist names: what has to be on the volume."""
        return {path: file for path, file in self.files.items() if is_asset(path)}

    def digest(self) -> str:
        """The tree digest of the asset set."""
        return tree_digest((path, file.mode, file.sha256) for path, file in self.asset_set().items())

    def size(self) -> int:
        """Bytes of the asset set."""
        return sum(file.size for file in self.asset_set().values())

    def skills(self) -> tuple[str, ...]:
        """The directories of agent-skills, sorted, whether they hold a sound skill or not."""
        parts = (path.split("/", 2) for path in self.entries)
        return tuple(sorted({part[1] for part in parts if len(part) == 3 and part[0] == SKILLS}))

    def commands(self, skill: str) -> tuple[str, ...]:
        """The file names of a skill's commands, sorted: `audit.md` (SKL-9)."""
        folder = f"{SKILLS}/{skill}/commands/"
        names = (path.removeprefix(folder) for path in self.files if path.startswith(folder))
        return tuple(sorted(name for name in names if name.endswith(".md") and "/" not in name))

    @property
    def config(self) -> dict[str, object]:
        """config.yaml, parsed. Raises TemplateProblem if it is absent, does not parse or is no mapping."""
        entry = self.entries.get(CONFIG)
        if not isinstance(entry, TemplateFile):
            raise TemplateProblem("the template has no config.yaml; every template needs one at its root")
        try:
            parsed = yaml.safe_load(entry.content)
        except yaml.YAMLError as error:
            raise TemplateProblem(
                f"config.yaml is not YAML: {' '.join(str(error).split())}; mend it at that place"
            ) from error
        except RecursionError as error:
            raise TemplateProblem(
                "config.yaml is nested too deeply to be read; no config needs more than a few levels"
            ) from error
        if not isinstance(parsed, dict):
            raise TemplateProblem(
                f"config.yaml is a {type(parsed).__name__}, not a mapping; "
                "it has to be `key: value` lines such as `name: my-agent`"
            )
        return parsed

    def named_skills(self) -> tuple[str, ...]:
        """The skills that config.yaml enables: those it lists or, without a list, every one there is.

        Raises TemplateProblem if `skills` is anything but a list of names (SKL-4).
        """
        config = self.config
        if "skills" not in config:
            return self.skills()
        named = config["skills"]
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise TemplateProblem(
                "`skills` in config.yaml is not a list of names; list the directories of agent-skills, "
                "or leave the key out to enable them all"
            )
        return tuple(named)

    def with_file(self, path: str, content: bytes | str, mode: Mode = "644") -> Template:
        """With a file added, or changed if the path is there."""
        raw = content.encode() if isinstance(content, str) else content
        return self.with_entries({path: TemplateFile(raw, mode)})

    def with_entries(self, entries: Mapping[str, Entry]) -> Template:
        """With entries added, or changed where the path is there."""
        return Template({**self.entries, **entries})

    def without(self, *paths: str) -> Template:
        """Without these paths and everything below them. Raises KeyError for one that is not there."""
        kept = dict(self.entries)
        for path in paths:
            gone = [there for there in self.entries if there == path or there.startswith(f"{path}/")]
            if not gone:
                raise KeyError(path)
            for there in gone:
                kept.pop(there, None)
        return Template(kept)


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _walk(directory: Path, prefix: str) -> Iterable[tuple[str, Entry]]:
    for child in sorted(directory.iterdir(), key=lambda child: os.fsencode(child.name)):
        path = prefix + child.name
        status = child.lstat()
        if child.name == ".git":
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(child, f"{path}/")
        elif stat.S_ISLNK(status.st_mode):
            yield path, TemplateLink(str(child.readlink()))
        elif stat.S_ISREG(status.st_mode):
            yield path, TemplateFile(child.read_bytes(), "755" if status.st_mode & stat.S_IXUSR else "644")
        else:
            raise TemplateProblem(f"{child} is neither a file, a directory nor a link; remove it")
