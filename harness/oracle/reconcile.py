"""REC: reconcile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from harness.runtime.base import Entry
from harness.templates.model import is_asset

from .check import Saw, check
from .seen import CONFIGS, Document, Seen

WRITES = frozenset({"delivered", "updated", "repaired", "merged", "removed"})


@check("REC-1")
def rec_1_the_boot_reconciled(seen: Seen, previous: Document | None) -> Saw:
    """A boot report of this very boot exists, for the reason that the boot came about."""
    report = seen.report
    if report is None:
        return Saw("no boot report", (f"the {seen.expected.reason} left no boot report",))
    boot = report.get("boot", {})
    problems = []
    if boot.get("reason") != seen.expected.reason:
        problems.append(f"the report is of a {boot.get('reason')!r}, not of a {seen.expected.reason!r}")
    before = _sequence(previous or {})
    if not boot.get("sequence", 0) > before:
        problems.append(
            f"the report's boot sequence {boot.get('sequence')} is not beyond {before}: an old report"
        )
    return Saw(f"boot {boot.get('sequence')}, reason {boot.get('reason')}", tuple(problems))


@check("REC-1")
def rec_1_the_request_settles(request: str, trouble: str | None) -> Saw:
    """What was asked for comes to an end, within the time that the implementation promises."""
    return Saw.all_well_if(trouble is None, request, trouble or "")


@check("REC-2")
def rec_2_nothing_was_written(before: Mapping[str, Entry], seen: Seen) -> Saw:
    """With nothing changed, every asset has the inode, mtime and ctime that it had before the boot."""
    assets = {path: entry for path, entry in before.items() if _is_asset_on_volume(path)}
    problems = []
    for path, was in assets.items():
        now = seen.entries.get(path)
        if now is None:
            problems.append(f"{path}: gone")
            continue
        problems += [
            f"{path}: {what} was {getattr(was, what)}, is {getattr(now, what)}"
            for what in ("inode", "mtime_ns", "ctime_ns")
            if getattr(was, what) != getattr(now, what)
        ]
    problems += [
        f"the report says {row['path']} was {row['action']} ({row['reason']})"
        for row in (seen.report or {}).get("paths", [])
        if row["action"] in WRITES
    ]
    return Saw(f"{len(assets)} assets", tuple(problems))


@check("REC-3")
def rec_3_no_request_was_lost(
    requested: int, last_answer: datetime, previous: Document, seen: Seen, machines: Sequence[str]
) -> Saw:
    """Of restarts asked for at once, each was made, or a boot began after the last of them; never two at a time."""
    made = _sequence(seen.workspace) - _sequence(previous)
    started = datetime.fromisoformat(str((seen.report or {}).get("started_at", "1970-01-01T00:00:00+00:00")))
    problems = []
    if made < requested and started < last_answer:
        problems.append(f"{requested} restarts were asked for, {made} made, the last before the last request")
    if len(machines) != 1:
        problems.append(f"{len(machines)} machines are on one volume: {sorted(machines)}")
    return Saw(f"{requested} requests, {made} boots, machines {sorted(machines)}", tuple(problems))


@check("REC-5")
def rec_5_the_agent_waits_for_reconcile(status: str, answering: bool, assets_there: int) -> Saw:
    """While the fetch is held up, the workspace is not ready and no agent answers."""
    problems = []
    if status == "online":
        problems.append("the status was 'online' while the fetch was held up")
    if answering:
        problems.append("an agent answered while the fetch was held up")
    return Saw(
        f"during the fetch: status {status!r}, {assets_there} assets on the volume, "
        f"agent {'answers' if answering else 'silent'}",
        tuple(problems),
    )


@check("REC-5")
def rec_5_a_good_boot_makes_the_workspace_ready(seen: Seen) -> Saw:
    """After a boot with nothing in its way the report says `ready`, the status `online`, and an agent answers."""
    outcome = (seen.report or {}).get("outcome")
    error = seen.workspace.get("error")
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online'; error: {error}")
    if outcome != "ready":
        problems.append(
            f"the report's outcome is {outcome!r}, not 'ready'; error: {(seen.report or {}).get('error')}"
        )
    if seen.card is None:
        problems.append("no agent answers")
    return Saw(f"status {seen.status}, outcome {outcome}", tuple(problems))


@check("REC-6")
def rec_6_a_file_removed_upstream_is_removed(seen: Seen, removed: Sequence[str]) -> Saw:
    """Unmodified files that the template no longer has are off the volume, and reported as removed."""
    rows = {row["path"]: row["action"] for row in (seen.report or {}).get("paths", [])}
    problems = [f"{CONFIGS}/{path} is still there" for path in removed if path in seen.configs]
    problems += [f"{path} is not reported as removed" for path in removed if rows.get(path) != "removed"]
    return Saw(f"{len(removed)} files were removed upstream", tuple(problems))


@check("REC-9")
def rec_9_a_template_update_arrives_at_the_next_boot(seen: Seen, changed: Sequence[str]) -> Saw:
    """What changed in the template is on the volume after the boot, byte for byte."""
    problems = []
    for path in changed:
        file, entry = seen.expected.template.files[path], seen.configs.get(path)
        if entry is None or entry.sha256 != file.sha256:
            problems.append(f"{path}: {'missing' if entry is None else 'not the updated content'}")
    return Saw(f"{len(changed)} files changed upstream", tuple(problems))


@check("REC-11")
def rec_11_a_template_that_lost_everything_wipes_no_volume(
    seen: Seen, lost: str, before: Mapping[str, Entry]
) -> Saw:
    """An update without any skill, or without config.yaml, is refused by name, and no asset is touched."""
    assets = {path: entry for path, entry in before.items() if _is_asset_on_volume(path)}
    problems = []
    for path, was in assets.items():
        now = seen.entries.get(path)
        if now is None or (now.kind, now.sha256) != (was.kind, was.sha256):
            problems.append(f"{path}: {'gone' if now is None else 'altered'}")
    rows = [
        f"{row['path']}: {row['action']} ({row['reason']})"
        for row in (seen.report or {}).get("paths", [])
        if row["action"] == "rejected"
    ]
    said = " ".join([seen.complaint, *rows])
    if lost not in said:
        problems.append(f"neither error nor report refuses the loss of {lost!r}: {said!r}")
    if seen.status == "online" and not rows:
        problems.append("the status is plain 'online', and the report refuses nothing")
    return Saw(f"{len(assets)} paths; {seen.status}: {said}", tuple(problems))


def _is_asset_on_volume(path: str) -> bool:
    return path.startswith(f"{CONFIGS}/") and is_asset(path.removeprefix(f"{CONFIGS}/"))


def _sequence(workspace: Document) -> int:
    return int((workspace.get("boot") or {}).get("sequence", 0))
