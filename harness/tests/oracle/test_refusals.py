"""The checks of hostile templates, planted links and faulty hosts: each passes where all is well, and each can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.oracle import allowlist, boundary, channel, reconcile, skills
from harness.oracle.check import Check, NotApplicable
from harness.oracle.seen import CONFIGS, Seen
from harness.runtime.base import Entry

from .test_universal import CONFIG, SECRET, TEMPLATE, TOKEN, changed, good, request

HOSTILE = "prompts/new\nline.md"
LONG = f"prompts/{'n' * 300}.md"
OUTSIDE = {"workspace/canary.md": b"intact"}
NOTHING: dict[str, bytes | None] = {f"{CONFIGS}/{path}": None for path in TEMPLATE.asset_set()}
DAMAGED = {f"{CONFIGS}/config.yaml": b"name: stub\n"}
AGENT = {"name": "stand-in", "skills": [{"id": "notes"}]}
FAULT_AT = datetime(2026, 1, 1, tzinfo=UTC)


def refused(message: str, **changes: Any) -> Seen:
    """A first provision that failed, with nothing written and no agent, but `changes`."""
    error = {"code": changes.pop("code", "refused"), "message": message, "hint": "mend the template"}
    workspace = {"status": changes.pop("status", "failed"), "error": error}
    files = {**NOTHING, **changes.pop("files", {})}
    changes.setdefault("report", changed(outcome="failed", error=error))
    return good(workspace=workspace, files=files, card=changes.pop("card", None), **changes)


def kept(message: str, **changes: Any) -> Seen:
    """A restart whose fetch went wrong, with the tree and the agent as they were, but `changes`."""
    error = {"code": "refused", "message": message, "hint": "mend the template"}
    return good(workspace={"status": changes.pop("status", "degraded"), "error": error}, **changes)


def skill_rows(**rows: str | None) -> dict[str, Any]:
    """A report of skills, each loaded (None) or failed for a reason."""
    listed: list[dict[str, Any]] = [
        {"name": name, "status": "failed" if reason else "loaded", "reason": reason, "commands": []}
        for name, reason in rows.items()
    ]
    return changed(skills=listed)


def hostile(seen: Seen, path: str = HOSTILE, rule: str = "control character") -> tuple[Any, ...]:
    return (allowlist.alw_2_a_hostile_path_is_refused_by_name, seen, "hostile", [path], [rule], OUTSIDE)


def linked(seen: Seen) -> tuple[Any, ...]:
    check = allowlist.alw_3_a_link_or_submodule_is_refused_by_name
    return (check, seen, "a link", "prompts/a.md", ["link"], OUTSIDE)


def linked_outside(seen: Seen) -> tuple[Any, ...]:
    return (allowlist.alw_3_a_link_or_submodule_outside_is_not_skipped_in_silence, seen, "README.md")


def planted(seen: Seen, before: dict[str, Entry] | None = None) -> tuple[Any, ...]:
    was = good(files=OUTSIDE).entries if before is None else before
    check = allowlist.alw_4_nothing_is_written_through_a_planted_link
    return (check, seen, f"{CONFIGS}/config.yaml", "workspace", was)


def led(seen: Seen) -> tuple[Any, ...]:
    check = allowlist.alw_4_nothing_is_written_where_links_lead
    return (check, seen, [".boot/lock"], "workspace", good(files=OUTSIDE).entries)


def no_list(seen: Seen) -> tuple[Any, ...]:
    return (skills.skl_4_skills_of_another_type_are_a_named_error, seen, "null")


def rules(**codes: list[str]) -> tuple[Any, ...]:
    return (allowlist.alw_2_each_rule_has_its_own_error_code, codes)


def no_files(**codes: list[str]) -> tuple[Any, ...]:
    return (allowlist.alw_3_links_and_submodules_have_error_codes_of_their_own, codes)


def types(**codes: str | None) -> tuple[Any, ...]:
    return (skills.skl_4_each_type_has_its_own_error_code, codes)


def kinds_of_malformed(**rows: str | None) -> tuple[Any, ...]:
    """Skills, each of a kind of its own, with the reason why it does not load."""
    check = skills.skl_5_each_way_to_be_malformed_has_its_own_reason
    return (check, good(report=skill_rows(**rows)), {f"kind of {name}": [name] for name in rows})


def malformed(seen: Seen) -> tuple[Any, ...]:
    check = skills.skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it
    return (check, seen, ["broken"], ["notes"])


def absent(seen: Seen) -> tuple[Any, ...]:
    return (skills.skl_2_a_named_skill_that_is_not_there_is_named_by_the_error, seen, "broken")


def lost(seen: Seen) -> tuple[Any, ...]:
    check = reconcile.rec_11_a_template_that_lost_everything_wipes_no_volume
    return (check, seen, "skill", good().entries)


def redirected(seen: Seen, **headers: str) -> tuple[Any, ...]:
    elsewhere = request()
    elsewhere.headers.remove("Authorization")
    elsewhere.headers.update(headers)
    return (boundary.bnd_6_the_credential_goes_to_the_template_host_alone, seen, [elsewhere])


def leaking(seen: Seen) -> tuple[Any, ...]:
    return (boundary.bnd_9_an_asset_with_a_bootstrap_value_is_refused, seen, "prompts/a.md")


def live(seen: Seen) -> tuple[Any, ...]:
    check = boundary.bnd_9_an_asset_with_a_live_credential_is_refused
    return (check, seen, "a key", "prompts/a.md", ["acme"], [KEY])


def live_update(seen: Seen) -> tuple[Any, ...]:
    check = boundary.bnd_9_an_update_with_a_live_credential_alters_nothing
    return (check, seen, "a key", "prompts/a.md", ["acme"], [KEY], good().entries)


def harmless(seen: Seen) -> tuple[Any, ...]:
    return (boundary.bnd_9_names_and_placeholders_pass, seen, ["config.yaml"])


def same_tree(git: Seen, archive: Seen) -> tuple[Any, ...]:
    return (channel.chn_7_all_transports_give_the_same_tree, {"git": git, "archive": archive})


def bounded(seen: Seen) -> tuple[Any, ...]:
    return (channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, "bomb", ["ratio", "bytes"])


def broken_off(seen: Seen, tries: int) -> tuple[Any, ...]:
    """The bound is two retries."""
    check = channel.chn_8_what_breaks_off_again_and_again_is_given_up_within_its_retries
    return (check, seen, tries, 2)


def slow(seen: Seen) -> tuple[Any, ...]:
    return (channel.chn_8_what_keeps_coming_is_taken, seen, "archive")


def bad_answer(seen: Seen) -> tuple[Any, ...]:
    return (channel.chn_9_a_bad_answer_is_an_error_and_leaves_no_partial_tree, seen, "cut")


def bad_update(seen: Seen) -> tuple[Any, ...]:
    check = channel.chn_9_a_bad_answer_to_an_update_leaves_the_tree_as_it_was
    return (check, seen, "cut", good().entries)


def own_codes(**codes: str) -> tuple[Any, ...]:
    return (channel.chn_9_each_fault_has_its_own_error_code, codes)


def retried(seen: Seen, *after: float) -> tuple[Any, ...]:
    """Asked so many seconds after the fault."""
    asked = [FAULT_AT + timedelta(seconds=each) for each in after]
    return (channel.chn_10_a_transient_fault_is_retried_with_back_off, seen, [FAULT_AT], asked, 1.0)


def linked_config() -> Entry:
    return Entry(f"{CONFIGS}/config.yaml", "link", 0o777, 4, 1, 1, 1, None, "../workspace/canary.md")


BY_NAME = r"'prompts/new\nline.md' holds a control character"
NO_LINK = "'prompts/a.md' is a link"
KEY = "Qm7RkXw2Tz9LpVb4Hs6N"
LIVE = "prompts/a.md holds a key of Acme"
LEAK = "prompts/a.md holds a value of the bootstrap secret"

WELL: dict[str, Callable[[], tuple[Any, ...]]] = {
    "a hostile path is refused": lambda: hostile(refused(BY_NAME, files=OUTSIDE)),
    "a long path is refused, and shown in part": lambda: hostile(
        refused(f"{LONG[:100]}… is too long", files=OUTSIDE), LONG, "long"
    ),
    "a link is refused": lambda: linked(refused(NO_LINK, files=OUTSIDE)),
    "a link outside is reported": lambda: linked_outside(good()),
    "a link outside is refused": lambda: linked_outside(
        refused("README.md is a link", report=changed(paths=[]))
    ),
    "each rule has a code": lambda: rules(absolute=["path-absolute"], colliding=["path-case", "path-form"]),
    "links and submodules have a code each": lambda: no_files(link=["link", "link"], submodule=["submodule"]),
    "each type has a code": lambda: types(null="skills-null", text="skills-text"),
    "each kind of malformed has a reason": lambda: kinds_of_malformed(a="no-manual: none", b="not-utf-8"),
    "a planted link is replaced": lambda: planted(good(files=OUTSIDE)),
    "nothing is written where links lead": lambda: led(good(files=OUTSIDE)),
    "skills of null are refused": lambda: no_list(refused("config.yaml: 'skills' is null")),
    "a malformed skill is reported": lambda: malformed(
        kept("broken does not load", report=skill_rows(notes=None, broken="no SKILL.md"))
    ),
    "a skill that is not there is named": lambda: absent(
        kept("there is no skill broken", report=skill_rows(notes=None, broken="skill-missing: none"))
    ),
    "an update without skills is refused": lambda: lost(kept("the template has no skills any more")),
    "an update without skills is reported": lambda: lost(
        good(
            report=changed(
                paths=[{"path": "agent-skills", "action": "rejected", "reason": "lost", "aside": None}]
            )
        )
    ),
    "a redirect is refused": lambda: redirected(refused("it leads to another host")),
    "a leaking asset is refused": lambda: leaking(refused(LEAK)),
    "a live credential is refused": lambda: live(refused(LIVE)),
    "an update with a live credential is refused": lambda: live_update(kept(LIVE)),
    "a placeholder is delivered": lambda: harmless(good()),
    "both transports give the same": lambda: same_tree(good(), good()),
    "a bomb is refused": lambda: bounded(refused("more than 1000:1, the ratio allowed")),
    "what keeps coming is taken": lambda: slow(good()),
    "what breaks off thrice is given up": lambda: broken_off(refused("the answer broke off"), 3),
    "a cut archive is refused": lambda: bad_answer(refused("the archive is cut short")),
    "a cut update is refused": lambda: bad_update(kept("the archive is cut short")),
    "each code is its own": lambda: own_codes(cut="archive-cut", html="no-archive"),
    "a fault is waited out": lambda: retried(good(), -1, 1.2, 1.3),
}

DEFECTS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "alw-2: the hostile template is delivered": lambda: hostile(good(files=OUTSIDE)),
    "alw-2: the path is not named": lambda: hostile(refused("a control character", files=OUTSIDE)),
    "alw-2: the rule is not named": lambda: hostile(refused(repr(HOSTILE), files=OUTSIDE)),
    "alw-2: the rule is named in the path alone": lambda: hostile(
        refused("prompts/long.md is refused", files=OUTSIDE), "prompts/long.md", "long"
    ),
    "alw-2: the rest is written": lambda: hostile(
        refused(BY_NAME, files={**OUTSIDE, f"{CONFIGS}/config.yaml": CONFIG})
    ),
    "alw-2: an agent comes up": lambda: hostile(refused(BY_NAME, files=OUTSIDE, card=AGENT)),
    "alw-2: the canary is overwritten": lambda: hostile(
        refused(BY_NAME, files={"workspace/canary.md": b"x"})
    ),
    "alw-2: the canary is gone": lambda: hostile(refused(BY_NAME)),
    "alw-2: something is written beside the canary": lambda: hostile(
        refused(BY_NAME, files={**OUTSIDE, "home/evil": b"x"})
    ),
    "alw-2: the report has no code": lambda: hostile(
        refused(BY_NAME, files=OUTSIDE, report=changed(error={"code": "", "message": BY_NAME}))
    ),
    "alw-2: the report does not name the path": lambda: hostile(
        refused(BY_NAME, files=OUTSIDE, report=changed(error={"code": "refused", "message": "a path"}))
    ),
    "alw-2: two rules share a code": lambda: rules(absolute=["path"], colliding=["path-case", "path"]),
    "alw-2: a rule has no code": lambda: rules(absolute=[""], colliding=["path-case"]),
    "alw-3: they share a code": lambda: no_files(link=["no-file"], submodule=["no-file"]),
    "skl-4: two types share a code": lambda: types(null="skills", text="skills"),
    "skl-4: a type has no code": lambda: types(null=None, text="skills"),
    "skl-4: the report has no code": lambda: no_list(
        refused("'skills' is null", report=changed(error={"code": "", "message": "'skills' is null"}))
    ),
    "skl-5: two kinds share a reason": lambda: kinds_of_malformed(a="bad: no SKILL.md", b="bad: not UTF-8"),
    "skl-5: a kind has no reason": lambda: kinds_of_malformed(a="no-manual: none", b=None),
    "alw-3: the link is skipped": lambda: linked(good(files=OUTSIDE)),
    "alw-3: the link is not named": lambda: linked(refused("a link", files=OUTSIDE)),
    "alw-3: it does not say that it is a link": lambda: linked(refused("prompts/a.md?", files=OUTSIDE)),
    "alw-3: the link is followed": lambda: linked(
        refused(NO_LINK, files={**OUTSIDE, f"{CONFIGS}/prompts/a.md": b"intact"})
    ),
    "alw-3: a link outside is skipped in silence": lambda: linked_outside(good(report=changed(paths=[]))),
    "alw-3: a link outside has no reason": lambda: linked_outside(
        good(report=changed(paths=[{"path": "README.md", "action": "skipped", "reason": "", "aside": None}]))
    ),
    "alw-3: a link outside is delivered": lambda: linked_outside(
        good(files={f"{CONFIGS}/README.md": b"intact"})
    ),
    "alw-4: the canary is overwritten": lambda: planted(good(files={"workspace/canary.md": CONFIG})),
    "alw-4: the canary is gone": lambda: planted(good()),
    "alw-4: something is written beside it": lambda: planted(good(files={**OUTSIDE, "workspace/new": b""})),
    "alw-4: the canary's mode is changed": lambda: planted(
        good(files=OUTSIDE, modes={"workspace/canary.md": 0o600})
    ),
    "alw-4: the link is still there": lambda: planted(
        replace(
            good(files=OUTSIDE),
            entries={**good(files=OUTSIDE).entries, f"{CONFIGS}/config.yaml": linked_config()},
        )
    ),
    "alw-4: what stood there is gone": lambda: planted(
        good(files={**OUTSIDE, f"{CONFIGS}/config.yaml": None})
    ),
    "alw-4: there was no canary": lambda: planted(good(), before={}),
    "alw-4: a link's target was made": lambda: led(good(files={**OUTSIDE, "workspace/new": b""})),
    "skl-4: null is an empty list": lambda: no_list(good(card={"name": "taker", "skills": []})),
    "skl-4: the error is about something else": lambda: no_list(refused("config.yaml is malformed")),
    "skl-4: an agent without skills comes up": lambda: no_list(
        refused("'skills' is null", status="degraded", card={"name": "taker", "skills": []})
    ),
    "skl-5: the malformed skill is not reported": lambda: malformed(good()),
    "skl-5: it has no reason": lambda: malformed(
        good(
            report=changed(skills=[*skill_rows(notes=None)["skills"], {"name": "broken", "status": "failed"}])
        )
    ),
    "skl-5: it is in the card": lambda: malformed(
        good(
            report=skill_rows(notes=None, broken="no SKILL.md"),
            card={"skills": [{"id": "notes"}, {"id": "broken"}]},
        )
    ),
    "skl-5: a sound one is not loaded": lambda: malformed(
        good(report=skill_rows(notes="no SKILL.md", broken="no SKILL.md"))
    ),
    "skl-5: a sound one is not in the card": lambda: malformed(
        good(report=skill_rows(notes=None, broken="no SKILL.md"), card={"skills": []})
    ),
    "skl-2: the workspace is ready all the same": lambda: absent(
        kept("no broken", status="online", report=skill_rows(notes=None, broken="skill-missing: none"))
    ),
    "skl-2: the error does not name the skill": lambda: absent(
        kept("a skill is missing", report=skill_rows(notes=None, broken="skill-missing: none"))
    ),
    "skl-2: the report has no such skill": lambda: absent(kept("there is no skill broken")),
    "skl-2: it is in the card all the same": lambda: absent(
        kept(
            "there is no skill broken",
            report=skill_rows(notes=None, broken="skill-missing: none"),
            card={"skills": [{"id": "broken"}]},
        )
    ),
    "rec-11: the volume is wiped": lambda: lost(
        kept("no skills", files={f"{CONFIGS}/agent-skills/notes/SKILL.md": None})
    ),
    "rec-11: an asset is altered": lambda: lost(kept("no skills", files=DAMAGED)),
    "rec-11: it is kept in silence": lambda: lost(good()),
    "rec-11: it does not say what is lost": lambda: lost(kept("the update is refused")),
    "bnd-6: the other host sees an Authorization header": lambda: redirected(
        refused("elsewhere"), Authorization="token something"
    ),
    "bnd-6: the other host sees the credential": lambda: redirected(
        refused("elsewhere"), Cookie=f"t={TOKEN}"
    ),
    "bnd-6: what is elsewhere is delivered": lambda: redirected(good()),
    "bnd-6: it fails with no message": lambda: redirected(refused("")),
    "bnd-9: the asset is delivered": lambda: leaking(good()),
    "bnd-9: the file is not named": lambda: leaking(refused("a value of the bootstrap secret")),
    "bnd-9: the rule is not named": lambda: leaking(refused("prompts/a.md is refused")),
    "bnd-9: the value is shown": lambda: leaking(refused(f"{LEAK}: {SECRET}")),
    "bnd-9: the value is on the console": lambda: leaking(refused(LEAK, console=SECRET.encode())),
    "bnd-9: the value is in a staging file": lambda: leaking(
        refused(LEAK, files={".boot/staging/1": SECRET.encode()})
    ),
    "bnd-9: the rest is written": lambda: leaking(refused(LEAK, files={f"{CONFIGS}/config.yaml": CONFIG})),
    "bnd-9: a placeholder is refused": lambda: harmless(refused("config.yaml names ANTHROPIC_API_KEY")),
    "bnd-9: a placeholder is taken out": lambda: harmless(good(files=DAMAGED)),
    "bnd-9: the status is degraded for a placeholder": lambda: harmless(kept("config.yaml names a key")),
    "bnd-9: the live credential is delivered": lambda: live(good()),
    "bnd-9: the file of a live credential is not named": lambda: live(refused("a key of Acme")),
    "bnd-9: its format is not named": lambda: live(refused("prompts/a.md holds a key")),
    "bnd-9: the live credential is shown": lambda: live(refused(f"{LIVE}: {KEY}")),
    "bnd-9: its beginning is shown": lambda: live(refused(f"{LIVE}: {KEY[:12]}…")),
    "bnd-9: the live credential is on the console": lambda: live(refused(LIVE, console=KEY.encode())),
    "bnd-9: the live credential is in a log": lambda: live(
        refused(LIVE, logs={"the provisioner": KEY.encode()})
    ),
    "bnd-9: the live credential is in a staging file": lambda: live(
        refused(LIVE, files={".boot/staging/0": KEY.encode()})
    ),
    "bnd-9: the rest of its set is written": lambda: live(
        refused(LIVE, files={f"{CONFIGS}/config.yaml": CONFIG})
    ),
    "bnd-9: an agent comes up with a live credential": lambda: live(refused(LIVE, card=AGENT)),
    "bnd-9: an update with a live credential is online": lambda: live_update(kept(LIVE, status="online")),
    "bnd-9: an update takes something away": lambda: live_update(
        kept(LIVE, files={f"{CONFIGS}/config.yaml": None})
    ),
    "bnd-9: an update brings something": lambda: live_update(
        kept(LIVE, files={f"{CONFIGS}/prompts/b.md": b""})
    ),
    "bnd-9: the file of an update is not named": lambda: live_update(kept("a key of Acme")),
    "bnd-9: the format of an update is not named": lambda: live_update(kept("prompts/a.md holds a key")),
    "bnd-9: the value of an update is shown": lambda: live_update(kept(f"{LIVE}: {KEY}")),
    "bnd-9: an agent comes up": lambda: leaking(refused(LEAK, card=AGENT)),
    "chn-7: a report has another digest": lambda: same_tree(
        good(), good(report=changed(delivered={"files": 4, "digest": "0" * 64}))
    ),
    "chn-7: a volume has another tree": lambda: same_tree(good(files=DAMAGED), good()),
    "chn-7: they are of two commits": lambda: same_tree(good(), good(report=changed(commit="d" * 40))),
    "chn-8: the bomb is delivered": lambda: bounded(good()),
    "chn-8: the bound is not named": lambda: bounded(refused("the archive is no good")),
    "chn-8: a part is delivered": lambda: bounded(refused("ratio", files={f"{CONFIGS}/config.yaml": CONFIG})),
    "chn-8: what keeps coming is given up": lambda: slow(refused("stall: the archive stood still")),
    "chn-8: it is tried once more": lambda: broken_off(refused("the answer broke off"), 4),
    "chn-8: a part of what breaks off is delivered": lambda: broken_off(
        refused("the answer broke off", files={f"{CONFIGS}/config.yaml": CONFIG}), 3
    ),
    "chn-9: it is delivered": lambda: bad_answer(good()),
    "chn-9: there is no message": lambda: bad_answer(refused("")),
    "chn-9: there is no code": lambda: bad_answer(refused("it is cut", code="")),
    "chn-9: a part is delivered": lambda: bad_answer(
        refused("it is cut", files={f"{CONFIGS}/config.yaml": CONFIG})
    ),
    "chn-9: an agent comes up": lambda: bad_answer(refused("it is cut", card=AGENT)),
    "chn-9: a cut update is plain online": lambda: bad_update(good()),
    "chn-9: a cut update has no message": lambda: bad_update(kept("")),
    "chn-9: a cut update takes a file away": lambda: bad_update(
        kept("it is cut", files={f"{CONFIGS}/config.yaml": None})
    ),
    "chn-9: a cut update alters a file": lambda: bad_update(kept("it is cut", files=DAMAGED)),
    "chn-9: a cut update brings a file": lambda: bad_update(
        kept("it is cut", files={f"{CONFIGS}/prompts/new.md": b"new"})
    ),
    "chn-9: two faults share a code": lambda: own_codes(cut="fetch-failed", html="fetch-failed"),
    "chn-10: it is given up": lambda: retried(refused("HTTP 503"), 1.2),
    "chn-10: it is not tried again": lambda: retried(good(), -1),
    "chn-10: it is tried again at once": lambda: retried(good(), 0.2),
}


def problems(made: tuple[Any, ...]) -> tuple[str, ...]:
    check, *arguments = made
    assert isinstance(check, Check)
    return check.look(*arguments).problems


@pytest.mark.parametrize("case", WELL)
def test_nothing_is_wrong_where_all_is_well(case: str) -> None:
    assert problems(WELL[case]()) == ()


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_fails_its_check(defect: str) -> None:
    made = DEFECTS[defect]()

    assert made[0].requirement.lower() == defect.partition(":")[0]
    assert len(problems(made)) >= 1


def test_every_check_here_was_seen_to_pass_and_to_fail() -> None:
    passed = {make()[0].name for make in WELL.values()}
    failed = {make()[0].name for make in DEFECTS.values()}

    assert passed == failed


def test_with_one_transport_there_is_nothing_to_compare() -> None:
    with pytest.raises(NotApplicable, match="one transport"):
        channel.chn_7_all_transports_give_the_same_tree.look({"git": good()})
