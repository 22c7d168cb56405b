"""CHN: the asset channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from harness.contract.lifecycle import Refused
from harness.runtime.base import Entry
from harness.templates.model import Template, is_asset, tree_digest

from .check import NotApplicable, Saw, check
from .seen import CONFIGS, Document, Seen, altered_assets, asset_mode

if TYPE_CHECKING:
    from harness.world.aws.calls import Call
    from harness.world.template_host.record import RecordedRequest


@check("CHN-1")
def chn_1_the_identity_is_recorded_and_shown(seen: Seen) -> Saw:
    """Repository, ref and resolved commit are in the status and in the boot report, and are the right ones."""
    expected = seen.expected
    want = {"repository": expected.repository, "ref": expected.ref, "commit": expected.commit}
    shown = {"the status": seen.workspace.get("template") or {}, "the boot report": seen.report or {}}
    problems = [
        f"{place} has {key} {document.get(key)!r}, not {value!r}"
        for place, document in shown.items()
        for key, value in want.items()
        if document.get(key) != value
    ]
    return Saw(f"{expected.identity}, commit {expected.commit[:12]}", tuple(problems))


@check("CHN-2")
def chn_2_a_malformed_identity_is_refused_before_any_request(
    identity: str,
    parts: Collection[str],
    refusal: Refused | Document,
    calls: Sequence[Call],
    requests: Sequence[RecordedRequest],
) -> Saw:
    """The answer is 422, names the part that is wrong, and nothing went over the network."""
    saw = f"{identity!r}: "
    if not isinstance(refusal, Refused):
        return Saw(saw + "accepted", (f"a workspace was created for the identity {identity!r}",))
    problems = []
    if refusal.status != 422:
        problems.append(f"answered {refusal.status}, not 422")
    if not any(part in refusal.detail for part in parts):
        problems.append(f"the detail does not name the {' or the '.join(parts)}: {refusal.detail!r}")
    problems += [f"it called AWS: {call.action}" for call in calls]
    problems += [f"it asked the template host for {request.path}" for request in requests]
    return Saw(f"{saw}{refusal.status} {refusal.detail}", tuple(problems))


@check("CHN-3")
def chn_3_an_unknown_template_is_an_error_that_names_it(seen: Seen, unknown: str) -> Saw:
    """The workspace failed, its error names what is unknown, and nothing stands in for it."""
    error = seen.error
    named = seen.complaint
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    if unknown not in named:
        problems.append(f"the error does not name {unknown!r}: {named!r}")
    problems += [f"{path} was written" for path in seen.written]
    if seen.card is not None:
        problems.append("an agent came up")
    return Saw(f"{seen.status}: {error.get('code')}: {error.get('message')}", tuple(problems))


@check("CHN-4")
def chn_4_the_ref_resolves_to_its_commit(seen: Seen) -> Saw:
    """A branch, tag or full commit id is resolved to the commit that it stands for at this boot."""
    commit = (seen.report or {}).get("commit")
    return Saw.all_well_if(
        commit == seen.expected.commit,
        f"{seen.expected.ref} → {commit}",
        f"{seen.expected.ref!r} stands for {seen.expected.commit}, the boot used {commit}",
    )


@check("CHN-3")
def chn_3_a_lost_ref_is_an_error_that_names_it(seen: Seen, ref: str, before: Mapping[str, Entry]) -> Saw:
    """A ref that is gone is named by the error, nothing stands in for it, and every asset has the bytes that it had."""
    problems = _not_plainly_online(seen)
    if ref not in seen.complaint:
        problems.append(f"the error does not name {ref!r}: {seen.complaint!r}")
    problems += altered_assets(before, seen)
    return Saw(f"{seen.status}: {seen.complaint}", tuple(problems))


@check("CHN-4")
def chn_4_one_commit_is_delivered_or_none(seen: Seen, candidates: Mapping[str, Template]) -> Saw:
    """Of a branch that moved meanwhile, one commit is reported and its tree is on the volume; or the boot failed."""
    commit = str((seen.report or {}).get("commit"))
    there = _digest_on_the_volume(seen)
    if seen.status == "failed" and not seen.written:
        return Saw(f"failed: {seen.complaint}")
    problems = []
    if commit not in candidates:
        problems.append(f"the report has commit {commit}, which the branch never was")
    elif candidates[commit].digest() != there:
        whose = [name[:12] for name, template in candidates.items() if template.digest() == there]
        problems.append(
            f"the report has commit {commit[:12]}, the volume has the tree of {whose or 'no commit'}"
        )
    return Saw(f"{seen.status}, commit {commit[:12]}", tuple(problems))


@check("CHN-5")
def chn_5_delivered_files_equal_the_templates_byte_for_byte(seen: Seen) -> Saw:
    """Each asset that no user edited has the template's bytes."""
    problems = []
    for path, (_, sha256) in seen.untouched_assets.items():
        entry = seen.configs.get(path)
        if entry is None or entry.kind != "file":
            problems.append(f"{path}: {'missing' if entry is None else entry.kind}")
        elif entry.sha256 != sha256:
            problems.append(
                f"{path}: other bytes ({entry.size} of {seen.expected.template.files[path].size})"
            )
    return Saw(f"{len(seen.untouched_assets)} files compared", tuple(problems))


@check("CHN-6")
def chn_6_the_executable_bit_survives(seen: Seen) -> Saw:
    """Each asset is executable where the template's file is, and not where it is not."""
    problems = [
        f"{path}: mode {seen.configs[path].mode:o}, the template has {mode}"
        for path, (mode, _) in seen.untouched_assets.items()
        if path in seen.configs and asset_mode(seen.configs[path]) != mode
    ]
    problems += [
        f"{path}: missing, the template has {mode}"
        for path, (mode, _) in seen.untouched_assets.items()
        if path not in seen.configs and mode == "755"
    ]
    executable = sum(mode == "755" for mode, _ in seen.untouched_assets.values())
    return Saw(f"{executable} of {len(seen.untouched_assets)} files are executable", tuple(problems))


@check("CHN-7")
def chn_7_all_transports_give_the_same_tree(seens: Mapping[str, Seen]) -> Saw:
    """For the same commit, every transport's report has the template's digest, and so has what is on the volume."""
    if len(seens) < 2:
        raise NotApplicable(f"one transport is claimed: {', '.join(seens)}")
    problems = []
    for transport, seen in seens.items():
        want = seen.expected.template.digest()
        there = {
            "the report": ((seen.report or {}).get("delivered") or {}).get("digest"),
            "the volume": _digest_on_the_volume(seen),
        }
        problems += [
            f"{transport}: the digest of {place} is {digest}, the template's is {want}"
            for place, digest in there.items()
            if digest != want
        ]
    commits = {transport: (seen.report or {}).get("commit") for transport, seen in seens.items()}
    if len(set(commits.values())) > 1:
        problems.append(f"they are not of one commit: {commits}")
    return Saw(f"{', '.join(seens)} at {next(iter(commits.values()))}", tuple(problems))


@check("CHN-8")
def chn_8_a_breach_is_an_error_that_names_the_bound(seen: Seen, fault: str, bound: Collection[str]) -> Saw:
    """The workspace failed, the error names the bound, and nothing of the template is there, not even a part."""
    problems = _nothing_came(seen)
    if not any(word in seen.complaint.lower() for word in bound):
        problems.append(f"the error does not name the bound ({' or '.join(bound)}): {seen.complaint!r}")
    return Saw(f"{fault}: {seen.status}: {seen.complaint}", tuple(problems))


@check("CHN-8")
def chn_8_what_keeps_coming_is_taken(seen: Seen, transport: str) -> Saw:
    """A template that comes slowly, and does not stand still, breaches no bound: the workspace is online."""
    problem = f"the status is {seen.status!r}, not 'online': {seen.complaint}"
    return Saw.all_well_if(seen.status == "online", f"{transport}, slowly: {seen.status}", problem)


@check("CHN-8")
def chn_8_what_breaks_off_again_and_again_is_given_up_within_its_retries(
    seen: Seen, tries: int, retries: int
) -> Saw:
    """The workspace failed with an error that says why, nothing of the template is there, and no more than the first
    try and the retries were made."""
    problems = _nothing_came(seen)
    if tries > 1 + retries:
        problems.append(f"it was tried {tries} times, and {retries} retries are the bound")
    return Saw(f"{tries} tries, then {seen.status}: {seen.complaint}", tuple(problems))


@check("CHN-8")
def chn_8_a_version_is_fetched_no_more_often_than_it_must_be(fetches: int, most: int) -> Saw:
    """With nothing in the way, its content leaves the template host at most once for each that has to have it."""
    return Saw.all_well_if(
        0 < fetches <= most,
        f"{fetches} fetches of its content, {most} at most",
        f"its content was fetched {fetches} times, not once to {most} times",
    )


@check("CHN-9")
def chn_9_a_bad_answer_is_an_error_and_leaves_no_partial_tree(seen: Seen, fault: str) -> Saw:
    """The workspace failed with an error that says why, and nothing of the template is there."""
    return Saw(f"{fault}: {seen.status}: {seen.complaint}", tuple(_nothing_came(seen)))


@check("CHN-9")
def chn_9_a_bad_answer_to_an_update_leaves_the_tree_as_it_was(
    seen: Seen, fault: str, before: Mapping[str, Entry]
) -> Saw:
    """The workspace is not plain `online`, its error says why, and every asset has the bytes that it had."""
    problems = _not_plainly_online(seen)
    problems += [f"the error has no {part}" for part in ("code", "message") if not seen.error.get(part)]
    problems += altered_assets(before, seen)
    return Saw(f"{fault}: {seen.status}: {seen.complaint}", tuple(problems))


@check("CHN-9")
def chn_9_each_fault_has_its_own_error_code(codes: Mapping[str, str | None]) -> Saw:
    """No two kinds of fault share an error code."""
    kinds: dict[str | None, list[str]] = {}
    for kind, code in codes.items():
        kinds.setdefault(code, []).append(kind)
    problems = [f"{' and '.join(same)} are all {code!r}" for code, same in kinds.items() if len(same) > 1]
    return Saw(", ".join(f"{kind}: {code}" for kind, code in codes.items()), tuple(problems))


@check("CHN-10")
def chn_10_a_transient_fault_is_retried_with_back_off(
    seen: Seen, happened: Sequence[datetime], asked: Sequence[datetime], at_least: float
) -> Saw:
    """After the last fault it is tried again, not before `at_least` seconds have passed, and the boot succeeds.

    `asked` is when anything was asked of whoever failed, in order.
    """
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    again = [at for at in asked if at > happened[-1]]
    waited = (again[0] - happened[-1]).total_seconds() if again else None
    if waited is None:
        problems.append("nothing was asked after the fault")
    elif waited < at_least:
        problems.append(f"it was tried again after {waited:.3f} s, not after {at_least:g} s or more")
    return Saw(
        f"{len(happened)} faults, then {len(again)} requests, the first after {waited} s", tuple(problems)
    )


def _digest_on_the_volume(seen: Seen) -> str:
    return tree_digest(
        (path, asset_mode(entry), str(entry.sha256)) for path, entry in seen.written.items() if is_asset(path)
    )


def _not_plainly_online(seen: Seen) -> list[str]:
    if seen.status in {"degraded", "failed"}:
        return []
    return [f"the status is {seen.status!r}, neither 'degraded' nor 'failed'"]


def _nothing_came(seen: Seen) -> list[str]:
    """What is wrong with a first provision that had to fail."""
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message") if not seen.error.get(part)]
    problems += [f"{CONFIGS}/{path} was written ({entry.size} bytes)" for path, entry in seen.written.items()]
    if seen.card is not None:
        problems.append("an agent came up")
    return problems
