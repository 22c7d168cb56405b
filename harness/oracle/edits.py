"""EDIT: user edits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import yaml

from harness.templates.model import CONFIG

from .check import Saw, check
from .seen import CONFIGS, Contest, Seen

MARKERS = (b"<<<<<<<", b">>>>>>>")
"""Of a merge that was given up half way."""


class _Absent:
    """A key that is not there, which is not the same as null."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


class _Key(NamedTuple):
    """One key of config.yaml, at any depth, in the three versions of a contest."""

    name: str
    changed_by: Literal["nobody", "the user", "the template", "both"]
    base: Any
    user: Any
    template: Any
    live: Any


@check("EDIT-1")
def edit_1_user_edits_are_unchanged(seen: Seen) -> Saw:
    """Each file that the user edited or added, and the template has not changed since, has the user's bytes."""
    problems = []
    for path, want in seen.expected.edits.items():
        found = seen.content.get(f"{CONFIGS}/{path}")
        if found is None:
            problems.append(f"{path}: gone")
        elif found != want:
            problems.append(f"{path}: {len(found)} bytes, not the user's {len(want)} bytes")
    return Saw(f"{len(seen.expected.edits)} edits", tuple(problems))


@check("EDIT-2")
def edit_2_changes_to_different_keys_are_both_there(seen: Seen) -> Saw:
    """Each key of config.yaml that one side alone changed has that side's value; what nobody changed is as it was."""
    keys = _keys(seen)
    if keys is None:
        return Saw(f"{CONFIG} is no mapping", (f"{CONFIG} is not readable as a mapping any more",))
    problems = []
    for key in keys:
        if key.changed_by == "both":
            continue
        want = key.template if key.changed_by == "the template" else key.user
        if not _alike(key.live, want):
            problems.append(f"{key.name}: {key.live!r}, where {key.changed_by} made it {want!r}")
    sides = Counter(key.changed_by for key in keys)
    return Saw(
        f"{sides['the user']} keys of the user, {sides['the template']} of the template", tuple(problems)
    )


@check("EDIT-3")
def edit_3_where_both_changed_the_same_the_users_wins(seen: Seen) -> Saw:
    """What the user wrote is there; a template's version that is not there as well is kept aside, and said to be."""
    problems = []
    whole = 0
    for path, contest in seen.expected.contests.items():
        live = seen.content.get(f"{CONFIGS}/{path}")
        if live is None:
            problems.append(f"{path}: gone")
            continue
        lost, has_all = _of_config(seen) if path == CONFIG else _of_lines(contest, live)
        problems += [f"{path}: the user's {each} is not there" for each in lost]
        if any(marker in live and marker not in contest.user for marker in MARKERS):
            problems.append(f"{path}: has the marks of a merge that was given up")
        whole += has_all
        if not has_all:
            problems += _laid_aside(seen, path, contest)
    return Saw(
        f"{len(seen.expected.contests)} files changed by both, {whole} have both changes", tuple(problems)
    )


@check("EDIT-3")
def edit_3_what_was_said_is_not_said_again(seen: Seen) -> Saw:
    """Of an edit that the template did not touch since the last boot, no version is laid aside."""
    problems = [
        f"{path}: reported as {row['action']} ({row['reason']}) again"
        for path in seen.expected.edits
        for row in seen.rows(path)
        if row["action"] == "laid-aside"
    ]
    return Saw(f"{len(seen.expected.edits)} edits", tuple(problems))


@check("EDIT-3")
def edit_3_changes_to_different_keys_are_no_conflict(seen: Seen) -> Saw:
    """Of a config.yaml whose keys one side alone changed, far from each other, no version is laid aside."""
    rows = seen.rows(CONFIG)
    problems = [
        f"{CONFIG}: reported as laid-aside ({row['reason']}), where both changes are to be had"
        for row in rows
        if row["action"] == "laid-aside"
    ]
    return Saw(f"{CONFIG}: {', '.join(row['action'] for row in rows) or 'nothing'}", tuple(problems))


@check("EDIT-4")
def edit_4_what_the_user_added_survives(seen: Seen) -> Saw:
    """Each file of a skill or prompt that the user added is a file with the user's bytes, whatever was done."""
    problems = []
    for path in seen.expected.added:
        entry = seen.configs.get(path)
        want = seen.expected.edits.get(path)
        if entry is None or entry.kind != "file":
            problems.append(f"{path}: {'gone' if entry is None else f'a {entry.kind}'}")
        elif want is not None and seen.content.get(f"{CONFIGS}/{path}") != want:
            problems.append(f"{path}: {entry.size} bytes, not the user's {len(want)} bytes")
    return Saw(f"{len(seen.expected.added)} files that the user added", tuple(problems))


def _laid_aside(seen: Seen, path: str, contest: Contest) -> list[str]:
    """What is wrong with the account of a template's version that was not, or not wholly, taken in."""
    rows = [row for row in seen.rows(path) if seen.kept_aside(row) == contest.template]
    if len(rows) == 1:
        return []
    if rows:
        return [f"{path}: the report says {len(rows)} times that the template's version is aside"]
    said = [f"{row['action']}, aside {row.get('aside')}" for row in seen.rows(path)]
    return [
        f"{path}: the template's version is not at any place that the report names ({'; '.join(said) or 'none'})"
    ]


def _of_config(seen: Seen) -> tuple[list[str], bool]:
    """The keys that both changed in which the user's change is lost, and whether the template's are all there."""
    keys = _keys(seen)
    if keys is None:
        return ["whole mapping"], False
    both = [key for key in keys if key.changed_by == "both"]
    lost = [key.name for key in both if not _shows(key.live, key.base, key.user)]
    return lost, all(_shows(key.live, key.base, key.template) for key in both)


def _of_lines(contest: Contest, live: bytes) -> tuple[list[str], bool]:
    """The same of a text, by its lines; any other file is one thing."""
    base = contest.base or b""
    if not all(map(_is_text, (base, contest.user, contest.template))):
        return [] if live == contest.user else ["version"], live == contest.template
    there = Counter(live.splitlines())
    lost = (Counter(contest.user.splitlines()) - Counter(base.splitlines())) - there
    missing = (Counter(contest.template.splitlines()) - Counter(base.splitlines())) - there
    return [f"line {line[:60]!r}" for line in lost], not missing


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _keys(seen: Seen) -> list[_Key] | None:
    """None where the config on the volume is no mapping."""
    contest = seen.expected.contests[CONFIG]
    versions = [contest.base or b"{}", contest.user, contest.template]
    try:
        live = yaml.safe_load(seen.content.get(f"{CONFIGS}/{CONFIG}", b""))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    if not isinstance(live, Mapping):
        return None
    base, user, template = map(yaml.safe_load, versions)
    return list(_walk(base, user, template, live))


def _walk(base: Any, user: Any, template: Any, live: Any, prefix: str = "") -> Iterator[_Key]:
    for key in {**base, **user, **template}:
        name = f"{prefix}{key}"
        old, mine, new = (version.get(key, ABSENT) for version in (base, user, template))
        found = live.get(key, ABSENT) if isinstance(live, Mapping) else ABSENT
        if isinstance(mine, Mapping) and isinstance(new, Mapping):
            yield from _walk(old if isinstance(old, Mapping) else {}, mine, new, found, f"{name}.")
        elif _alike(mine, new):
            yield _Key(name, "nobody", old, mine, new, found)
        elif _alike(new, old):
            yield _Key(name, "the user", old, mine, new, found)
        elif _alike(mine, old):
            yield _Key(name, "the template", old, mine, new, found)
        else:
            yield _Key(name, "both", old, mine, new, found)


def _shows(live: Any, base: Any, changed: Any) -> bool:
    """Whether a change is to be seen; of a list, that what was added is there and what was taken out is not."""
    if not (isinstance(live, list) and isinstance(changed, list)):
        return _alike(live, changed)
    before = base if isinstance(base, list) else []
    added = [item for item in changed if item not in before]
    dropped = [item for item in before if item not in changed]
    return all(item in live for item in added) and not any(item in live for item in dropped)


def _alike(one: Any, other: Any) -> bool:
    """Equal, and of the same type: for YAML, 1 is not true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other) and bool(one == other)
