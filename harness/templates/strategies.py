"""Hypothesis strategies of whole templates: those that must arrive as they are, and those of which a part must not.

They are kept apart, so that a refusal which is expected is never taken for a drop, nor a drop for a refusal. What the
contract leaves open (reserved names of other systems, duplicate keys in YAML) is in neither.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

from .generated import yaml_text
from .model import CONFIG, SKILLS, Entry, Mode, Template, TemplateFile, TemplateLink, TemplateSubmodule

SIZES = (0, 1, 511, 512, 513, 4_095, 4_096, 65_535, 65_536, 65_537)
"""Bytes at which something, somewhere, is known to have cut."""
LONGEST_NAME = 64
"""Characters of a skill's name (agentskills.io)."""
LONGEST_DESCRIPTION = 1_024
"""Characters of a skill's description (agentskills.io)."""
MOST_SKILLS = 40
_LONGEST_PART = 255
"""Bytes of one part of a path on every common file system."""
_BOM = b"\xef\xbb\xbf"

# Names

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_AT_THE_EDGES = (
    "a",
    "0",
    "no",
    "on",
    "null",
    "1e3",
    "x" * LONGEST_NAME,
    "a-" * 31 + "zz",
    "a-b-c",
    "2024-01-31",
)
"""Among them names that YAML reads as another type than text, and two of 64 characters."""


def skill_names() -> st.SearchStrategy[str]:
    """Lower-case letters, digits and single hyphens between them, 1 to 64 characters (agentskills.io)."""
    word = st.text(_LETTERS, min_size=1, max_size=8)
    hyphened = st.lists(word, min_size=1, max_size=4).map("-".join)
    edge = st.sampled_from(_AT_THE_EDGES)
    return st.one_of(hyphened, edge, edge)


_ODD_PARTS = (
    ".hidden",
    ".gitattributes",
    ".gitignore",
    "-rf",
    "with space.md",
    "Grüße.md",
    unicodedata.normalize("NFD", "café.md"),
    "שלום.md",
    "🧭.md",
    "percent%20.md",
    "dollar$HOME.md",
    "quote'\".md",
    "semi;colon.md",
    "back`tick`.md",
    "#hash.md",
    "a:b.md",
    "*.md",
    "n" * (_LONGEST_PART - 3) + ".md",
    "config.yaml",
    "SKILL.md",
    "node_modules",
)
_ATTRIBUTES = b"* text=auto eol=crlf\n*.md export-ignore\n*.sh export-subst\n"
"""What git would do to the files on their way out, if it was asked to."""


def parts_of_paths() -> st.SearchStrategy[str]:
    """One part of a path, in any script; no control, format or unassigned character, no separator of any system."""
    letters = st.characters(
        categories=("L", "N", "P", "S", "M", "Zs"), exclude_characters="/\\", max_codepoint=0x1FFFF
    )
    free = st.text(letters, min_size=1, max_size=12).filter(_is_plain)
    return st.one_of(st.text(_LETTERS, min_size=1, max_size=8), st.sampled_from(_ODD_PARTS), free)


def _is_plain(part: str) -> bool:
    return (
        part not in {".", ".."}
        and part == part.strip(" .")  # not everywhere a name of its own
        and part.casefold() != ".git"
        and len(part.encode()) <= _LONGEST_PART
    )


# Contents

_TEXTS = (
    b"one line\n",
    b"no newline at the end",
    b"\r\nCRLF\r\nthroughout\r\n",
    b"mixed\nends\r\nof lines\r",
    _BOM + b"# Behind a byte order mark\n",
    "Grüß Gott, 你好, \N{COMPASS}\n".encode(),
    b"\n\n\n",
    b" \t trailing blanks \t \n",
    b"$Id$ $Format:%H$\n",
    b"---\nnot: front matter\n---\n",
    b"-----BEGIN CERTIFICATE-----\n",
)
_NO_TEXTS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\0",
    b"\xff\xfe\x00\xd8",
    b"\x1f\x8b\x08\0\0\0\0\0",
    bytes(range(256)),
)


def contents() -> st.SearchStrategy[bytes]:
    """Of any file that nobody parses. Long ones are drawn as (seed, size), and are noise that does not compress."""
    long = st.builds(_noise, st.integers(0, 255), st.sampled_from(SIZES))
    return st.one_of(
        st.sampled_from(_TEXTS), st.just(b""), st.sampled_from(_NO_TEXTS), long, st.binary(max_size=64)
    )


def _noise(seed: int, size: int) -> bytes:
    return hashlib.shake_128(b"noise %d" % seed).digest(size)


def files() -> st.SearchStrategy[TemplateFile]:
    return st.builds(TemplateFile, contents(), _modes())


def _modes() -> st.SearchStrategy[Mode]:
    return st.sampled_from(("644", "755"))


# Skills

_FURTHER_FIELDS = (
    "license: Apache-2.0\n",
    "metadata:\n  author: acme\n  version: '1.0'\n",
    "allowed-tools: Read Grep\n",
    "created: 2024-01-31\n",
    "on: no\n",
    "nothing: null\nempty:\n",
    "defaults: &d {a: 1}\nused: *d\n",
    "list:\n- one\n- [two, three]\n# a comment\n",
    "text: |\n  --- is no end in here\n  tab\tinside\n",
    "mode: 0755\nclock: 12:30:45\n",
)
_BODIES = (
    "\n# Use\n\nDo it.\n",
    "",
    "\n---\nA rule, and no second front matter.\n---\n",
    "\n\tindented by a tab\n",
    "\nEmoji \N{COMPASS} and עברית.\n",
)


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """1 to 1,024 characters."""
    letters = st.characters(categories=("L", "N", "P", "S", "Zs"), max_codepoint=0x1FFFF)
    short = st.text(letters, min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
    return draw(
        st.one_of(short, st.sampled_from(["d", "d" * LONGEST_DESCRIPTION, "ü" * LONGEST_DESCRIPTION]))
    )


@st.composite
def manuals(draw: st.DrawFn, name: str) -> bytes:
    """A sound SKILL.md, its front matter written in one of the many ways that mean the same."""
    description = draw(descriptions())
    written = draw(st.sampled_from(("quoted", "literal", "folded")))
    if written == "quoted" or description != " ".join(description.split()):
        line = f"description: {json.dumps(description, ensure_ascii=False)}\n"
    else:
        line = f"description: {'|' if written == 'literal' else '>'}\n  {description}\n"
    fields = [
        f"name: {yaml_text(name)}\n",
        line,
        *draw(_some_of(_FURTHER_FIELDS)),
    ]
    if draw(st.booleans()):
        fields.reverse()
    text = f"---\n{''.join(fields)}---\n{draw(st.sampled_from(_BODIES))}"
    shape = draw(st.sampled_from(("plain", "plain", "CRLF", "BOM", "no newline at the end")))
    match shape:
        case "CRLF":
            return text.replace("\n", "\r\n").encode()
        case "BOM":
            return _BOM + text.encode()
        case "no newline at the end":
            return text.rstrip("\n").encode()
        case _:
            return text.encode()


@st.composite
def skills(draw: st.DrawFn, name: str) -> dict[str, TemplateFile]:
    """A sound skill: its files by path from the template's root."""
    tree = _Tree(f"{SKILLS}/{name}/")
    tree.add("SKILL.md", TemplateFile(draw(manuals(name))))
    for command in draw(st.lists(skill_names(), max_size=2, unique=True)):
        tree.add(f"commands/{command}.md", TemplateFile(draw(contents())))
    for path in draw(_paths(most=2)):
        tree.add(path, draw(files()))
    return tree.files


def _paths(*, most: int) -> st.SearchStrategy[list[str]]:
    """Odd names are cheap next to the boot that carries them: they come by the handful."""
    deep = st.lists(parts_of_paths(), min_size=1, max_size=6).map("/".join)
    return st.builds(lambda some, more: some + more, _some_of(_ODD_PARTS, most), st.lists(deep, max_size=2))


@st.composite
def _some_of(draw: st.DrawFn, things: Sequence[str], most: int | None = None) -> list[str]:
    """Any number of them as likely as any other: lists alone would mostly be short, and most classes never met."""
    count = draw(st.integers(0, min(len(things), most or len(things))))
    return draw(st.permutations(things))[:count]


class _Tree:
    """Files below a root, none of which collides with another where names fold by case or normalisation."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._folded: dict[str, str] = {}
        self.files: dict[str, TemplateFile] = {}

    def add(self, path: str, file: TemplateFile) -> None:
        """Left out where something stands in its way already."""
        parts = path.split("/")
        names = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        if any(self._folded.get(folded(name), name) != name for name in names):
            return
        taken = {there.removeprefix(self._root) for there in self.files}
        if any(name in taken for name in names) or any(there.startswith(f"{path}/") for there in taken):
            return
        self._folded |= {folded(name): name for name in names}
        self.files[self._root + path] = file


def folded(path: str) -> str:
    """What of a path is left where names fold by case and by normalisation."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


# Whole templates that must arrive


@st.composite
def valid_templates(draw: st.DrawFn) -> Template:
    """Each has a config.yaml. Of up to 40 skills at most 5 are drawn, and the others alike, or no example would end."""
    count = draw(st.integers(0, 5))
    names = draw(st.lists(skill_names(), min_size=count, max_size=count, unique=True))
    entries: dict[str, Entry] = {}
    for name in names:
        entries |= draw(skills(name))
    for number in range(draw(st.sampled_from((0, 0, 0, 4, MOST_SKILLS - 5)))):
        names.append(f"one-of-many-{number:02}")
        manual = f"---\nname: {names[-1]}\ndescription: Number {number}.\n---\n"
        entries[f"{SKILLS}/{names[-1]}/SKILL.md"] = TemplateFile(manual.encode())
    prompts = _Tree("prompts/")
    for path in draw(_paths(most=len(_ODD_PARTS))):
        prompts.add(path, draw(files()))
    entries |= prompts.files
    if draw(st.booleans()):
        entries["system-prompt.md"] = TemplateFile(draw(contents()))
    entries |= draw(_outside())
    entries[CONFIG] = TemplateFile(draw(configs(tuple(names))), draw(_modes()))
    return Template(entries)


def _outside() -> st.SearchStrategy[dict[str, Entry]]:
    """What is not delivered, some of which would change what is, if anybody followed it."""
    return st.fixed_dictionaries(
        {},
        optional={
            "README.md": files(),
            ".gitattributes": st.just(TemplateFile(_ATTRIBUTES)),
            f"{SKILLS}.md": files(),
            "prompts.txt": files(),
            "config.yaml.bak": files(),
            "scripts/install.sh": files(),
        },
    )


@st.composite
def configs(draw: st.DrawFn, names: tuple[str, ...]) -> bytes:
    """A config.yaml that enables all of these skills, some, or none, written in any of the usual ways."""
    lines = [f"name: {yaml_text(draw(st.sampled_from(['Helper', 'no', 'Ünï', '12'])))}", "persona: brief"]
    lines += draw(_some_of(["# a comment", "version: 1.2.0", "tier: 2", "runtime: claude-code"]))
    enabled = draw(
        st.one_of(
            st.none(),
            st.just(list(names)),
            st.just(list(reversed(names))),
            st.permutations(names[1:]),
            st.just([]),
        )
    )
    if enabled is not None:
        if not enabled or draw(st.booleans()):
            lines.append(f"skills: [{', '.join(map(yaml_text, enabled))}]")
        else:
            lines += ["skills:", *(f"  - {yaml_text(name)}" for name in enabled)]
    newline = draw(st.sampled_from(("\n", "\n", "\r\n")))
    return (newline.join(lines) + draw(st.sampled_from((newline, "")))).encode()


# Small templates that go on changing


@st.composite
def templates_to_live_with(draw: st.DrawFn) -> Template:
    """Of one or two skills and a few files, each of which may be edited, damaged and changed."""
    names = draw(st.lists(st.sampled_from(("audit", "brief")), min_size=1, max_size=2, unique=True))
    entries: dict[str, Entry] = {}
    for name in names:
        manual = f"---\nname: {name}\ndescription: What it is for.\n---\n\nDo it.\nThen say so.\n"
        entries[f"{SKILLS}/{name}/SKILL.md"] = TemplateFile(manual.encode())
        if draw(st.booleans()):
            entries[f"{SKILLS}/{name}/commands/go.md"] = TemplateFile(b"# Go\n\nFirst this.\nThen that.\n")
        if draw(st.booleans()):
            entries[f"{SKILLS}/{name}/scripts/run.sh"] = TemplateFile(b"#!/bin/sh\necho done\n", "755")
    if draw(st.booleans()):
        entries["prompts/style.md"] = TemplateFile(b"# Style\n\nBe brief.\nBe kind.\n")
    lines = ["name: Helper", "version: 1.0.0", "persona: brief"]
    if draw(st.booleans()):
        lines += ["skills:", *(f"  - {name}" for name in names)]
    entries[CONFIG] = TemplateFile("".join(f"{line}\n" for line in lines).encode())
    return Template(entries)


# Templates of which something must not arrive


@dataclass(frozen=True)
class HostilePaths:
    """Paths by which the whole template is refused (ALW-2)."""

    template: Template
    kind: str
    files: tuple[tuple[str, TemplateFile], ...]
    """On top of the template, and none of them in its mapping, since two may have the same path."""


@dataclass(frozen=True)
class NoPlainFile:
    """A link or a submodule among the assets, by which the whole template is refused (ALW-3)."""

    template: Template
    kind: str
    """`link` or `submodule`."""
    path: str


@dataclass(frozen=True)
class NoList:
    """A `skills:` that is no list of names, which is an error and not an empty list (SKL-4)."""

    template: Template
    kind: str


@dataclass(frozen=True)
class MalformedSkills:
    """Skills that do not load, among others that do (SKL-5)."""

    template: Template
    malformed: Mapping[str, str]
    """What is wrong with each (of MALFORMED), by its name."""
    sound: tuple[str, ...]


@dataclass(frozen=True)
class AbsentSkill:
    """A name under `skills:` that is no skill of the template (SKL-2)."""

    template: Template
    kind: str
    named: str


Hostile = HostilePaths | NoPlainFile | NoList | MalformedSkills | AbsentSkill
HOSTILE_PATHS: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "traversing": lambda part: (f"{SKILLS}/../../{part}",),
    "absolute": lambda part: (f"/{SKILLS}/{part}",),
    "backslashed": lambda part: (f"prompts/{part}\\{part}",),
    "a control character": lambda part: (f"prompts/{part}\x1b[2J{part}",),
    "colliding by case": lambda part: (f"prompts/a{part}/x.md", f"prompts/A{part}/y.md"),
    "colliding by normalisation": lambda part: (
        f"prompts/{part}\N{LATIN SMALL LETTER E WITH ACUTE}",
        f"prompts/{part}e\N{COMBINING ACUTE ACCENT}",
    ),
    "a name too long": lambda part: (f"prompts/{part}{'n' * 256}",),
    "reserved": lambda part: (f"{SKILLS}/{part}/.Git/config",),
    "one name twice": lambda part: (f"prompts/{part}", f"prompts/{part}"),
    "a file and a directory": lambda part: (f"prompts/{part}", f"prompts/{part}/x.md"),
}
NO_LISTS = {"null": "null", "a text": "one-skill", "a mapping": "{one-skill: true}", "a number": "7"}
MALFORMED: Mapping[str, Mapping[str, bytes]] = {
    "no SKILL.md": {"notes.md": b"# Only notes\n"},
    "SKILL.md in another case": {"skill.md": b"---\nname: n\ndescription: d\n---\n"},
    "SKILL.md a directory": {"SKILL.md/README.md": b"# A directory\n"},
    "an empty SKILL.md": {"SKILL.md": b""},
    "no front matter": {"SKILL.md": b"# No front matter\n"},
    "front matter without an end": {"SKILL.md": b"---\nname: n\ndescription: d\n"},
    "front matter that is no YAML": {"SKILL.md": b"---\nname: [n\ndescription: d\n---\n"},
    "front matter indented by a tab": {"SKILL.md": b"---\nname: n\nmetadata:\n\ta: b\ndescription: d\n---\n"},
    "front matter that is a list": {"SKILL.md": b"---\n- name\n- description\n---\n"},
    "no name": {"SKILL.md": b"---\ndescription: d\n---\n"},
    "no description": {"SKILL.md": b"---\nname: n\ndescription:\n---\n"},
    "not UTF-8": {"SKILL.md": b"---\nname: n\ndescription: Sm\xf8r\n---\n"},
}
NO_PLAIN_FILES: Mapping[str, st.SearchStrategy[TemplateLink | TemplateSubmodule]] = {
    "link": st.sampled_from(["../../workspace", "/etc/passwd", CONFIG, "."]).map(TemplateLink),
    "submodule": st.text("0123456789abcdef", min_size=40, max_size=40).map(TemplateSubmodule),
}
ABSENT: Mapping[str, Callable[[str], str]] = {
    "a skill that is nowhere": lambda _: "zz-nowhere",
    "a skill in another case": str.upper,
}


def hostile_templates(kind: str) -> st.SearchStrategy[Hostile]:
    """A small sound template with one thing of this kind (of KINDS) in it that may not be there, or a few skills."""
    return _small_templates().flatmap(_HOSTILE[kind])


@st.composite
def _small_templates(draw: st.DrawFn) -> Template:
    """No path of it begins with `z`, so that what is put beside it collides with nothing."""
    names = draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=2, unique=True))
    entries: dict[str, Entry] = {}
    for name in names:
        entries[f"{SKILLS}/{name}/SKILL.md"] = TemplateFile(draw(manuals(name)))
    entries[CONFIG] = TemplateFile(b"name: Helper\npersona: brief\n")
    return Template(entries)


@st.composite
def _with_hostile_paths(draw: st.DrawFn, template: Template, kind: str) -> HostilePaths:
    part = "z" + draw(st.text(_LETTERS, max_size=5))
    paths = HOSTILE_PATHS[kind](part)
    numbered = tuple((path, TemplateFile(b"number %d\n" % number)) for number, path in enumerate(paths))
    return HostilePaths(template, kind, numbered)


@st.composite
def _with_no_plain_file(draw: st.DrawFn, template: Template, kind: str) -> NoPlainFile:
    places = [f"{SKILLS}/zz/notes.md", f"{SKILLS}/zz", "prompts/z.md", "prompts", "system-prompt.md"]
    path = draw(st.sampled_from(places))
    entry: TemplateLink | TemplateSubmodule = draw(NO_PLAIN_FILES[kind])
    return NoPlainFile(template.with_entries({path: entry}), kind, path)


def _with_no_list(template: Template, kind: str) -> st.SearchStrategy[NoList]:
    return st.just(NoList(_with_skills_key(template, NO_LISTS[kind]), kind))


@st.composite
def _with_malformed_skills(draw: st.DrawFn, template: Template) -> MalformedSkills:
    kinds = draw(st.lists(st.sampled_from(sorted(MALFORMED)), min_size=1, unique=True))
    malformed = {f"z{number}-malformed": kind for number, kind in enumerate(kinds)}
    broken = {
        f"{SKILLS}/{name}/{path}": TemplateFile(content)
        for name, kind in malformed.items()
        for path, content in MALFORMED[kind].items()
    }
    return MalformedSkills(template.with_entries(broken), malformed, template.skills())


def _with_an_absent_skill(template: Template, kind: str) -> st.SearchStrategy[AbsentSkill]:
    there = template.skills()
    named = ABSENT[kind](there[0])
    listed = ", ".join(map(yaml_text, [*there, named]))
    return st.just(AbsentSkill(_with_skills_key(template, f"[{listed}]"), kind, named))


def _with_skills_key(template: Template, value: str) -> Template:
    return template.with_file(CONFIG, template.files[CONFIG].content + f"skills: {value}\n".encode())


_HOSTILE: Mapping[str, Callable[[Template], st.SearchStrategy[Any]]] = {
    **{kind: partial(_with_hostile_paths, kind=kind) for kind in HOSTILE_PATHS},
    **{kind: partial(_with_no_plain_file, kind=kind) for kind in NO_PLAIN_FILES},
    **{kind: partial(_with_no_list, kind=kind) for kind in NO_LISTS},
    "malformed skills": _with_malformed_skills,
    **{kind: partial(_with_an_absent_skill, kind=kind) for kind in ABSENT},
}
KINDS = tuple(_HOSTILE)
