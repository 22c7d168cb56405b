"""SKL: skills arrive."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

from harness.templates.model import SKILLS

from .check import Saw, check
from .seen import Document, Seen


@check("SKL-1")
def skl_1_every_skill_is_complete_on_the_volume(seen: Seen) -> Saw:
    """Each file of each skill of the asset set is on the volume of a ready workspace, whole."""
    problems = []
    files = {path: want for path, want in seen.untouched_assets.items() if path.startswith(f"{SKILLS}/")}
    for path, (_, sha256) in files.items():
        entry = seen.configs.get(path)
        if entry is None:
            problems.append(f"{path}: missing")
        elif entry.kind != "file":
            problems.append(f"{path}: a {entry.kind}, not a file")
        elif entry.sha256 != sha256:
            size = seen.expected.template.files[path].size
            problems.append(f"{path}: {entry.size} bytes of other content; the template has {size} bytes")
    return Saw(f"{len(seen.expected.template.skills())} skills, {len(files)} files", tuple(problems))


@check("SKL-2")
def skl_2_every_named_skill_is_in_the_agent_card(seen: Seen) -> Saw:
    """The card that the machine serves lists each skill that config.yaml enables."""
    if seen.card is None:
        return Saw("no agent card", ("the machine answers no /.well-known/agent-card.json",))
    listed = seen.carded_skills
    problems = [
        f"skill {name!r} is enabled by config.yaml and not in the card (which lists {sorted(listed)})"
        for name in seen.named_skills
        if name not in listed
    ]
    return Saw(f"{len(listed)} skills in the card", tuple(problems))


@check("SKL-2")
def skl_2_a_named_skill_that_is_not_there_is_named_by_the_error(seen: Seen, named: str) -> Saw:
    """The workspace is not ready, the error names the skill, and the report says that it failed, and why."""
    problems = []
    if seen.status not in {"failed", "degraded"}:
        problems.append(f"the status is {seen.status!r}, neither 'failed' nor 'degraded'")
    if named not in seen.complaint:
        problems.append(f"the error does not name {named!r}: {seen.complaint!r}")
    rows = {row["name"]: row for row in (seen.report or {}).get("skills", [])}
    row = rows.get(named, {})
    if row.get("status") != "failed" or not row.get("reason"):
        problems.append(
            f"{named!r} is reported as {row.get('status')} ({row.get('reason')}), not as failed with a reason"
        )
    if named in seen.carded_skills:
        problems.append(f"{named!r} is in the card")
    return Saw(f"{named!r}: {seen.status}: {seen.complaint}", tuple(problems))


@check("SKL-3")
def skl_3_every_path_left_out_is_reported_with_a_reason(seen: Seen, previous: Document | None) -> Saw:
    """What was left out of a template fetched anew, and what of the volume was kept, is reported with a reason."""
    report = seen.report or {}
    rows = report.get("paths", [])
    reported = {row["path"] for row in rows}
    kept = {row["path"] for row in rows if row["action"] in {"preserved", "merged", "laid-aside"}}
    assets = seen.expected.template.asset_set()
    left_out = [path for path in seen.expected.template.entries if path not in assets]
    problems = []
    if ((previous or {}).get("template") or {}).get("commit") != seen.expected.commit:
        problems += [f"{path}: not delivered and not reported" for path in left_out if path not in reported]
    problems += [
        f"{path}: edited by the user, kept, and not reported"
        for path in [*seen.expected.edits, *seen.expected.contests]
        if path in assets and path not in kept
    ]
    problems += [f"{row['path']}: {row['action']} without a reason" for row in rows if not row.get("reason")]
    return Saw(
        f"{len(rows)} paths reported, {len(left_out)} of the template outside the allowlist", tuple(problems)
    )


@check("SKL-4")
def skl_4_skills_of_another_type_are_a_named_error(seen: Seen, kind: str) -> Saw:
    """`skills:` that is no list makes the workspace not ready, by an error that names it; it is no empty list."""
    problems = []
    if seen.status not in {"failed", "degraded"}:
        problems.append(f"the status is {seen.status!r}, neither 'failed' nor 'degraded'")
    if "skills" not in f"{seen.error.get('message')} {seen.error.get('hint')}":
        problems.append(f"the error does not name `skills`: {seen.complaint!r}")
    reported = (seen.report or {}).get("error") or {}
    if not reported.get("code"):
        problems.append("the error in the boot report has no code")
    if seen.card is not None and not seen.carded_skills:
        problems.append("an agent came up with no skills, as if the list were empty")
    return Saw(f"{kind}: {seen.status}: {seen.complaint}", tuple(problems))


@check("SKL-4")
def skl_4_each_type_has_its_own_error_code(codes: Mapping[str, str | None]) -> Saw:
    """No two types of `skills:` that are no list are refused with one code."""
    problems = [f"{kind}: refused without a code" for kind, code in codes.items() if not code]
    problems += [
        f"{kind} and {other} are both {codes[kind]!r}"
        for kind, other in combinations(codes, 2)
        if codes[kind] == codes[other]
    ]
    return Saw("; ".join(f"{kind}: {code}" for kind, code in codes.items()), tuple(problems))


@check("SKL-5")
def skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it(
    seen: Seen, malformed: Collection[str], sound: Collection[str]
) -> Saw:
    """Each malformed skill is in the report as failed, with a reason; each sound one is loaded and in the card."""
    rows = {row["name"]: row for row in (seen.report or {}).get("skills", [])}
    listed = seen.carded_skills
    problems = []
    for name in malformed:
        row = rows.get(name, {})
        if row.get("status") != "failed" or not row.get("reason"):
            problems.append(
                f"{name!r} is reported as {row.get('status')} ({row.get('reason')}), not as failed with a reason"
            )
        if name in listed:
            problems.append(f"{name!r} is in the card")
    for name in sound:
        if rows.get(name, {}).get("status") != "loaded":
            problems.append(f"{name!r} is reported as {rows.get(name, {}).get('status')}, not as loaded")
        if name not in listed:
            problems.append(f"{name!r} is not in the card")
    reasons = {name: rows.get(name, {}).get("reason") for name in malformed}
    return Saw(f"{len(sound)} sound; malformed: {reasons}", tuple(problems))


@check("SKL-5")
def skl_5_each_way_to_be_malformed_has_its_own_reason(
    seen: Seen, kinds: Mapping[str, Collection[str]]
) -> Saw:
    """By what is wrong with them, malformed skills: the code of a reason (`code: text`) is of one kind alone."""
    rows = {row["name"]: str(row.get("reason") or "") for row in (seen.report or {}).get("skills", [])}
    codes = {
        kind: {rows.get(name, "").partition(":")[0] for name in names} - {""} for kind, names in kinds.items()
    }
    problems = [f"{kind}: no reason" for kind, each in codes.items() if not each]
    problems += [
        f"{kind} and {other} are both {code!r}"
        for kind, other in combinations(codes, 2)
        for code in codes[kind] & codes[other]
    ]
    return Saw(
        "; ".join(f"{kind}: {', '.join(sorted(each))}" for kind, each in codes.items()), tuple(problems)
    )


@check("SKL-6")
def skl_6_a_large_asset_set_is_delivered_whole(seen: Seen) -> Saw:
    """Every byte of every file is there, however large the set is and however many files it has."""
    return _delivered_whole(seen)


def _delivered_whole(seen: Seen) -> Saw:
    assets = seen.expected.template.asset_set()
    want, there = sum(file.size for file in assets.values()), 0
    problems = []
    for path, file in assets.items():
        entry = seen.configs.get(path)
        there += entry.size if entry is not None else 0
        if entry is None or entry.sha256 != file.sha256:
            problems.append(f"{path}: {'missing' if entry is None else f'{entry.size} of {file.size} bytes'}")
    return Saw(f"{there} of {want} bytes, {len(assets)} files", tuple(problems))


@check("SKL-8")
def skl_8_a_machine_of_little_memory_boots_a_large_asset_set(
    seen: Seen, machine: str | None, memory: int
) -> Saw:
    """An asset set larger than the machine's memory is whole on the volume, and the workspace online on it."""
    saw = _delivered_whole(seen)
    problems = list(saw.problems)
    if (now := seen.workspace.get("machine")) != machine:
        problems.append(f"{machine}, which had no more, is not its machine any more, {now} is")
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    return Saw(f"{saw.what}, with {memory} bytes of memory; {seen.status}", tuple(problems))


@check("SKL-7")
def skl_7_count_and_digest_were_compared_with_the_templates(seen: Seen) -> Saw:
    """The report's expected and delivered count and digest are the template's."""
    report = seen.report or {}
    template = seen.expected.template
    want = {"files": len(template.asset_set()), "digest": template.digest()}
    problems = [
        f"report.{key} is {report.get(key)}, the template's asset set is {want}"
        for key in ("expected", "delivered")
        if report.get(key) != want
    ]
    return Saw(f"{want['files']} files, digest {str(want['digest'])[:12]}…", tuple(problems))


@check("SKL-9")
def skl_9_every_command_is_on_the_volume_and_in_the_report(seen: Seen) -> Saw:
    """commands/*.md of each enabled skill are files on the volume, and named with their skill in the report."""
    rows = {row["name"]: row for row in (seen.report or {}).get("skills", [])}
    problems: list[str] = []
    commands = 0
    for skill in seen.named_skills:
        reported = set(rows.get(skill, {}).get("commands", []))
        for command in seen.expected.template.commands(skill):
            commands += 1
            path = f"{SKILLS}/{skill}/commands/{command}"
            entry = seen.configs.get(path)
            if entry is None or entry.kind != "file":
                problems.append(f"{path}: not on the volume")
            if command not in reported:
                problems.append(f"{path}: not in the report, which has {sorted(reported)} for {skill!r}")
    return Saw(f"{commands} commands", tuple(problems))
