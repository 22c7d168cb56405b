"""Loading the skills that are on the volume, each by itself, so that a broken one takes no other with it (SKL-5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BootError
from . import files
from .damage import CONFIG, LONGEST_CONFIG
from .document import DocumentError, parse_mapping
from .report import SkillNote

ROOT = "agent-skills"
_MANUAL = "SKILL.md"
_COMMANDS = "commands"
_NULLS = ("", "~", "null", "Null", "NULL")
_FENCE = b"---"
_LONGEST_MANUAL = 16 << 20
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Skill:
    directory: str
    name: str
    description: str
    commands: tuple[str, ...]
    """File names, sorted."""


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Mapping[str, Any]
    skills: tuple[Skill, ...]
    notes: tuple[SkillNote, ...]
    missing: tuple[SkillNote, ...]
    """Those that `config.yaml` names, or that the template delivered, and that do not load (SKL-2)."""


class _SkillError(Exception):
    """Why one skill does not load: `code: text`."""


def load_config(configs: int) -> Mapping[str, Any]:
    """The live config.yaml. Raises BootError `config-missing`, `config-unparsable`."""
    try:
        return parse_mapping(files.read_whole(configs, CONFIG, LONGEST_CONFIG))
    except DocumentError as error:
        raise BootError(
            "config-unparsable", f"config.yaml {error}", "mend it in the workspace or the template"
        ) from None
    except OSError as error:
        raise BootError(
            "config-missing",
            f"config.yaml cannot be read: {error.strerror}",
            "see what in the workspace took it or its permissions away, then restart the workspace",
        ) from error


def load_skills(configs: int, delivered: frozenset[str]) -> Loaded:
    """`configs` is the open config root, `delivered` the names of the skills that the template has.

    Raises BootError `config-…`, `skills-…`.
    """
    config = load_config(configs)
    enabled = _enabled(config)
    present = _directories(configs)
    skills: list[Skill] = []
    notes: list[SkillNote] = []
    missing: list[SkillNote] = []
    for name in sorted(present | delivered | frozenset(enabled or ())):
        if enabled is not None and name not in enabled:
            notes.append(SkillNote(name, "not-enabled"))
            continue
        try:
            skill = _load(configs, name)
        except _SkillError as error:
            note = SkillNote(name, "failed", str(error))
            if name in delivered or enabled is not None:
                missing.append(note)
        else:
            skills.append(skill)
            note = SkillNote(name, "loaded", None, skill.commands)
        notes.append(note)
    return Loaded(config, tuple(skills), tuple(notes), tuple(missing))


def _enabled(config: Mapping[str, Any]) -> frozenset[str] | None:
    """The names under `skills:`; None where the key is absent, which means all (SKL-4)."""
    if "skills" not in config:
        return None
    names = config["skills"]
    if not isinstance(names, list):
        if isinstance(names, dict):
            raise _malformed("skills-mapping", "is a mapping")
        # Scalars are read as text.
        raise (
            _malformed("skills-null", "is null")
            if names in _NULLS
            else _malformed("skills-text", "is a text")
        )
    for position, name in enumerate(names, 1):
        if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
            raise _malformed("skills-entry", f"has an entry, number {position}, that is no name of a skill")
    return frozenset(names)


def _malformed(code: str, rule: str) -> BootError:
    return BootError(
        code,
        f"config.yaml: 'skills' {rule}, where a list of names belongs",
        "write a list, or leave the key out to enable every skill",
    )


def _directories(configs: int) -> frozenset[str]:
    try:
        root = files.open_directory(configs, ROOT)
    except OSError:
        return frozenset()
    try:
        with os.scandir(root) as entries:
            return frozenset(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    finally:
        os.close(root)


def _load(configs: int, name: str) -> Skill:
    with files.descent(configs) as walk:
        try:
            directory = walk.enter([ROOT, name])
        except OSError:
            raise _SkillError(f"skill-missing: there is no {ROOT}/{name}") from None
        header = _front_matter(_read_manual(directory))
        fields = {}
        for field in ("name", "description"):
            value = header.get(field)
            if not isinstance(value, str) or not value.strip():
                raise _SkillError(f"front-matter-lacks-{field}: {_MANUAL} has no {field}")
            fields[field] = value
        return Skill(name, fields["name"], fields["description"], _commands(directory))


def _read_manual(directory: int) -> bytes:
    try:
        return files.read_whole(directory, _MANUAL, _LONGEST_MANUAL)
    except FileNotFoundError:
        raise _SkillError(f"no-manual: there is no {_MANUAL}") from None
    except OSError as error:
        why = (
            "is no regular file"
            if error.errno in (errno.EINVAL, errno.ELOOP)
            else f"cannot be read: {error.strerror}"
        )
        raise _SkillError(f"manual-unreadable: {_MANUAL} {why}") from None


def _front_matter(text: bytes) -> Mapping[str, Any]:
    try:
        text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _SkillError(f"not-utf-8: {_MANUAL} is not UTF-8") from None
    lines = text.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    if not lines or lines[0].rstrip() != _FENCE:
        raise _SkillError(f"front-matter-missing: {_MANUAL} does not begin with front matter")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise _SkillError(f"front-matter-unended: the front matter of {_MANUAL} has no end")
    try:
        return parse_mapping(b"".join(lines[1:end]))
    except DocumentError as error:
        raise _SkillError(f"front-matter-unparsable: the front matter of {_MANUAL} {error}") from None


def _commands(directory: int) -> tuple[str, ...]:
    try:
        commands = files.open_directory(directory, _COMMANDS)
    except OSError:
        return ()
    try:
        with os.scandir(commands) as entries:
            return tuple(
                sorted(
                    entry.name
                    for entry in entries
                    if entry.name.endswith(".md") and entry.is_file(follow_symlinks=False)
                )
            )
    finally:
        os.close(commands)
