"""HEAL: self-repair."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.runtime.base import Entry
from harness.templates.model import CONFIG, is_asset

from .check import Saw, check
from .failing import Aftermath
from .seen import CONFIGS, Document, Seen, asset_mode

MOST_REPLACEMENTS = 10
"""More of them in a row are a storm, whatever an implementation takes for its bound."""


@check("HEAL-1")
def heal_1_a_missing_config_is_repaired(seen: Seen) -> Saw:
    """config.yaml is the template's again, and the report says that it was repaired."""
    return _repaired(seen, (CONFIG,))


@check("HEAL-2")
def heal_2_a_broken_config_is_repaired(seen: Seen) -> Saw:
    """An empty, truncated, unparsable or error-body config.yaml is the template's again, and reported."""
    return _repaired(seen, (CONFIG,))


@check("HEAL-3")
def heal_3_a_stub_config_is_repaired(seen: Seen) -> Saw:
    """A config.yaml of a fallback's making is the template's again, and reported."""
    return _repaired(seen, (CONFIG,))


@check("HEAL-4")
def heal_4_a_genuine_config_is_not_taken_for_a_stub(seen: Seen) -> Saw:
    """A small config of the template's, or one that a user shortened, is as it was, and not reported as repaired."""
    entry = seen.configs.get(CONFIG)
    want = seen.expected.edits.get(CONFIG, seen.expected.template.files[CONFIG].content)
    problems = []
    if entry is None:
        problems.append(f"{CONFIG}: gone")
    elif seen.content.get(f"{CONFIGS}/{CONFIG}") != want:
        problems.append(f"{CONFIG}: {entry.size} bytes, not the {len(want)} bytes that were there")
    problems += [
        f"{CONFIG}: reported as {row['action']} ({row['reason']})"
        for row in (seen.report or {}).get("paths", [])
        if row["path"] == CONFIG and row["action"] in {"repaired", "updated"}
    ]
    return Saw(f"{CONFIG} of {entry.size if entry else 0} bytes", tuple(problems))


@check("HEAL-5")
def heal_5_damage_is_repaired_and_nothing_else_touched(
    seen: Seen, damaged: Collection[str], before: Mapping[str, Entry]
) -> Saw:
    """Each damaged path is the template's again and reported, and no other asset was written."""
    saw = _repaired(seen, damaged)
    problems = list(saw.problems)
    others = 0
    for path, was in before.items():
        asset = path.removeprefix(f"{CONFIGS}/")
        if (
            not path.startswith(f"{CONFIGS}/")
            or not is_asset(asset)
            or was.kind != "file"
            or asset in damaged
        ):
            continue
        others += 1
        now = seen.entries.get(path)
        if now is None or (now.inode, now.mtime_ns, now.sha256) != (was.inode, was.mtime_ns, was.sha256):
            problems.append(f"{asset}: was not damaged, and was {'removed' if now is None else 'written'}")
    return Saw(f"{saw.what}; {others} others", tuple(problems))


@check("HEAL-6")
def heal_6_a_lost_volume_content_is_rebuilt(seen: Seen) -> Saw:
    """With everything gone from the volume, the whole asset set is back with no operator."""
    return _repaired(seen, tuple(seen.expected.template.asset_set()), reported=False)


@check("HEAL-7")
def heal_7_a_dead_machine_is_replaced(seen: Seen, dead: str, seconds: float, window: float) -> Saw:
    """Another machine serves the workspace within the window, and no operator asked for it."""
    machine = seen.workspace.get("machine")
    problems = []
    if machine == dead:
        problems.append(f"the workspace still has the dead machine {dead}")
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online'")
    if seconds > window:
        problems.append(f"it took {seconds:.1f} s, the window is {window:.1f} s")
    return Saw(f"{dead} → {machine}", tuple(problems))


@check("HEAL-7")
def heal_7_it_is_replaced_once(how: str, machine: str, launches: int, machines: Collection[str]) -> Saw:
    """One death, one launch: of all its machines only the new one is there, so that no two ever share the volume."""
    problems = []
    if launches != 1:
        problems.append(f"{launches} machines were launched for one death")
    problems += [f"machine {name} is there beside {machine}" for name in machines if name != machine]
    return Saw(f"{how}: {launches} launches, machines {sorted(machines)}", tuple(problems))


@check("HEAL-7")
def heal_7_a_transient_doubt_replaces_nothing(
    before: Document, after: Document, silence: float, launches: int
) -> Saw:
    """A machine that was silent for a moment, and answers again, is the workspace's as it was, in the same boot."""
    problems = _replaced(before, after)
    if launches:
        problems.append(f"{launches} machines were launched")
    return Saw(f"silent for {silence:.1f} s", tuple(problems))


@check("HEAL-7")
def heal_7_a_healthy_machine_is_not_replaced(before: Document, after: Document, answering: bool) -> Saw:
    """In the time that it took to notice a neighbour's death, a healthy one stays the workspace's, and answers."""
    problems = _replaced(before, after)
    if not answering:
        problems.append("its agent does not answer any more")
    return Saw(f"{before.get('machine')} → {after.get('machine')}", tuple(problems))


@check("HEAL-7")
def heal_7_one_that_dies_again_and_again_fails_without_a_storm(aftermath: Aftermath, launches: int) -> Saw:
    """Replacements come to an end after no more than MOST_REPLACEMENTS, and then the status says so by name.

    How long they wait for each other is the implementation's own affair.
    """
    document = aftermath.document or {}
    error = document.get("error") or {}
    problems = [*aftermath.unsettled, *(f"machine {name} is left" for name in aftermath.machines)]
    if document.get("status") != "failed":
        problems.append(f"the status is {document.get('status')!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message") if not error.get(part)]
    if launches > MOST_REPLACEMENTS:
        problems.append(f"{launches} machines were launched, one after another's death")
    return Saw(f"{launches} launches; error: {error.get('code')}", tuple(problems))


@check("HEAL-8")
def heal_8_what_a_repair_replaces_is_kept_aside(seen: Seen) -> Saw:
    """The bytes of each damaged file are on the volume, at the place that the report names."""
    problems = []
    for path, damage in seen.expected.damaged.items():
        if damage not in map(seen.kept_aside, seen.rows(path)):
            named = [row["aside"] for row in seen.rows(path) if row.get("aside")]
            problems.append(
                f"{path}: its {len(damage)} bytes are not at {' or '.join(named) or 'any place named'}"
            )
    return Saw(f"{len(seen.expected.damaged)} damaged files", tuple(problems))


@check("HEAL-8")
def heal_8_what_is_in_a_directory_in_a_files_place_is_not_destroyed(
    seen: Seen, path: str, content: bytes
) -> Saw:
    """What stood in a directory where the file belongs is on the volume still, wherever that may be."""
    there = [found for found, text in seen.content.items() if text == content]
    return Saw.all_well_if(
        bool(there),
        f"a file in a directory in the place of {path}: {', '.join(there) or 'nowhere'}",
        f"{path}: what was in the directory in its place is nowhere on the volume any more",
    )


def _sequence(workspace: Document) -> int:
    return int((workspace.get("boot") or {}).get("sequence", 0))


def _replaced(before: Document, after: Document) -> list[str]:
    """What shows that a workspace has lost its machine; empty where it is online on the same, in the same boot."""
    problems = [
        f"its {what} was {was}, is {now}"
        for what, was, now in (
            ("machine", before.get("machine"), after.get("machine")),
            ("boot", _sequence(before), _sequence(after)),
        )
        if was != now
    ]
    if after["status"] != "online":
        problems.append(f"the status is {after['status']!r}, not 'online'; error: {after.get('error')}")
    return problems


def _repaired(seen: Seen, damaged: Collection[str], *, reported: bool = True) -> Saw:
    rows = {row["path"]: row for row in (seen.report or {}).get("paths", [])}
    problems = []
    for path in damaged:
        want, entry = seen.expected.template.files[path], seen.configs.get(path)
        if entry is None:
            problems.append(f"{path}: missing")
        elif entry.kind != "file":
            problems.append(f"{path}: a {entry.kind}")
        elif entry.sha256 != want.sha256:
            problems.append(f"{path}: {entry.size} bytes, not the template's {want.size} bytes")
        elif asset_mode(entry) != want.mode:
            problems.append(f"{path}: mode {entry.mode:o}, not {want.mode}")
        if reported and rows.get(path, {}).get("action") != "repaired":
            problems.append(
                f"{path}: reported as {rows.get(path, {}).get('action', 'nothing')}, not as repaired"
            )
    reasons = sorted({str(rows[path].get("reason")) for path in damaged if path in rows})
    return Saw(f"{len(damaged)} damaged, found to be: {', '.join(reasons) or 'not said'}", tuple(problems))
