"""FAIL: failing well."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.contract.lifecycle import UNSETTLED, Refused
from harness.runtime.base import Entry
from harness.templates.model import Template

from .check import Saw, check
from .reconcile import versions
from .seen import Document, Seen, altered_assets


@check("FAIL-1")
def fail_1_a_failed_first_fetch_leaves_no_stub_and_no_agent(seen: Seen) -> Saw:
    """The status is `failed`, the error says what to do, and nothing stands in for the template."""
    error = seen.error
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += _unnamed(seen.workspace)
    problems += [f"{path} was written ({entry.size} bytes)" for path, entry in seen.written.items()]
    if seen.card is not None:
        problems.append("an agent answers")
    return Saw(f"{seen.status}: {error.get('code')}: {error.get('message')}", tuple(problems))


@check("FAIL-2")
def fail_2_a_failed_fetch_leaves_the_tree_and_says_so(seen: Seen) -> Saw:
    """With an intact tree on the volume, the tree stays, and the status is not plain `online`."""
    error = seen.error
    problems = []
    if seen.status not in {"degraded", "failed"}:
        problems.append(f"the status is {seen.status!r}, neither 'degraded' nor 'failed'")
    problems += _unnamed(seen.workspace)
    for path, (_, sha256) in seen.untouched_assets.items():
        entry = seen.configs.get(path)
        if entry is None or entry.sha256 != sha256:
            problems.append(f"{path}: {'gone' if entry is None else 'altered'}")
    return Saw(f"{seen.status}: {error.get('code')}", tuple(problems))


@check("FAIL-2")
def fail_2_a_failed_fetch_alters_nothing_and_says_so(seen: Seen, before: Mapping[str, Entry]) -> Saw:
    """Whatever was on the volume, no asset of it is altered, and the status is not plain `online`."""
    problems = []
    if seen.status not in {"degraded", "failed"}:
        problems.append(f"the status is {seen.status!r}, neither 'degraded' nor 'failed'")
    problems += _unnamed(seen.workspace)
    problems += altered_assets(before, seen)
    return Saw(f"{seen.status}: {seen.error.get('code')}", tuple(problems))


@check("FAIL-3")
def fail_3_a_failing_volume_keeps_its_tree_and_is_reported(
    seen: Seen, fault: str, meaning: Collection[str], old: Template, new: Template
) -> Saw:
    """Each asset is as it was before, or whole as the template now has it; the status says that something is wrong, and
    the error what the system said of the volume."""
    found = versions(seen.entries, old, new)
    problems = list(found.problems)
    if seen.status not in {"degraded", "failed"}:
        problems.append(f"the status is {seen.status!r}, neither 'degraded' nor 'failed'")
    problems += _unnamed(seen.workspace)
    if not any(word in seen.complaint.lower() for word in meaning):
        problems.append(f"the error does not say what is wrong ({' or '.join(meaning)}): {seen.complaint!r}")
    return Saw(f"{fault}: {found}; {seen.status}: {seen.complaint}", tuple(problems))


@check("FAIL-6")
def fail_6_a_restore_leaks_no_volume(replaced: str, there: bool) -> Saw:
    """The volume that there was is deleted once the new one is attached."""
    return Saw.all_well_if(not there, f"the replaced volume {replaced}", f"{replaced} is still there")


@check("FAIL-4")
def fail_4_a_secret_that_cannot_be_had_is_named_and_no_agent_starts(
    seen: Seen, fault: str, rule: Collection[str]
) -> Saw:
    """The status is `failed`, the error speaks of the secret in one of the words of the rule; no agent answers."""
    problems = _unnamed(seen.workspace)
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    said = seen.complaint.lower()
    if "secret" not in said or not any(word in said for word in rule):
        problems.append(f"the error does not say that the secret is {fault}: {seen.complaint!r}")
    if seen.card is not None:
        problems.append("an agent answers")
    return Saw(f"{fault}: {seen.status}, {seen.complaint}", tuple(problems))


@check("FAIL-4")
def fail_4_a_transient_fault_is_retried(seen: Seen, fault: str, hits: int, wanted: int) -> Saw:
    """It struck as often as it was to, and the workspace is online all the same."""
    problems = []
    if hits < wanted:
        problems.append(f"after {hits} of {wanted} refusals it was not tried again")
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    return Saw(f"{fault}, {hits} times; {seen.status}", tuple(problems))


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A workspace once it has settled behind some trouble, and what AWS has of it."""

    document: Document | None
    """What the status API says of it; None where it is not known any more."""
    trouble: str | None
    """Why it does not settle, if it does not."""
    machines: Collection[str]
    """Its instances that are not terminated."""
    volumes: Collection[str]
    """Its volumes that are not deleted."""
    answers: bool
    """Whether its agent answers."""

    @property
    def unsettled(self) -> tuple[str, ...]:
        return () if self.trouble is None else (self.trouble,)


@check("FAIL-5")
def fail_5_the_provisioner_comes_up_again(trouble: str | None) -> Saw:
    """After a power cut in mid-operation it serves again, with the disk that it had."""
    return Saw.all_well_if(trouble is None, "the start of the provisioner after a power cut", trouble or "")


@check("FAIL-5")
def fail_5_what_was_begun_is_finished_or_failed(
    aftermath: Aftermath, previous: Document, status: str, reason: str | None
) -> Saw:
    """It comes to the end that was asked for, or fails by name; a boot that was asked for is made."""
    document = aftermath.document
    if document is None:
        return Saw("nothing", ("the request was accepted, and the workspace is not known any more",))
    error, boot = document.get("error") or {}, document.get("boot") or {}
    saw = f"{document['status']}, boot {boot.get('sequence')} ({boot.get('reason')})"
    if aftermath.unsettled:
        return Saw(saw, aftermath.unsettled)
    if document["status"] == "failed":
        return Saw(saw, tuple(_unnamed(document)))
    problems = []
    if document["status"] != status:
        problems.append(
            f"the status is {document['status']!r}, neither {status!r} nor 'failed'; error: {error}"
        )
    if reason is not None:
        before = (previous.get("boot") or {}).get("sequence", 0)
        if boot.get("reason") != reason or not boot.get("sequence", 0) > before:
            problems.append(f"no {reason} was made after boot {before}: the request is lost")
        if not aftermath.answers:
            problems.append("no agent answers")
    return Saw(saw, tuple(problems))


@check("FAIL-5")
def fail_5_nothing_is_orphaned(aftermath: Aftermath, previous: Document, restored: bool) -> Saw:
    """It has the machine and the volume that its status names, and no other; its data is where it was, or where a
    restore put it."""
    document = aftermath.document or {}
    problems = [
        f"{kind} {name} is left, and is not its {kind} ({document.get(kind)})"
        for kind, names in (("machine", aftermath.machines), ("volume", aftermath.volumes))
        for name in names
        if name != document.get(kind)
    ]
    if document.get("status") == "online" and document.get("machine") not in aftermath.machines:
        problems.append(f"its machine {document.get('machine')} does not exist")
    volume = (document if restored else previous).get("volume")
    if document.get("status") != "deleted" and volume is not None and volume not in aftermath.volumes:
        problems.append(f"its volume {volume} is gone")
    if restored and document.get("status") == "online" and volume == previous.get("volume"):
        problems.append(f"its volume is {volume} as before, and not a restored one")
    return Saw(f"machines {sorted(aftermath.machines)}, volumes {sorted(aftermath.volumes)}", tuple(problems))


@check("FAIL-6")
def fail_6_a_launch_that_is_refused_is_reported_meanwhile(document: Document, fault: str) -> Saw:
    """While it is tried again, the status says that it is not settled, and why."""
    problems = _unnamed(document)
    if document["status"] not in UNSETTLED:
        problems.append(f"the status is {document['status']!r}: it was not tried again")
    return Saw(f"{fault}: {document['status']}, {document.get('error')}", tuple(problems))


@check("FAIL-6")
def fail_6_a_launch_that_is_refused_for_a_while_is_made_in_the_end(seen: Seen, fault: str, hits: int) -> Saw:
    """Once AWS allows it, the workspace is online, with no error left."""
    problems = []
    if seen.status != "online" or seen.error:
        problems.append(f"the status is {seen.status!r}, not 'online'; error: {seen.error}")
    return Saw(f"{fault}, {hits} times; {seen.status}", tuple(problems))


@check("FAIL-6")
def fail_6_a_launch_that_is_never_possible_fails_and_leaves_nothing(
    aftermath: Aftermath, fault: str, hits: int, kept: str | None
) -> Saw:
    """It was tried more than once and then given up by name; no machine is left, and no volume but the one it has.

    `kept` is the volume that it had before.
    """
    document = aftermath.document or {}
    problems = [*aftermath.unsettled, *_unnamed(document)]
    if document.get("status") != "failed":
        problems.append(f"the status is {document.get('status')!r}, not 'failed'")
    if hits < 2:
        problems.append("it was not tried again")
    problems += [f"machine {name} is left" for name in aftermath.machines]
    problems += [f"volume {name} is left" for name in aftermath.volumes if name != document.get("volume")]
    if kept is not None and kept not in aftermath.volumes:
        problems.append(f"the volume {kept} is gone")
    return Saw(
        f"{fault}, {hits} times; {document.get('status')}: {document.get('error')}; "
        f"machines {sorted(aftermath.machines)}, volumes {sorted(aftermath.volumes)}",
        tuple(problems),
    )


@check("FAIL-7")
def fail_7_a_deletion_is_final(aftermath: Aftermath, race: str, kept: str | None) -> Saw:
    """Whatever raced it, the workspace is deleted and has no machine; of its volumes, just the kept one is there."""
    status = (aftermath.document or {}).get("status")
    problems = [*aftermath.unsettled, *(f"machine {name} is left" for name in aftermath.machines)]
    if aftermath.document is not None and status != "deleted":
        problems.append(f"the status is {status!r}, not 'deleted'")
    problems += [f"volume {name} is left" for name in aftermath.volumes if name != kept]
    if kept is not None and kept not in aftermath.volumes:
        problems.append(f"the volume {kept}, which nobody told it to purge, is gone")
    return Saw(f"{race}: {status}, volumes {sorted(aftermath.volumes)}", tuple(problems))


@check("FAIL-7")
def fail_7_a_deleted_workspace_takes_no_requests(
    workspace: str, refusals: Mapping[str, Refused | None]
) -> Saw:
    """Every verb on it is refused, and the refusal says which workspace is deleted."""
    problems = []
    for verb, refusal in refusals.items():
        if refusal is None:
            problems.append(f"{verb}: not refused")
        elif refusal.status not in {404, 409, 410}:
            problems.append(f"{verb}: {refusal.status}, none of 404, 409, 410")
        elif workspace not in refusal.detail:
            problems.append(f"{verb}: the refusal does not name {workspace}: {refusal.detail!r}")
    return Saw(", ".join(f"{verb}: {refusal}" for verb, refusal in refusals.items()), tuple(problems))


@check("FAIL-7")
def fail_7_delete_leaves_nothing_behind(
    machines: Collection[str],
    volumes: Collection[str],
    roles: Collection[str],
    snapshots: Collection[str] = (),
) -> Saw:
    """After the purge of its workspaces and the tenant's end there is no machine, volume, snapshot and role."""
    left = {"machine": machines, "volume": volumes, "snapshot": snapshots, "role": roles}
    problems = [f"{kind} {name} is left" for kind, names in left.items() for name in names]
    return Saw(f"{', '.join(left)} that were made since the scenario began", tuple(problems))


def _unnamed(document: Document) -> list[str]:
    error = document.get("error") or {}
    return [f"the error has no {part}" for part in ("code", "message") if not error.get(part)]
