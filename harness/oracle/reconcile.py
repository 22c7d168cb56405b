"""REC: reconcile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.runtime.base import Entry
from harness.templates.model import Template, TemplateFile, is_asset

from .check import Saw, check
from .seen import CONFIGS, Document, Seen, asset_mode

WRITES = frozenset({"delivered", "updated", "repaired", "merged", "removed"})


@check("REC-1")
def rec_1_the_boot_reconciled(seen: Seen, previous: Document | None) -> Saw:
    """A boot report of this very boot exists, for the reason that the boot came about, and so does its volume."""
    report = seen.report
    if report is None:
        return Saw("no boot report", (f"the {seen.expected.reason} left no boot report",))
    boot = report.get("boot", {})
    problems = []
    if seen.volume is None:
        problems.append(f"there is no volume {seen.workspace.get('volume')}, so nothing was reconciled")
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


@check("REC-4")
def rec_4_a_kill_leaves_each_file_old_or_new(
    killed_at: str, left: Mapping[str, Entry], old: Template, new: Template
) -> Saw:
    """Right after the kill each asset is whole: as the old template has it, or as the new one has it."""
    found = versions(left, old, new)
    return Saw(f"killed {killed_at}: {found}", tuple(found.problems))


@check("REC-4")
def rec_4_the_next_boot_converges(killed_at: str, seen: Seen, old: Template) -> Saw:
    """After the next boot every asset is the new template's, and none is left of the old one or the killed boot."""
    want = seen.expected.template.asset_set()
    there = {path: entry for path, entry in seen.written.items() if is_asset(path)}
    problems = [f"{path}: missing" for path in want.keys() - there.keys()]
    problems += [
        f"{path}: {'left of the old template' if path in old.files else 'left of the killed boot'}"
        for path in there.keys() - want.keys()
    ]
    problems += [
        f"{path}: {_told(entry)}; the template's has {want[path].size} bytes, mode {want[path].mode}"
        for path, entry in there.items()
        if path in want and (asset_mode(entry), entry.sha256) != (want[path].mode, want[path].sha256)
    ]
    return Saw(f"killed {killed_at}, then {seen.status}: {len(there)} assets", tuple(problems))


@check("REC-3")
def rec_3_requests_of_all_kinds_end_as_the_last_one_asks(
    requests: Sequence[str], last_answer: datetime, previous: Document, seen: Seen, machines: Sequence[str]
) -> Saw:
    """Asked for one behind another without a wait, they end with the boot that the last one asks for."""
    report = seen.report or {}
    boot = report.get("boot", {})
    started = datetime.fromisoformat(str(report.get("started_at", "1970-01-01T00:00:00+00:00")))
    made = _sequence(seen.workspace) - _sequence(previous)
    problems = []
    if seen.status != "online" or boot.get("reason") != seen.expected.reason:
        problems.append(
            f"it ends {seen.status!r} after a {boot.get('reason')!r}, "
            f"not 'online' after a {seen.expected.reason!r}"
        )
    if started < last_answer and made < len([each for each in requests if each != "stop"]):
        problems.append("its boot began before the last request was accepted")
    if len(machines) != 1:
        problems.append(f"{len(machines)} machines are on one volume: {sorted(machines)}")
    return Saw(f"{', '.join(requests)}: {made} boots, then {seen.status}", tuple(problems))


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


@check("REC-6")
def rec_6_an_edited_file_removed_upstream_is_kept_and_reported(seen: Seen, removed: Sequence[str]) -> Saw:
    """Files that the user edited and the template no longer has are as the user left them, and reported as kept."""
    problems = []
    for path in removed:
        live = seen.content.get(f"{CONFIGS}/{path}")
        if live != seen.expected.edits[path]:
            problems.append(f"{CONFIGS}/{path} is {'gone' if live is None else 'altered'}")
        if not any(row["action"] == "preserved" for row in seen.rows(path)):
            said = [row["action"] for row in seen.rows(path)]
            problems.append(f"{path} is reported as {' and '.join(said) or 'nothing'}, not as preserved")
    return Saw(f"{len(removed)} edited files were removed upstream", tuple(problems))


@check("REC-7")
def rec_7_a_restored_snapshot_converges_and_keeps_its_edits(seen: Seen, later: Mapping[str, bytes]) -> Saw:
    """The assets are the recorded identity's current ones but for the edits that the snapshot held; what the user
    wrote after it is not there."""
    problems = [
        f"{path}: {'gone' if entry is None else 'not the current version'}"
        for path, (_, sha256) in seen.untouched_assets.items()
        if (entry := seen.configs.get(path)) is None or entry.sha256 != sha256
    ]
    for path, want in seen.expected.edits.items():
        if seen.content.get(f"{CONFIGS}/{path}") != want:
            problems.append(f"{path}: not as the user had edited it when the snapshot was taken")
    problems += [
        f"{path}: as the user wrote it after the snapshot"
        for path, content in later.items()
        if seen.content.get(f"{CONFIGS}/{path}") == content
    ]
    commit = (seen.report or {}).get("commit")
    if commit != seen.expected.commit:
        problems.append(f"the report says commit {commit}, current is {seen.expected.commit}")
    return Saw(
        f"{len(seen.untouched_assets)} assets, {len(seen.expected.edits)} edits of the snapshot's, "
        f"{len(later)} later ones",
        tuple(problems),
    )


@check("REC-8")
def rec_8_a_blank_volume_gets_the_whole_tree(seen: Seen, previous: str, before: Collection[str]) -> Saw:
    """The volume is another one and holds nothing of the one before, and the whole asset set is on it."""
    assets = seen.expected.template.asset_set()
    volume = seen.workspace.get("volume")
    problems = [f"the volume is still {previous}"] if volume == previous else []
    problems += [
        f"{path} is still there: the volume was not blank" for path in before if path in seen.entries
    ]
    for path, file in assets.items():
        entry = seen.configs.get(path)
        if entry is None or entry.sha256 != file.sha256:
            problems.append(f"{path}: {'missing' if entry is None else 'not as the template has it'}")
    return Saw(f"{previous} → {volume}, {len(assets)} assets", tuple(problems))


@check("REC-9")
def rec_9_a_template_update_arrives_at_the_next_boot(seen: Seen, changed: Sequence[str]) -> Saw:
    """What changed in the template is on the volume after the boot, byte for byte."""
    problems = []
    for path in changed:
        file, entry = seen.expected.template.files[path], seen.configs.get(path)
        if entry is None or entry.sha256 != file.sha256:
            problems.append(f"{path}: {'missing' if entry is None else 'not the updated content'}")
    return Saw(f"{len(changed)} files changed upstream", tuple(problems))


@check("REC-10")
def rec_10_a_repair_does_not_flap(repaired: Seen, later: Sequence[Seen]) -> Saw:
    """In three more boots after a repair no asset is written, and no report says that one was."""
    problems = [] if len(later) >= 3 else [f"only {len(later)} boots came after the repair"]
    for number, seen in enumerate(later, start=1):
        saw = rec_2_nothing_was_written.look(repaired.entries, seen)
        problems += [f"boot {number} after the repair: {problem}" for problem in saw.problems]
    return Saw(f"{len(later)} boots after the repair", tuple(problems))


@check("REC-11")
def rec_11_a_loss_that_the_caller_means_is_taken_in(seen: Seen, lost: Collection[str]) -> Saw:
    """With the caller's explicit word, what the template no longer has goes from the volume."""
    problems = [f"{path} is still there" for path in lost if path in seen.configs]
    return Saw(f"{len(lost)} files were lost upstream; the status is {seen.status!r}", tuple(problems))


@check("REC-9")
def rec_9_an_update_arrives_everywhere(workspaces: Sequence[Document], commit: str, digest: str) -> Saw:
    """Every one of many workspaces is online with the updated template, by its status and its boot report."""
    problems = []
    for workspace in workspaces:
        report = (workspace.get("boot") or {}).get("report") or {}
        there = (report.get("delivered") or {}).get("digest")
        if (workspace["status"], report.get("commit"), there) != ("online", commit, digest):
            error = workspace.get("error") or {}
            problems.append(
                f"{workspace['id']}: {workspace['status']} with {there} of {report.get('commit')}; "
                f"{error.get('code')}: {error.get('message')}"
            )
    return Saw(f"{len(workspaces)} workspaces at {commit}", tuple(problems))


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


@dataclass(frozen=True, slots=True)
class Versions:
    """The assets of a volume between two versions of its template, as far as these differ."""

    old: int
    new: int
    problems: tuple[str, ...]
    """Those that are neither, those included in which the versions do not differ."""

    def __str__(self) -> str:
        return f"{self.old} assets old, {self.new} new, {len(self.problems)} neither"


def versions(there: Mapping[str, Entry], old: Template, new: Template) -> Versions:
    """What is on a volume (paths from its root) of two versions of a template."""
    before, after = old.asset_set(), new.asset_set()
    problems, ages = [], {"old": 0, "new": 0}
    for path in sorted(before.keys() | after.keys()):
        entry, was, will = there.get(f"{CONFIGS}/{path}"), before.get(path), after.get(path)
        if not _is(entry, was) and not _is(entry, will):
            problems.append(f"{path}: {_told(entry)}; neither the old version nor the new one")
        elif was != will:
            ages["new" if _is(entry, will) else "old"] += 1
    return Versions(**ages, problems=tuple(problems))


def _is(entry: Entry | None, version: TemplateFile | None) -> bool:
    if entry is None or version is None:
        return entry is None and version is None
    return entry.kind == "file" and (asset_mode(entry), entry.sha256) == (version.mode, version.sha256)


def _told(entry: Entry | None) -> str:
    return "gone" if entry is None else f"a {entry.kind} of {entry.size} bytes, mode {entry.mode:o}"


def _is_asset_on_volume(path: str) -> bool:
    return path.startswith(f"{CONFIGS}/") and is_asset(path.removeprefix(f"{CONFIGS}/"))


def _sequence(workspace: Document) -> int:
    return int((workspace.get("boot") or {}).get("sequence", 0))
