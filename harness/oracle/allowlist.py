"""ALW: the allowlist."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from itertools import combinations
from urllib.parse import quote

from harness.runtime.base import Entry
from harness.templates.model import TemplateFile, is_asset

from .check import Saw, check
from .seen import CONFIGS, CREDENTIAL_FILE, Seen

LONGEST_SHOWN = 60
"""Characters of a path that an error has to show; errors are bounded, and hostile paths need not be."""

OUTSIDE = ("outside", "escape", "leave", "travers", "parent", "plain form", "..")
LONG = ("long", "length", "limit")
SAME = ("collid", "collision", "duplicate", "same", "twice", "once", "case", "normal")
RESERVED = ("reserved", "forbidden", "not allowed", ".git")
"""Words of which an error that names a rule has one: that paths stay below the root, are short, are there once, and
keep off what is reserved."""


@check("ALW-1")
def alw_1_only_allowlisted_paths_are_delivered(seen: Seen) -> Saw:
    """Nothing of the template but its asset set is on the volume, by path or by content."""
    template = seen.expected.template
    outside = {path: entry for path, entry in template.entries.items() if not is_asset(path)}
    problems = [f"{CONFIGS}/{path} is there" for path in outside if path in seen.configs]
    inside = {file.sha256 for file in template.asset_set().values()}
    strange = {
        entry.sha256: path
        for path, entry in outside.items()
        if isinstance(entry, TemplateFile) and entry.content and entry.sha256 not in inside
    }
    problems += [
        f"{path} has the content of the template's {strange[entry.sha256]}"
        for path, entry in seen.entries.items()
        if entry.sha256 in strange
    ]
    return Saw(f"{len(outside)} paths of the template are outside the allowlist", tuple(problems))


@check("ALW-2")
def alw_2_a_hostile_path_is_refused_by_name(
    seen: Seen, kind: str, hostile: Collection[str], rule: Collection[str], canaries: Mapping[str, bytes]
) -> Saw:
    """The workspace failed, its error names a hostile path and the rule, and nothing was written anywhere."""
    problems = _refusal(seen, hostile)
    told = seen.complaint
    for form in {form for path in hostile for form in _forms(path)}:
        told = told.replace(form, "…")
    if not any(word in told.lower() for word in rule):
        problems.append(f"the error does not name the rule ({' or '.join(rule)}): {seen.complaint!r}")
    return Saw(f"{kind}: {seen.status}: {seen.complaint}", (*problems, *_strayed(seen, canaries)))


@check("ALW-2")
def alw_2_each_rule_has_its_own_error_code(codes: Mapping[str, Collection[str]]) -> Saw:
    """By the rule that it breaks, the codes with which a hostile path was refused: no code stands for two rules."""
    return _of_their_own(codes)


@check("ALW-3")
def alw_3_a_link_or_submodule_is_refused_by_name(
    seen: Seen, kind: str, path: str, rule: Collection[str], canaries: Mapping[str, bytes]
) -> Saw:
    """Where the asset set holds one, the workspace failed, the error names it, and nothing was followed."""
    problems = _refusal(seen, (path,))
    if not any(word in seen.complaint.lower() for word in rule):
        problems.append(f"the error does not say what it is ({' or '.join(rule)}): {seen.complaint!r}")
    return Saw(f"{kind}: {seen.status}: {seen.complaint}", (*problems, *_strayed(seen, canaries)))


@check("ALW-3")
def alw_3_links_and_submodules_have_error_codes_of_their_own(codes: Mapping[str, Collection[str]]) -> Saw:
    """By what stood in a file's place, the codes with which it was refused: none stands for both."""
    return _of_their_own(codes)


@check("ALW-3")
def alw_3_a_link_or_submodule_outside_is_not_skipped_in_silence(seen: Seen, path: str) -> Saw:
    """Outside the allowlist it is not delivered, and the report or the error names it."""
    rows = [row for row in (seen.report or {}).get("paths", []) if row["path"] == path and row.get("reason")]
    problems = []
    if path in seen.configs:
        problems.append(f"{CONFIGS}/{path} is there, a {seen.configs[path].kind}")
    if not rows and not _names(seen.complaint, path):
        problems.append(f"{path}: in no row of the report, and in no error")
    said = ", ".join(f"{row['action']} ({row['reason']})" for row in rows)
    return Saw(f"{path}: {said or seen.complaint or 'nothing said'}", tuple(problems))


@check("ALW-4")
def alw_4_nothing_is_written_through_a_planted_link(
    seen: Seen, planted: str, outside: str, before: Mapping[str, Entry]
) -> Saw:
    """The directory that the link led to is as it was, to the inode and the mtime; the link is no more."""
    there_before, problems = _written(seen, outside, before)
    there = seen.entries.get(planted)
    if there is None or there.kind == "link":
        problems.append(f"{planted}: {'gone' if there is None else f'still a link to {there.target}'}")
    return Saw(f"{planted} → {outside}, {there_before} paths there", tuple(problems))


@check("ALW-4")
def alw_4_nothing_is_written_where_links_lead(
    seen: Seen, planted: Collection[str], outside: str, before: Mapping[str, Entry]
) -> Saw:
    """The directory that links led to is as it was, to the inode and the mtime, whatever became of the links."""
    there_before, problems = _written(seen, outside, before)
    return Saw(f"{len(planted)} links → {outside}, {there_before} paths there", tuple(problems))


def _written(seen: Seen, outside: str, before: Mapping[str, Entry]) -> tuple[int, list[str]]:
    """How many paths were at or below one of the volume, and what is wrong with those that are now."""
    was = {path: entry for path, entry in before.items() if _is_at_or_below(path, outside)}
    now = {path: entry for path, entry in seen.entries.items() if _is_at_or_below(path, outside)}
    problems = [f"{path} was written" for path in now.keys() - was.keys()]
    problems += [f"{path} is gone" for path in was.keys() - now.keys()]
    for path in was.keys() & now.keys():
        problems += [
            f"{path}: {what} was {getattr(was[path], what)}, is {getattr(now[path], what)}"
            for what in ("kind", "sha256", "mode", "inode", "mtime_ns", "ctime_ns")
            if getattr(was[path], what) != getattr(now[path], what)
        ]
    if not was:
        problems.append(f"there was nothing at {outside} to begin with")
    return len(was), problems


@check("ALW-5")
def alw_5_agent_owned_files_are_untouched(seen: Seen, before: Mapping[str, Entry]) -> Saw:
    """Bytes, mode and mtime of every agent-owned file are those of before the boot."""
    owned = {
        path: entry
        for path, entry in before.items()
        if entry.kind == "file" and not seen.is_its_own(path) and path != CREDENTIAL_FILE
        if not is_asset(path.removeprefix(f"{CONFIGS}/"))
    }
    problems = []
    for path, was in owned.items():
        now = seen.entries.get(path)
        if now is None:
            problems.append(f"{path}: gone")
            continue
        problems += [
            f"{path}: {what} was {getattr(was, what)}, is {getattr(now, what)}"
            for what in ("kind", "sha256", "mode", "mtime_ns")
            if getattr(was, what) != getattr(now, what)
        ]
    return Saw(f"{len(owned)} agent-owned files", tuple(problems))


def _refusal(seen: Seen, paths: Collection[str]) -> list[str]:
    """What is missing of a first provision's refusal by the name of one of these paths."""
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    if not any(_names(seen.complaint, path) for path in paths):
        shown = " nor ".join(repr(path[:LONGEST_SHOWN]) for path in paths)
        problems.append(f"the error does not name {shown}: {seen.complaint!r}")
    reported = (seen.report or {}).get("error") or {}
    if not reported.get("code"):
        problems.append("the error in the boot report has no code")
    if not any(_names(str(reported.get("message")), path) for path in paths):
        problems.append(f"the error in the boot report does not name the path: {reported.get('message')!r}")
    problems += [f"{CONFIGS}/{path} was written, a {entry.kind}" for path, entry in seen.written.items()]
    if seen.card is not None:
        problems.append("an agent came up")
    return problems


def _of_their_own(codes: Mapping[str, Collection[str]]) -> Saw:
    problems = [f"{rule}: refused without a code" for rule, each in codes.items() if not all(each)]
    for (rule, some), (other, more) in combinations(codes.items(), 2):
        problems += [f"{rule} and {other} are both {code!r}" for code in set(some) & set(more)]
    return Saw(
        "; ".join(f"{rule}: {', '.join(sorted(set(each)))}" for rule, each in codes.items()), tuple(problems)
    )


def _strayed(seen: Seen, canaries: Mapping[str, bytes]) -> list[str]:
    """What is on the volume outside the config root and the implementation's own state, but canaries intact."""
    problems = [f"{path}: the canary is gone" for path in canaries if path not in seen.content]
    for path, content in seen.content.items():
        if path.startswith(f"{CONFIGS}/") or seen.is_its_own(path):
            continue
        if path not in canaries:
            problems.append(f"{path} was written")
        elif content != canaries[path]:
            problems.append(f"{path}: the canary was overwritten")
    return problems


def _names(text: str, path: str) -> bool:
    return any(form in text for form in _forms(path))


def _forms(path: str) -> set[str]:
    """The ways in which an error may show a path: as it is, escaped as programs do, cut where it is very long."""
    forms = {
        path,
        repr(path)[1:-1],
        json.dumps(path)[1:-1],
        json.dumps(path, ensure_ascii=False)[1:-1],
        path.encode("unicode_escape").decode(),
        quote(path),
    }
    return {form[:LONGEST_SHOWN] for form in forms}


def _is_at_or_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")
