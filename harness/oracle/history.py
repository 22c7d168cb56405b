"""What a volume has to hold, as a pure function of what happened to it (EDIT, HEAL, REC-6, REC-7).

Written from the contract alone: nothing in here knows how an implementation goes about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.templates.model import Template, is_asset

from .seen import Contest

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Edit:
    """A file as the user wrote it, or as it was made of what the user and the template wrote."""

    content: bytes
    over: bytes | None
    """What the template had there at the time; None where it had nothing."""


@dataclass(frozen=True)
class History:
    """A volume and its past. Each event gives another one. Paths are from the config root."""

    base: Template = field(default_factory=Template)
    """The template that was last delivered to it."""
    edits: Mapping[str, Edit] = field(default_factory=dict)
    damage: Mapping[str, bytes] = field(default_factory=dict)
    """What stands damaged in a file's place since the last boot; a file that is merely gone is not in it."""
    base_is_known: bool = True
    """Whether the implementation's own record of the base is whole."""

    def edited(self, path: str, content: bytes) -> History:
        """The user wrote a file."""
        file = self.base.files.get(path)
        edit = Edit(content, file.content if file else None)
        return replace(self, edits={**self.edits, path: edit}, damage=_without(self.damage, path))

    def damaged(self, path: str, content: bytes) -> History:
        """Something, not the user, left these bytes in a file; whatever the user had in it is gone."""
        lost = self.lost(path)
        return replace(lost, damage={**lost.damage, path: content}) if content else lost

    def lost(self, path: str) -> History:
        """What was at or below a path is gone, be it the user's or damaged; with the empty path, everything."""
        return replace(self, edits=_without(self.edits, path), damage=_without(self.damage, path))

    def forgotten(self) -> History:
        """The implementation's own record of the base was lost or damaged."""
        return replace(self, base_is_known=False)

    def tried(self) -> History:
        """There was a boot that may have repaired what was damaged, and took no template in."""
        return replace(self, damage={})

    def booted(self, template: Template, content: Callable[[str], bytes | None]) -> History:
        """There was a good boot with this template; `content` is what it left at a path.

        What it made of a contest is the user's from now on, and has to stay: the contract leaves open what that is.
        """
        contests = self.contests(template)
        edits = {}
        for path, edit in self.edits.items():
            file = template.files.get(path)
            now = (content(path) or b"") if path in contests else edit.content
            if file is None or file.content != now:
                edits[path] = Edit(now, file.content if file else None)
        return History(template, edits)

    def kept(self, template: Template) -> dict[str, bytes]:
        """The user's files that this template leaves alone: they have to be as they are."""
        contests = self.contests(template)
        return {
            path: edit.content
            for path, edit in self.edits.items()
            if path not in contests and not _is(template, path, edit.content)
        }

    def contests(self, template: Template) -> dict[str, Contest]:
        """The user's files that this template has changed since the user wrote them."""
        return {
            path: Contest(edit.over, edit.content, file.content)
            for path, edit in self.edits.items()
            if (file := template.files.get(path)) and file.content not in {edit.over, edit.content}
        }

    def added(self) -> list[str]:
        """The user's files where no template had any."""
        return [path for path, edit in self.edits.items() if edit.over is None]

    def to_repair(self, template: Template) -> dict[str, bytes]:
        """The damage that is in the place of an asset of this template."""
        return {path: content for path, content in self.damage.items() if path in template.asset_set()}

    def removed(self, template: Template) -> tuple[list[str], list[str]]:
        """The assets of the base that this template no longer has: those as they were, and those edited."""
        gone = [path for path in self.base.asset_set() if path not in template.files and is_asset(path)]
        return (
            [path for path in gone if path not in self.edits and path not in self.damage],
            [path for path in gone if path in self.edits],
        )


def _is(template: Template, path: str, content: bytes) -> bool:
    file = template.files.get(path)
    return file is not None and file.content == content


def _without(known: Mapping[str, Kept], path: str) -> dict[str, Kept]:
    return {
        each: content
        for each, content in known.items()
        if not (not path or each == path or each.startswith(f"{path}/"))
    }
