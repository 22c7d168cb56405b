"""ISO: tenants, and who may ask for what."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.contract.lifecycle import Refused

from .check import Saw, check
from .migration import SecretState
from .seen import CONFIGS, CREDENTIAL_FILE, Document, Seen

TELLING = 40
"""Bytes of an asset that, found elsewhere, are no coincidence."""


@check("ISO-1")
def iso_1_a_stranger_is_refused(
    refusals: Mapping[str, Refused | None], before: Document, after: Document
) -> Saw:
    """Every verb of another tenant is answered 403, and the workspace is as it was."""
    problems = [*_not_answered(refusals, 403), *_altered(before, after)]
    return Saw(_shown(refusals), tuple(problems))


@check("ISO-1")
def iso_1_the_operators_part_is_closed_to_others(
    refusals: Mapping[str, Refused | None],
    status: int,
    before: Mapping[str, SecretState | None],
    after: Mapping[str, SecretState | None],
) -> Saw:
    """Every verb of the operator's is answered so, and the tenants' secrets, by name, are as they were."""
    problems = _not_answered(refusals, status)
    problems += [f"the secret {name} is another" for name, state in before.items() if after[name] != state]
    return Saw(_shown(refusals), tuple(problems))


@check("ISO-1")
def iso_1_a_list_shows_ones_own_workspaces_alone(
    listed: Collection[str], own: Collection[str], foreign: Collection[str]
) -> Saw:
    """A tenant's list has its own workspaces, and no other tenant's."""
    problems = [f"{workspace} of another tenant is listed" for workspace in foreign if workspace in listed]
    problems += [f"{workspace} of its own is not listed" for workspace in own if workspace not in listed]
    return Saw(f"{len(listed)} listed", tuple(problems))


@check("ISO-1")
def iso_1_a_private_template_is_delivered_to_nobody_else(seen: Seen) -> Saw:
    """Without a token that reads the template there is no agent, and no byte of it anywhere on the volume."""
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message") if not seen.error.get(part)]
    if seen.card is not None:
        problems.append("an agent came up")
    assets = [
        (path, file.content)
        for path, file in seen.expected.template.asset_set().items()
        if file.size >= TELLING
    ]
    problems += [
        f"{place} holds {path}"
        for place, content in seen.content.items()
        for path, asset in assets
        if asset in content
    ]
    return Saw(f"{seen.status}: {seen.complaint}", tuple(problems))


@check("ISO-1")
def iso_1_an_adoption_takes_nothing_of_another(
    refusals: Mapping[str, Refused | None], before: Document, after: Document
) -> Saw:
    """Another tenant's id, and its volume, are refused as taken (409), and its workspace is as it was."""
    problems = _not_answered(refusals, 409)
    problems += _altered(before, after, ("tenant", "status", "volume", "template"))
    return Saw(_shown(refusals), tuple(problems))


@check("ISO-2")
def iso_2_nothing_is_shared(one: Seen, other: Seen) -> Saw:
    """Neither volume, machine, address nor token of one is the other's, and no edit of one shows in the other."""
    shared = {
        what: (one.workspace.get(what), other.workspace.get(what))
        for what in ("machine", "volume", "agent_url")
    }
    shared["token"] = (one.content.get(CREDENTIAL_FILE), other.content.get(CREDENTIAL_FILE))
    problems = [
        f"they share their {what}" for what, (mine, theirs) in shared.items() if mine == theirs is not None
    ]
    for mine, theirs in ((one, other), (other, one)):
        problems += [
            f"the edit of {path} in {mine.workspace.get('id')} shows in {theirs.workspace.get('id')}"
            for path, content in mine.expected.edits.items()
            if theirs.content.get(f"{CONFIGS}/{path}") == content
        ]
    return Saw(f"{one.workspace.get('id')} and {other.workspace.get('id')}", tuple(problems))


@check("ISO-2")
def iso_2_the_end_of_one_leaves_the_other(
    before: Document, after: Document | Refused, answering: bool
) -> Saw:
    """While the other is purged, its machine, volume and status stay what they were, and its agent answers.

    So it is, too, where the other was a whole tenant.
    """
    if isinstance(after, Refused):
        return Saw(f"{before.get('id')}: {after}", (f"its status is not told any more: {after}",))
    problems = _altered(before, after, ("status", "machine", "volume", "boot", "error"))
    if not answering:
        problems.append("its agent does not answer any more")
    return Saw(f"{after.get('id')}: {after.get('status')}", tuple(problems))


@check("ISO-1")
def iso_1_what_is_published_for_one_tenant_no_other_reads(attempts: Mapping[str, str]) -> Saw:
    """With another tenant's machine's role, AWS denies every object that a tenant's own machine has read."""
    problems = [
        f"{name}: {outcome}, not AccessDenied"
        for name, outcome in attempts.items()
        if outcome != "AccessDenied"
    ]
    if not attempts:
        problems.append("there was nothing to try to read")
    return Saw(f"{len(attempts)} objects", tuple(problems))


@check("ISO-1")
def iso_1_what_was_published_for_a_former_tenant_nobody_reads(attempts: Mapping[str, str]) -> Saw:
    """With the role of a new tenant's machine, nothing is to be had that one of the same name had read before."""
    problems = [f"{name}: allowed" for name, outcome in attempts.items() if outcome == "allowed"]
    if not attempts:
        problems.append("there was nothing to try to read")
    return Saw(f"{len(attempts)} objects", tuple(problems))


@check("OBS-2")
def obs_2_an_unknown_snapshot_is_named(
    snapshot: str, refusal: Refused | None, before: Document, after: Document
) -> Saw:
    """A restore from what is no snapshot of this workspace is answered 404, by name, and the workspace stays."""
    return _foreign_snapshot(snapshot, refusal, before, after)


@check("ISO-1")
def iso_1_another_tenants_snapshot_is_unknown(
    snapshot: str, refusal: Refused | None, before: Document, after: Document
) -> Saw:
    """The same of a snapshot of another tenant's: it is as unknown as one that never was."""
    return _foreign_snapshot(snapshot, refusal, before, after)


def _foreign_snapshot(snapshot: str, refusal: Refused | None, before: Document, after: Document) -> Saw:
    asked = {f"restore from {snapshot}": refusal}
    problems = _not_answered(asked, 404)
    if not problems and refusal is not None and snapshot not in refusal.detail:
        problems.append(f"the detail does not name the snapshot: {refusal.detail!r}")
    problems += _altered(before, after)
    return Saw(_shown(asked), tuple(problems))


def _not_answered(refusals: Mapping[str, Refused | None], status: int) -> list[str]:
    return [
        f"{asked}: {'done' if refusal is None else f'{refusal.status} {refusal.code}'}, not {status}"
        for asked, refusal in refusals.items()
        if refusal is None or refusal.status != status
    ]


def _altered(
    before: Document,
    after: Document,
    fields: Collection[str] = ("status", "machine", "volume", "boot", "pending"),
) -> list[str]:
    return [
        f"{what} was {before.get(what)!r}, is {after.get(what)!r}"
        for what in fields
        if before.get(what) != after.get(what)
    ]


def _shown(refusals: Mapping[str, Refused | None]) -> str:
    return ", ".join(f"{verb}: {refusal.status if refusal else 'done'}" for verb, refusal in refusals.items())
