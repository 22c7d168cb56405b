"""The classes that a generated template may fall into, told from what it is and not from how it was made.

A property that never met a class has said nothing of it: a run counts them, and one that is never met is an error.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

import yaml

from .model import CONFIG, SKILLS, Template, TemplateFile, is_asset

_BOM = b"\xef\xbb\xbf"
_RIGHT_TO_LEFT = ("R", "AL")


def classes_of(template: Template) -> frozenset[str]:
    """The names of the classes, as in CLASSES."""
    return frozenset(name for name, is_in in CLASSES.items() if is_in(template))


def _any_file(holds: Callable[[TemplateFile], bool]) -> Callable[[Template], bool]:
    return lambda template: any(holds(file) for file in template.asset_set().values())


def _any_part(holds: Callable[[str], bool]) -> Callable[[Template], bool]:
    return lambda template: any(holds(part) for path in template.asset_set() for part in path.split("/"))


def _any_manual(holds: Callable[[bytes], bool]) -> Callable[[Template], bool]:
    return lambda template: any(
        holds(file.content)
        for path, file in template.files.items()
        if path.startswith(f"{SKILLS}/") and path.count("/") == 2 and path.endswith("/SKILL.md")
    )


def _any_skill(holds: Callable[[str], bool]) -> Callable[[Template], bool]:
    return lambda template: any(holds(name) for name in template.skills())


def _is_binary(file: TemplateFile) -> bool:
    try:
        return "\0" in file.content.decode()
    except UnicodeDecodeError:
        return True


def _reads_as_another_type(name: str) -> bool:
    return not isinstance(yaml.safe_load(name), str)


def _is_right_to_left(part: str) -> bool:
    return any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in part)


CLASSES: Mapping[str, Callable[[Template], bool]] = {
    "no skill": lambda template: not template.skills(),
    "one skill": lambda template: len(template.skills()) == 1,
    "more than 30 skills": lambda template: len(template.skills()) > 30,
    "a name of 64 characters": _any_skill(lambda name: len(name) == 64),
    "a name of 1 character": _any_skill(lambda name: len(name) == 1),
    "a name with hyphens": _any_skill(lambda name: "-" in name),
    "a name that YAML reads as no text": _any_skill(_reads_as_another_type),
    "a skill with commands": lambda template: any(template.commands(name) for name in template.skills()),
    "a name with a space": _any_part(lambda part: " " in part),
    "a name that begins with a dot": _any_part(lambda part: part.startswith(".")),
    "a name that begins with a hyphen": _any_part(lambda part: part.startswith("-")),
    "a name that shells expand": _any_part(lambda part: any(letter in part for letter in "*$`;'\"")),
    "a composed name": _any_part(lambda part: unicodedata.normalize("NFD", part) != part),
    "a decomposed name": _any_part(lambda part: unicodedata.normalize("NFC", part) != part),
    "a right-to-left name": _any_part(_is_right_to_left),
    "a name beyond the basic plane": _any_part(lambda part: any(ord(letter) > 0xFFFF for letter in part)),
    "a name of 255 bytes": _any_part(lambda part: len(part.encode()) == 255),
    "a path of 5 parts or more": lambda template: any(path.count("/") >= 4 for path in template.asset_set()),
    "attributes of git among the assets": _any_part(lambda part: part == ".gitattributes"),
    "attributes of git beside the assets": lambda template: ".gitattributes" in template.files,
    "a file that is no asset": lambda template: not all(is_asset(path) for path in template.files),
    "an empty file": _any_file(lambda file: not file.content),
    "a binary file": _any_file(_is_binary),
    "a byte order mark": _any_file(lambda file: file.content.startswith(_BOM)),
    "CRLF": _any_file(lambda file: b"\r\n" in file.content),
    "no newline at the end": _any_file(lambda file: bool(file.content) and not file.content.endswith(b"\n")),
    "an executable file": _any_file(lambda file: file.mode == "755"),
    "a file of 65,536 bytes": _any_file(lambda file: file.size == 65_536),
    "a file beyond 65,536 bytes": _any_file(lambda file: file.size > 65_536),
    "a SKILL.md with a byte order mark": _any_manual(lambda content: content.startswith(_BOM)),
    "a SKILL.md with CRLF": _any_manual(lambda content: b"\r\n" in content),
    "a SKILL.md that ends with its front matter": _any_manual(
        lambda content: content.rstrip().endswith(b"\n---")
    ),
    "a description of 1,024 characters": _any_manual(
        lambda content: b"d" * 1024 in content or "ü".encode() * 1024 in content
    ),
    "front matter with an anchor": _any_manual(lambda content: b": &d " in content),
    "front matter with a null": _any_manual(lambda content: b"nothing: null" in content),
    "no list of skills": lambda template: "skills" not in template.config,
    "an empty list of skills": lambda template: template.config.get("skills") == [],
    "some skills enabled and some not": lambda template: (
        0 < len(template.named_skills()) < len(template.skills())
    ),
    "a config.yaml with CRLF": lambda template: b"\r\n" in template.files[CONFIG].content,
    "a config.yaml with a comment": lambda template: b"#" in template.files[CONFIG].content,
}
