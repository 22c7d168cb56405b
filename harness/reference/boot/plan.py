"""What a reconcile has to do: a pure function of the base, the live tree and the template's new version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..index import Entry, Index
from .damage import CONFIG
from .files import Kind
from .report import Verb

Step = Literal["clear", "remove", "place", "replace", "mode", "merge", "lay-aside", "keep"]
"""In the order in which they are taken; `clear` moves what stands where a directory must be out of the way."""


class Live(NamedTuple):
    """One path of the volume, as found."""

    kind: Kind
    mode: int = 0
    size: int = 0
    sha256: str | None = None
    """Of readable regular files."""
    damage: str | None = None
    """The reason code, for a file that is neither base nor new version nor a user's edit of one."""


ABSENT = Live("absent")


@dataclass(frozen=True, slots=True)
class Action:
    path: str
    step: Step
    verb: Verb
    reason: str
    keep_aside: bool = False
    """Whether what is replaced is worth keeping (HEAL-8): not so for what a template delivered. What is cleared or
    removed always is."""


def mode_of_edit(base: Entry | None, live: Live, new: Entry) -> int:
    """The template's, unless the user gave the file another."""
    return new.mode if base is not None and live.mode == base.mode else live.mode


def plan(
    base: Index, live: Mapping[str, Live], new: Index, obstacles: Mapping[str, Kind] | None = None
) -> tuple[Action, ...]:
    """The actions, in the order in which they must be done; nothing for a path that is as it should be.

    `live` holds every path of `base` and `new`; one that is missing counts as absent. `obstacles` are the paths at
    which a directory is needed and something else is.
    """
    actions = [
        action
        for path in sorted(base.keys() - new.keys())
        if (action := _gone(path, base[path], live.get(path, ABSENT)))
    ]
    cleared = {action.path for action in actions if action.step == "remove"}
    actions += [
        Action(path, "clear", "repaired", "wrong-type")
        for path in sorted(obstacles or ())
        if path not in cleared
    ]
    for path in sorted(new):
        actions += _wanted(path, base.get(path), live.get(path, ABSENT), new[path])
    return tuple(actions)


def _gone(path: str, base: Entry, live: Live) -> Action | None:
    """For what the template no longer has (REC-6)."""
    if live.kind != "file":
        return None
    if live.sha256 == base.sha256 or live.damage:
        return Action(path, "remove", "removed", "removed-upstream")
    return Action(path, "keep", "preserved", "removed-upstream")


def _wanted(path: str, base: Entry | None, live: Live, new: Entry) -> Iterator[Action]:
    if live.kind == "absent":
        if base is None:
            yield Action(path, "place", "delivered", "new")
        else:
            yield Action(path, "place", "repaired", "absent")
    elif live.kind != "file":
        yield Action(path, "replace", "repaired", "wrong-type", keep_aside=True)
    elif live.sha256 == new.sha256:
        if action := _mend_mode(path, base, live, new):
            yield action
    elif live.damage:
        yield Action(path, "replace", "repaired", live.damage, keep_aside=True)
    elif base is not None and live.sha256 == base.sha256:
        yield Action(path, "replace", "updated", "changed-upstream")
    else:
        yield from _edited(path, base, live, new)


def _edited(path: str, base: Entry | None, live: Live, new: Entry) -> Iterator[Action]:
    """For what the user wrote (EDIT-1 to EDIT-3)."""
    if mode_of_edit(base, live, new) != live.mode:
        yield Action(path, "mode", "updated", "changed-upstream")
    if base is not None and base.sha256 == new.sha256:
        yield Action(path, "keep", "preserved", "user-edit")
    elif path == CONFIG or (base is not None and _is_prose(path)):
        yield Action(path, "merge", "merged", "user-edit", keep_aside=True)
    else:
        yield Action(path, "lay-aside", "laid-aside", "user-edit")


def _is_prose(path: str) -> bool:
    """What people and models read: a text of lines that may be put together. Not so what programs read."""
    return path.startswith("prompts/") or path.endswith(".md")


def _mend_mode(path: str, base: Entry | None, live: Live, new: Entry) -> Action | None:
    if live.mode == new.mode:
        return None
    if base is not None and live.mode == base.mode:
        return Action(path, "mode", "updated", "changed-upstream")
    return Action(path, "mode", "repaired", "wrong-mode")
