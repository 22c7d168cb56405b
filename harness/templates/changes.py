"""How the authors of a template go on with it: what they may do next, and the template that comes of it.

Every template here keeps at least one skill and its config.yaml: one that loses all is a story of its own (REC-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .generated import with_skill
from .model import CONFIG, SKILLS, Template, TemplateFile

_ADDED = ("prompts/added.md", f"{SKILLS}/{{skill}}/references/added.md", "prompts/mine.md")
"""Of the last, users too think."""
_ADDED_SKILL = "added"
_REMOVALS = ("remove a file", "remove a skill")


def possible_changes(template: Template) -> list[tuple[str, str]]:
    """(kind, path or name of a skill) of all that may be done next."""
    skills = template.skills()
    plain = [path for path in template.asset_set() if path != CONFIG]
    manuals = {f"{SKILLS}/{skill}/SKILL.md" for skill in skills}
    loose = [path for path in plain if path not in manuals]
    new = [path for pattern in _ADDED if (path := pattern.format(skill=skills[0])) not in template.files]
    return [
        *(("add a file", path) for path in new),
        *(("change a file", path) for path in plain),
        *(("change a file from its first line on", path) for path in loose),
        *(("rename a file", path) for path in loose if path.endswith(".md")),
        *(("remove a file", path) for path in loose),
        *(("change the mode of a file", path) for path in loose),
        *([("add a skill", _ADDED_SKILL)] if _ADDED_SKILL not in skills else []),
        *(("remove a skill", skill) for skill in skills if len(skills) > 1),
        ("change a key", CONFIG),
        ("add a key", CONFIG),
    ]


def changed(template: Template, kind: str, what: str, number: int) -> Template:
    """The next version; `number` tells what this change writes from what others do."""
    return _CHANGES[kind](template, what, number)


def possible_removals(template: Template) -> list[tuple[str, str]]:
    """Of the possible changes, those that leave nothing but a smaller template; of most files first."""
    return [change for change in reversed(possible_changes(template)) if change[0] in _REMOVALS]


def _with_line(template: Template, path: str, number: int) -> Template:
    file = template.files[path]
    content = file.content + (b"" if file.content.endswith(b"\n") else b"\n") + _line(number)
    return template.with_file(path, content, file.mode)


def _renamed(template: Template, path: str, number: int) -> Template:
    new = f"{path.removesuffix('.md')}-{number}.md"
    return template.without(path).with_entries({new: template.files[path]})


def _of_another_mode(template: Template, path: str, _: int) -> Template:
    file = template.files[path]
    return template.with_file(path, file.content, "644" if file.mode == "755" else "755")


def _with_another_skill(template: Template, name: str, number: int) -> Template:
    manual = f"---\nname: {name}\ndescription: Number {number} of what upstream added.\n---\n"
    files = {
        f"{SKILLS}/{name}/SKILL.md": TemplateFile(manual.encode()),
        f"{SKILLS}/{name}/commands/go.md": TemplateFile(_line(number)),
    }
    return with_skill(template, name, files)


def _without_skill(template: Template, name: str) -> Template:
    """Where config.yaml lists skills, it does so one a line."""
    config = template.files[CONFIG]
    lines = [
        line for line in config.content.splitlines(keepends=True) if line.strip() != f"- {name}".encode()
    ]
    return template.without(f"{SKILLS}/{name}").with_file(CONFIG, b"".join(lines), config.mode)


def _with_another_version(template: Template, path: str, number: int) -> Template:
    lines = template.files[path].content.splitlines(keepends=True)
    version = b"version: 1.0.%d\n" % number
    return template.with_file(
        path, b"".join(version if line.startswith(b"version:") else line for line in lines)
    )


def _with_another_key(template: Template, path: str, number: int) -> Template:
    return template.with_file(path, template.files[path].content + b"upstream_%d: %d\n" % (number, number))


def _line(number: int) -> bytes:
    return b"Line %d of upstream's.\n" % number


_CHANGES: Mapping[str, Callable[[Template, str, int], Template]] = {
    "add a file": lambda template, path, number: template.with_file(path, _line(number)),
    "change a file": _with_line,
    "change a file from its first line on": lambda template, path, number: template.with_file(
        path, _line(number) + b"And nothing else.\n", template.files[path].mode
    ),
    "rename a file": _renamed,
    "remove a file": lambda template, path, _: template.without(path),
    "change the mode of a file": _of_another_mode,
    "add a skill": _with_another_skill,
    "remove a skill": lambda template, name, _: _without_skill(template, name),
    "change a key": _with_another_version,
    "add a key": _with_another_key,
}
KINDS = tuple(_CHANGES)
