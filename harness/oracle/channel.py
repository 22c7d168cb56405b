"""CHN: the asset channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from harness.contract.lifecycle import Refused

from .check import Saw, check
from .seen import CONFIGS, Document, Seen, asset_mode

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
    error = seen.workspace.get("error") or {}
    named = f"{error.get('message', '')} {error.get('hint', '')}"
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    if unknown not in named:
        problems.append(f"the error does not name {unknown!r}: {named!r}")
    problems += [
        f"{CONFIGS}/{path} was written" for path, entry in seen.configs.items() if entry.kind == "file"
    ]
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
    executable = sum(mode == "755" for mode, _ in seen.untouched_assets.values())
    return Saw(f"{executable} of {len(seen.untouched_assets)} files are executable", tuple(problems))
