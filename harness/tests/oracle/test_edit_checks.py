"""The checks of user edits and of what is kept aside: each passes where all is well, and each can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.oracle import edits, heal, reconcile, skills
from harness.oracle.check import Check
from harness.oracle.seen import CONFIGS, Contest, Seen

from .test_universal import changed, good, report

PROMPT = "prompts/tone.md"
PICTURE = "prompts/face.png"
ASIDE = ".boot/aside/1"

CONFIG_BASE = b"name: taker\nmodel: sonnet\nenv: {LEVEL: info, COLOR: blue}\nskills: [notes]\nold: 1\n"
CONFIG_USER = (
    b"name: mine\nmodel: sonnet\nenv: {LEVEL: debug, COLOR: blue}\nskills: [notes, my-own]\nold: 1\n"
)
CONFIG_NEXT = b"name: theirs\nmodel: opus\nenv: {LEVEL: info, COLOR: red}\nskills: [notes, new]\n"
CONFIG_BOTH = b"name: mine\nmodel: opus\nenv: {LEVEL: debug, COLOR: red}\nskills: [notes, new, my-own]\n"
OF_CONFIG = Contest(CONFIG_BASE, CONFIG_USER, CONFIG_NEXT)
OF_TEXT = Contest(b"one\ntwo\nthree\n", b"mine\ntwo\nthree\n", b"one\ntwo\ntheirs\n")
OF_LINE = Contest(b"one\n", b"mine\n", b"theirs\n")
OF_PICTURE = Contest(b"\x89one", b"\x89mine", b"\x89theirs")
OF_ADDED = Contest(None, b"mine\n", b"theirs\n")


def row(path: str, action: str, aside: str | None = None, reason: str = "user-edit") -> dict[str, Any]:
    return {"path": path, "action": action, "reason": reason, "aside": aside}


def seen(
    live: dict[str, bytes | None],
    *rows: dict[str, Any],
    aside: bytes | None = None,
    **expected: Any,
) -> Seen:
    """A workspace with these files below the config root, these rows in its report, and something kept aside."""
    files: dict[str, bytes | None] = {
        f"{CONFIGS}/{path}": content for path, content in live.items() if content
    }
    if aside is not None:
        files[ASIDE] = aside
    document = changed(paths=[*report()["paths"], *rows])
    files |= {
        f"{CONFIGS}/{path}": None
        for path, content in live.items()
        if content is None and path == "config.yaml"
    }
    return good(files=files, report=document, expected=replace(good().expected, **expected))


def by_key(live: bytes | None) -> tuple[Any, ...]:
    made = seen({"config.yaml": live}, contests={"config.yaml": OF_CONFIG})
    return (edits.edit_2_changes_to_different_keys_are_both_there, made)


def of_config(
    live: bytes | None, *rows: dict[str, Any], aside: bytes | None = CONFIG_NEXT
) -> tuple[Any, ...]:
    made = seen({"config.yaml": live}, *rows, aside=aside, contests={"config.yaml": OF_CONFIG})
    return (edits.edit_3_where_both_changed_the_same_the_users_wins, made)


def of_file(
    contest: Contest, live: bytes | None, *rows: dict[str, Any], aside: bytes | None = None
) -> tuple[Any, ...]:
    made = seen({PROMPT: live}, *rows, aside=aside, contests={PROMPT: contest})
    return (edits.edit_3_where_both_changed_the_same_the_users_wins, made)


def of_different_keys(*rows: dict[str, Any]) -> tuple[Any, ...]:
    made = seen({"config.yaml": CONFIG_BOTH}, *rows, aside=CONFIG_NEXT)
    return (edits.edit_3_changes_to_different_keys_are_no_conflict, made)


def later(*rows: dict[str, Any]) -> tuple[Any, ...]:
    return (
        edits.edit_3_what_was_said_is_not_said_again,
        seen({PROMPT: b"mine\n"}, *rows, edits={PROMPT: b"mine\n"}),
    )


def unchanged(live: bytes | None) -> tuple[Any, ...]:
    return (edits.edit_1_user_edits_are_unchanged, seen({PROMPT: live}, edits={PROMPT: b"mine\n"}))


def added(live: bytes | None) -> tuple[Any, ...]:
    made = seen({PROMPT: live}, edits={PROMPT: b"mine\n"}, added=[PROMPT])
    return (edits.edit_4_what_the_user_added_survives, made)


def removed(live: bytes | None, *rows: dict[str, Any]) -> tuple[Any, ...]:
    made = seen({PROMPT: live}, *rows, edits={PROMPT: b"mine\n"})
    return (reconcile.rec_6_an_edited_file_removed_upstream_is_kept_and_reported, made, [PROMPT])


def repaired(*rows: dict[str, Any], aside: bytes | None = b"broken") -> tuple[Any, ...]:
    made = seen({}, *rows, aside=aside, damaged={PROMPT: b"broken"})
    return (heal.heal_8_what_a_repair_replaces_is_kept_aside, made)


def reported(path: str, *rows: dict[str, Any], **expected: Any) -> tuple[Any, ...]:
    made = seen({path: b"mine\n"}, *rows, **expected)
    return (skills.skl_3_every_path_left_out_is_reported_with_a_reason, made, None)


LAID = row("config.yaml", "laid-aside", ASIDE)
PROMPT_LAID = row(PROMPT, "laid-aside", ASIDE)
MERGED = row(PROMPT, "merged", ".boot/aside/2")

WELL: dict[str, Callable[[], tuple[Any, ...]]] = {
    "each key is settled": lambda: by_key(CONFIG_BOTH),
    "the config is merged": lambda: of_config(CONFIG_BOTH, row("config.yaml", "merged"), LAID),
    "the place is an absolute path": lambda: of_config(
        CONFIG_BOTH, row("config.yaml", "laid-aside", f"/data/{ASIDE}")
    ),
    "a text is merged": lambda: of_file(OF_TEXT, b"mine\ntwo\ntheirs\n", MERGED),
    "a text is kept": lambda: of_file(OF_TEXT, OF_TEXT.user, PROMPT_LAID, aside=OF_TEXT.template),
    "a line is kept": lambda: of_file(OF_LINE, b"mine\n", PROMPT_LAID, aside=b"theirs\n"),
    "a picture is kept": lambda: of_file(OF_PICTURE, OF_PICTURE.user, PROMPT_LAID, aside=OF_PICTURE.template),
    "what both added is kept": lambda: of_file(OF_ADDED, b"mine\n", PROMPT_LAID, aside=b"theirs\n"),
    "different keys are no conflict": lambda: of_different_keys(row("config.yaml", "merged", ASIDE)),
    "it is not said again": lambda: later(row(PROMPT, "preserved")),
    "an edit is unchanged": lambda: unchanged(b"mine\n"),
    "what was added is there": lambda: added(b"mine\n"),
    "what was removed upstream is kept": lambda: removed(b"mine\n", row(PROMPT, "preserved")),
    "the damage is kept": lambda: repaired(row(PROMPT, "repaired", ASIDE)),
    "what is kept is reported": lambda: reported(
        "config.yaml", row("config.yaml", "merged"), LAID, edits={"config.yaml": b"mine\n"}
    ),
}

DEFECTS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "edit-1: an edit is altered": lambda: unchanged(b"theirs\n"),
    "edit-1: an edit is gone": lambda: unchanged(None),
    "edit-2: the template's key is not there": lambda: by_key(CONFIG_BOTH.replace(b"opus", b"sonnet")),
    "edit-2: the template's key below a key is not there": lambda: by_key(
        CONFIG_BOTH.replace(b"red", b"blue")
    ),
    "edit-2: the user's key is not there": lambda: by_key(CONFIG_BOTH.replace(b"debug", b"info")),
    "edit-2: what the template removed is still there": lambda: by_key(CONFIG_BOTH + b"old: 1\n"),
    "edit-2: a value has another type": lambda: by_key(CONFIG_BOTH.replace(b"opus", b"{opus: 1}")),
    "edit-2: the config is broken": lambda: by_key(b"name: [\n"),
    "edit-2: the config is gone": lambda: by_key(None),
    "edit-3: the template's value wins": lambda: of_config(CONFIG_BOTH.replace(b"mine", b"theirs"), LAID),
    "edit-3: the user's skill is lost": lambda: of_config(CONFIG_BOTH.replace(b", my-own", b""), LAID),
    "edit-3: the template's version is not aside": lambda: of_config(CONFIG_BOTH, LAID, aside=None),
    "edit-3: another version is aside": lambda: of_config(CONFIG_BOTH, LAID, aside=CONFIG_USER),
    "edit-3: it is aside and not said to be": lambda: of_config(CONFIG_BOTH),
    "edit-3: it is said twice in one report": lambda: of_config(CONFIG_BOTH, LAID, LAID),
    "edit-3: a conflict is claimed where there is none": lambda: of_different_keys(LAID),
    "edit-3: it is said at every boot": lambda: later(row(PROMPT, "preserved"), PROMPT_LAID),
    "edit-3: the config is gone": lambda: of_config(None, LAID),
    "edit-3: the user's line is lost": lambda: of_file(OF_TEXT, OF_TEXT.template, MERGED),
    "edit-3: the template's line is lost": lambda: of_file(OF_TEXT, OF_TEXT.user, row(PROMPT, "preserved")),
    "edit-3: the merge has marks": lambda: of_file(
        OF_LINE, b"<<<<<<< live\nmine\n=======\ntheirs\n>>>>>>> new\n", MERGED
    ),
    "edit-3: the user's picture is replaced": lambda: of_file(OF_PICTURE, OF_PICTURE.template, MERGED),
    "edit-3: the text is gone": lambda: of_file(OF_TEXT, None, MERGED),
    "edit-4: it is gone": lambda: added(None),
    "edit-4: it is altered": lambda: added(b"yours\n"),
    "rec-6: it is gone": lambda: removed(None, row(PROMPT, "preserved")),
    "rec-6: it is altered": lambda: removed(b"", row(PROMPT, "preserved")),
    "rec-6: it is not reported": lambda: removed(b"mine\n"),
    "rec-6: it is reported as removed": lambda: removed(b"mine\n", row(PROMPT, "removed")),
    "heal-8: it is not kept": lambda: repaired(row(PROMPT, "repaired")),
    "heal-8: something else is kept": lambda: repaired(row(PROMPT, "repaired", ASIDE), aside=b"whole"),
    "heal-8: it is not reported": lambda: repaired(),
    "skl-3: an edit is not reported": lambda: reported("config.yaml", edits={"config.yaml": b"mine\n"}),
    "skl-3: what became of both versions is not reported": lambda: reported(
        "config.yaml", contests={"config.yaml": OF_CONFIG}
    ),
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
    assert problems(made)


def test_every_check_here_was_seen_to_pass_and_to_fail() -> None:
    passed = {make()[0].name for make in WELL.values()}
    failed = {make()[0].name for make in DEFECTS.values()}

    assert passed == failed


def test_the_skills_that_count_are_those_of_the_users_config() -> None:
    mine = b"name: taker\nskills: [notes, my-own]\n"
    edited = seen({"config.yaml": mine}, row("config.yaml", "preserved"), edits={"config.yaml": mine})
    (problem,) = skills.skl_2_every_named_skill_is_in_the_agent_card.look(edited).problems

    assert "my-own" in problem
