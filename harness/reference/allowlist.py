"""Which of a template's paths are delivered, and which make the whole template refused (ALW-1, ALW-2, ALW-3).

Every rule is checked on the listing, before a byte is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from .errors import BootError
from .fetch.limits import Limits, breach
from .fetch.transport import Listed

FILES = ("config.yaml", "system-prompt.md")
TREES = ("prompts", "agent-skills")

_LONGEST_PART = 255
"""Bytes, as on every Linux file system."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text so that a name reads as another."""
_KINDS = {
    "link": ("entry-link", "a link"),
    "submodule": ("entry-submodule", "a submodule"),
    "other": ("entry-special", "neither file nor directory"),
}
"""The error code of each, and its words."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A listing judged."""

    assets: dict[str, Listed]
    """What is to be delivered, by path."""
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A path of the template that is not delivered, and why."""

    path: str
    action: Literal["skipped", "rejected"]
    reason: str


def is_asset(path: str) -> bool:
    return path in FILES or (path.partition("/")[0] in TREES and "/" in path)


def admit(listing: Iterable[Listed], limits: Limits) -> Admission:
    """Raises BootError `path-…`, `entry-…`, `fetch-limit-…`: a code for each rule, and the path in the message."""
    assets: dict[str, Listed] = {}
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    unpacked = 0
    for count, listed in enumerate(listing, 1):
        if count > limits.entries:
            raise breach("entries", f"the template has more than {limits.entries} entries")
        path = _checked(listed.path, limits)
        if path in seen:
            raise _refused("duplicate", path, "is listed twice")
        seen.add(path)
        if listed.kind != "file":
            # A link at the top of a tree of assets stands for all of it.
            if is_asset(path) or path in FILES or path in TREES:
                code, words = _KINDS[listed.kind]
                raise BootError(
                    code,
                    f"the template's {path!r} is {words}",
                    "templates are made of plain files: put a copy in its place",
                )
            left_out.append(LeftOut(path, "rejected", f"not-allowlisted: {_KINDS[listed.kind][1]}"))
        elif is_asset(path):
            assets[path] = listed
            unpacked += listed.size
            if unpacked > limits.bytes:
                raise breach("bytes", f"the asset set is larger than {limits.bytes} bytes")
        else:
            left_out.append(LeftOut(path, "skipped", "not-allowlisted"))
    _check_directories(seen)
    _check_collisions(assets)
    return Admission(assets, tuple(left_out))


def _checked(raw: bytes, limits: Limits) -> str:
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise _refused("not-utf-8", raw.decode("utf-8", "backslashreplace"), "is not UTF-8") from None
    if path.startswith("/"):
        raise _refused("absolute", path, "is absolute")
    if len(raw) > limits.path_length:
        raise breach("path_length", f"{path[:100]!r}… is longer than {limits.path_length} bytes")
    if "\\" in path:
        raise _refused("backslash", path, "holds a backslash")
    if _UNPRINTABLE.search(path):
        raise _refused("control-character", path, "holds a control character")
    parts = path.split("/")
    if len(parts) > limits.depth:
        raise breach("depth", f"{path[:100]!r} has more than {limits.depth} parts")
    for part in parts:
        if part in ("", ".", ".."):
            raise _refused("traversal", path, "is not in its plain form, or leaves the template")
        if len(part.encode()) > _LONGEST_PART:
            raise _refused("part-too-long", path, f"has a part longer than {_LONGEST_PART} bytes")
        if part.casefold() == ".git":
            raise _refused("reserved", path, "uses the reserved name .git")
    return path


def _check_directories(paths: set[str]) -> None:
    for path in paths:
        directory = path
        while directory := directory.rpartition("/")[0]:
            if directory in paths:
                raise _refused("file-and-directory", directory, "is a file and a directory at once")


def _check_collisions(paths: Iterable[str]) -> None:
    """No two names, of files or directories, may be one on a file system that folds case or normalises."""
    names: dict[str, str] = {}
    done: set[str] = set()
    for path in paths:
        name = path
        while name and name not in done:
            done.add(name)
            other = names.setdefault(normalize("NFC", normalize("NFC", name).casefold()), name)
            if other != name:
                raise _refused(
                    "collision", path, f"collides with {other!r} where names fold by case or normalisation"
                )
            name = name.rpartition("/")[0]


def _refused(code: str, path: str, rule: str) -> BootError:
    shown = path if len(path) <= 200 else path[:200] + "…"
    return BootError(f"path-{code}", f"the template's path {shown!r} {rule}", "rename it in the template")
