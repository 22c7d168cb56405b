"""OBS: what an implementation says about itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.contract.lifecycle import Refused, json_object

from .check import Saw, check
from .seen import BOOT_REPORT, Document, Seen

LONGEST_ERROR = 2000
"""Characters of an error's message or hint, as lifecycle.yaml has it."""
LONGEST_DELAY = 3.0
"""Seconds that an answer may come after its time on a computer that is busy."""


@check("OBS-1")
def obs_1_every_boot_leaves_a_report(seen: Seen) -> Saw:
    """The report is in the status, as the contract's schema says, and on the volume, if it can be written, the same."""
    report = seen.report
    if report is None:
        return Saw("no report in the status", ("the status API shows no boot report",))
    problems = [f"report {problem}" for problem in seen.schema_problems(report)]
    raw = seen.content.get(BOOT_REPORT)
    if not seen.expected.writable:
        pass
    elif raw is None:
        problems.append(f"{BOOT_REPORT} is not on the volume")
    else:
        on_volume = json_object(raw)
        if on_volume is None:
            problems.append(f"{BOOT_REPORT} is no JSON object: {raw[:100]!r}")
        else:
            differing = [key for key in {*report, *on_volume} if report.get(key) != on_volume.get(key)]
            problems += [f"{key} differs between the status and the volume" for key in sorted(differing)]
    rows = report.get("paths", [])
    return Saw(f"outcome {report.get('outcome')}, {len(rows)} paths", tuple(problems))


@check("OBS-2")
def obs_2_the_lifecycle_api_answers_as_specified(violations: Sequence[str]) -> Saw:
    """Every answer since the scenario began is one that lifecycle.yaml foresees, errors as problem documents."""
    return Saw("the answers of the lifecycle API", tuple(violations))


@check("OBS-2")
def obs_2_what_is_degraded_runs(seen: Seen) -> Saw:
    """Where the status says `degraded`, and not `failed`, an agent answers."""
    dead = seen.status == "degraded" and seen.card is None
    return Saw(f"status {seen.status}", ("the status is 'degraded', and no agent answers",) if dead else ())


@check("OBS-1")
def obs_1_each_path_is_reported_with_what_became_of_it(
    seen: Seen, became: Mapping[str, Collection[str]]
) -> Saw:
    """Each path has a row whose action is one of those given, and whose reason is not empty."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for row in (seen.report or {}).get("paths", []):
        rows.setdefault(row["path"], []).append((row["action"], row["reason"]))
    problems = []
    for path, actions in became.items():
        found = rows.get(path, [])
        if not any(action in actions for action, _ in found):
            said = ", ".join(action for action, _ in found) or "nothing"
            problems.append(f"{path}: reported as {said}, not as {' or '.join(actions)}")
        problems += [f"{path}: {action} without a reason" for action, reason in found if not reason]
    said = "; ".join(f"{path}: {', '.join(action for action, _ in rows.get(path, []))}" for path in became)
    return Saw(said, tuple(problems))


@check("OBS-2")
def obs_2_an_error_is_bounded_and_names_the_cause(
    seen: Seen, causes: Collection[str], unlike: str | None = None
) -> Saw:
    """Status and report name the cause by one of the words given, in few words; no upstream text whole.

    `unlike` is the text of the other system, if it gave one, that must not come through at its full length.
    """
    told = {"the status": seen.error}
    if (seen.report or {}).get("error"):
        told["the report"] = (seen.report or {})["error"]
    problems = []
    for where, error in told.items():
        problems += [f"{where}: no {part}" for part in ("code", "message") if not error.get(part)]
        text = " ".join(str(error.get(part) or "") for part in ("message", "hint"))
        problems += _ill_told(where, str(error.get("code")), text, causes, [unlike] if unlike else [])
    return Saw(f"{seen.status}: {seen.complaint[:200]}", tuple(problems))


@check("OBS-2")
def obs_2_a_wait_ends_with_its_time(asked: float, took: float, status: str) -> Saw:
    """Whoever waits for a workspace (RFC 7240, `Prefer: wait`) gets its status when the time is up, settled or not.

    `asked` and `took` are seconds.
    """
    late = took > asked + LONGEST_DELAY
    problem = f"asked to wait {asked:g} s, it answered after {took:.1f} s"
    return Saw(f"{status!r} after {took:.1f} s of {asked:g} s", (problem,) if late else ())


@check("OBS-2")
def obs_2_all_who_wait_hear_of_the_end(late: Mapping[str, float]) -> Saw:
    """Each of several that wait for one workspace at the same time hears of the end of its boot, and at once.

    `late` are the seconds by which each heard of it after the first who did.
    """
    problems = [
        f"{who}: heard of it {seconds:.1f} s after the boot had ended"
        for who, seconds in late.items()
        if seconds > LONGEST_DELAY
    ]
    return Saw(f"{len(late)} who waited, the last {max(late.values()):.1f} s late", tuple(problems))


@check("OBS-2")
def obs_2_a_refusal_names_what_is_wrong(asked: str, refusal: Refused | None, status: int, named: str) -> Saw:
    """The answer has the status, a code, and a detail that names the thing."""
    if refusal is None:
        return Saw(f"{asked}: done", (f"{asked} was done, where {status} belongs",))
    problems = []
    if refusal.status != status:
        problems.append(f"{asked}: answered {refusal.status}, not {status}")
    if not refusal.code:
        problems.append(f"{asked}: the answer has no code")
    if named not in f"{refusal.detail} {refusal.problem.get('errors', '')}":
        problems.append(f"{asked}: the answer does not name {named!r}: {refusal.detail!r}")
    return Saw(f"{asked}: {refusal.status} {refusal.code}: {refusal.detail}", tuple(problems))


@check("OBS-2")
def obs_2_what_aws_refuses_is_answered_with_its_cause(
    asked: str, refusal: Refused | None, causes: Collection[str], unlike: Collection[str]
) -> Saw:
    """The answer is a 5xx that names the cause by one of the words given, in few words.

    `unlike` are texts of the other system that must not come through at their full length.
    """
    if refusal is None:
        return Saw(f"{asked}: done", (f"{asked}: answered as done, where AWS refused it",))
    problems = _ill_told(asked, refusal.code, refusal.detail, causes, unlike)
    if refusal.status < 500:
        problems.append(f"{asked}: answered {refusal.status}, no 5xx")
    return Saw(f"{asked}: {refusal.status} {refusal.code}: {refusal.detail[:200]}", tuple(problems))


@check("OBS-2")
def obs_2_a_malformed_request_is_refused_by_name_and_changes_nothing(
    refusals: Mapping[str, Refused | None], before: Document, after: Document, there: Collection[str]
) -> Saw:
    """Each is answered 422, and the answer names the field that is wrong; the workspace is as it was, and the only one.

    `there` are the tenant's workspaces afterwards.
    """
    problems = []
    for field, refusal in refusals.items():
        if refusal is None or refusal.status != 422:
            said = "done" if refusal is None else f"{refusal.status} {refusal.code}"
            problems.append(f"a malformed {field}: {said}, not 422")
        elif field not in f"{refusal.detail} {refusal.problem.get('errors', '')}":
            problems.append(f"a malformed {field}: the answer does not name it: {refusal.detail!r}")
    problems += [f"workspace {one} was made" for one in there if one != before["id"]]
    problems += [
        f"its {what} was {before.get(what)}, is {after.get(what)}"
        for what in ("status", "machine", "volume", "boot", "template", "pending")
        if before.get(what) != after.get(what)
    ]
    shown = ", ".join(
        f"{field}: {refusal.status if refusal else 'done'}" for field, refusal in refusals.items()
    )
    return Saw(shown, tuple(problems))


@check("OBS-2")
def obs_2_an_unknown_workspace_is_named(workspace: str, refusals: Mapping[str, Refused | None]) -> Saw:
    """Every verb on a workspace that does not exist is answered 404, and the error names it."""
    problems = []
    for verb, refusal in refusals.items():
        if refusal is None or refusal.status != 404:
            problems.append(
                f"{verb}: {'done' if refusal is None else f'{refusal.status} {refusal.code}'}, not 404"
            )
        elif workspace not in refusal.detail:
            problems.append(f"{verb}: the detail does not name the workspace: {refusal.detail!r}")
    shown = ", ".join(
        f"{verb}: {refusal.status if refusal else 'done'}" for verb, refusal in refusals.items()
    )
    return Saw(shown, tuple(problems))


def _ill_told(
    where: str, code: str, text: str, causes: Collection[str], unlike: Collection[str]
) -> list[str]:
    """What is wrong with the words of an error: too many, another system's own, or none of the cause."""
    problems = []
    if len(text) > LONGEST_ERROR:
        problems.append(f"{where}: {len(text)} characters, {LONGEST_ERROR} at most")
    line = " ".join(text.split())  # errors are often one line
    if any(" ".join(each.split()) in line for each in unlike):
        problems.append(f"{where}: passes on the other side's whole text")
    if not any(word in f"{code} {text}".lower() for word in causes):
        problems.append(f"{where}: does not name the cause ({' or '.join(causes)}): {text[:200]!r}")
    return problems
