"""Skill packages made at test time, of any size and the same bytes every time, so that none of them is kept in git."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import yaml

from .model import CONFIG, SKILLS, Template, TemplateFile, TemplateProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

BOTTOMLESS = b"[" * 60_000 + b"]" * 60_000
"""YAML that takes a parser which calls itself beyond the end of its stack."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def generated_skill(
    name: str, *, size: int, seed: str = "", files: int = 12, commands: tuple[str, ...] = ("run",)
) -> dict[str, TemplateFile]:
    """A sound skill of exactly `size` bytes in `files` files, keyed by path from the template's root.

    It has a SKILL.md, a script (mode 755), the commands, and references filled with SHAKE-128 of the seed, which
    no compression shrinks. Raises ValueError if size or count leave no room for that.
    """
    root = f"{SKILLS}/{name}"
    fixed = {
        f"{root}/SKILL.md": TemplateFile(_skill_md(name).encode()),
        f"{root}/scripts/check.sh": TemplateFile(_SCRIPT, "755"),
        **{f"{root}/commands/{each}.md": TemplateFile(_command_md(name, each)) for each in commands},
    }
    count = files - len(fixed)
    filler = size - sum(file.size for file in fixed.values())
    if count < 1 or filler < count:
        raise ValueError(
            f"a skill of {size} bytes in {files} files has no room for what every skill has: "
            f"{len(fixed)} files of {size - filler} bytes, and one byte in each further file"
        )
    each, rest = divmod(filler, count)
    for number in range(count):
        path = f"{root}/references/{number // 100:03}/{number:05}.bin"
        length = each + (1 if number < rest else 0)
        content = hashlib.shake_128(f"{seed}\0{path}".encode()).digest(length)
        fixed[path] = TemplateFile(content, noise=True)
    return fixed


def with_skill(template: Template, name: str, files: Mapping[str, TemplateFile]) -> Template:
    """With the skill's files added, and its name in config.yaml's list where there is a list."""
    config = TemplateFile(_config_naming(template, name), template.files[CONFIG].mode)
    return template.with_entries({**files, CONFIG: config})


def with_generated_skill(
    template: Template,
    name: str,
    *,
    size: int,
    seed: str = "",
    files: int = 12,
    commands: tuple[str, ...] = ("run",),
) -> Template:
    """With a generated skill (see generated_skill) that config.yaml enables."""
    return with_skill(
        template, name, generated_skill(name, size=size, seed=seed, files=files, commands=commands)
    )


def _config_naming(template: Template, name: str) -> bytes:
    """config.yaml's bytes with `name` appended to its list of skills and nothing else touched, comments included.

    Unchanged if there is no list (every skill is enabled then) or the name is in it.
    """
    named = template.named_skills()
    content = template.files[CONFIG].content
    if "skills" not in template.config or name in named:
        return content
    text = content.decode()
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(document, yaml.MappingNode)
    listed = next(value for key, value in document.value if key.value == "skills")
    item = yaml_text(name)
    if listed.flow_style:
        at = listed.value[-1].end_mark.index if named else listed.start_mark.index + len("[")
        changed = text[:at] + (", " if named else "") + item + text[at:]
    else:
        newline = "\r\n" if "\r\n" in text else "\n"
        end = text.find("\n", listed.value[-1].end_mark.index)
        head, tail = (text, "") if end < 0 else (text[: end + 1], text[end + 1 :])
        head = head if head.endswith("\n") else head + newline
        changed = f"{head}{' ' * listed.start_mark.column}- {item}{newline}{tail}"
    changed_template = template.with_file(CONFIG, changed)
    if changed_template.config != {**template.config, "skills": [*named, name]}:
        raise TemplateProblem(
            f"config.yaml's list of skills is written in a way that {name!r} cannot be added to; "
            "write one skill a line"
        )
    return changed.encode()


def yaml_text(text: str) -> str:
    """As YAML, in quotes where it would be read as another type or not at all."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _skill_md(name: str) -> str:
    return (
        f"---\nname: {json.dumps(name)}\n"
        "description: Looks things up in its reference files and reports what it found.\n"
        "---\n\n"
        f"# {name}\n\nRead the files under `references/`, then run `scripts/check.sh`.\n"
    )


def _command_md(name: str, command: str) -> bytes:
    return f"# /{command}\n\nUse the {name} skill for the request: $ARGUMENTS\n".encode()


_SCRIPT = b"""#!/bin/sh
# Says how many reference files this skill has.
set -eu
find "$(dirname "$0")/../references" -type f | wc -l
"""
