"""The plan is a pure function of base, live tree and new version: its whole table."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.reference.boot.plan import ABSENT, Action, Live, plan
from harness.reference.index import Entry

B = Entry(0o644, 3, "b" * 64)
N = Entry(0o644, 3, "a" * 64)
EDIT = Live("file", 0o644, 4, "e" * 64)
BROKEN = Live("file", 0o644, 1, "d" * 64, damage="truncated")


def live(entry: Entry, mode: int | None = None) -> Live:
    return Live("file", entry.mode if mode is None else mode, entry.size, entry.sha256)


def planned(
    base: Entry | None, found: Live, new: Entry | None, path: str = "prompts/p.md"
) -> tuple[str, ...] | None:
    actions = plan({path: base} if base else {}, {path: found}, {path: new} if new else {})
    assert len(actions) <= 1
    return (actions[0].step, actions[0].verb, actions[0].reason) if actions else None


@pytest.mark.parametrize(
    ("base", "found", "new", "expected"),
    [
        (None, live(N), N, None),
        (B, live(N), N, None),
        (N, live(N), N, None),
        (N, live(N, 0o755), N, ("mode", "repaired", "wrong-mode")),
        (N, live(N, 0o600), N, ("mode", "repaired", "wrong-mode")),
        (N, live(N), N._replace(mode=0o755), ("mode", "updated", "changed-upstream")),
        (None, ABSENT, N, ("place", "delivered", "new")),
        (N, ABSENT, N, ("place", "repaired", "absent")),
        (B, ABSENT, N, ("place", "repaired", "absent")),
        (B, live(B), N, ("replace", "updated", "changed-upstream")),
        (N, BROKEN, N, ("replace", "repaired", "truncated")),
        (B, BROKEN, N, ("replace", "repaired", "truncated")),
        (None, BROKEN, N, ("replace", "repaired", "truncated")),
        (N, Live("link"), N, ("replace", "repaired", "wrong-type")),
        (N, Live("directory"), N, ("replace", "repaired", "wrong-type")),
        (None, Live("fifo"), N, ("replace", "repaired", "wrong-type")),
        (N, EDIT, N, ("keep", "preserved", "user-edit")),
        (B, EDIT, N, ("merge", "merged", "user-edit")),
        (None, EDIT, N, ("lay-aside", "laid-aside", "user-edit")),
        (B, live(B), None, ("remove", "removed", "removed-upstream")),
        (B, EDIT, None, ("keep", "preserved", "removed-upstream")),
        (B, ABSENT, None, None),
        (B, Live("link"), None, None),
    ],
)
def test_each_row_of_the_table(base: Entry | None, found: Live, new: Entry | None, expected: object) -> None:
    assert planned(base, found, new) == expected


@pytest.mark.parametrize(
    ("path", "base", "step"),
    [
        ("config.yaml", B, "merge"),
        ("config.yaml", None, "merge"),
        ("system-prompt.md", B, "merge"),
        ("prompts/tone.txt", B, "merge"),
        ("agent-skills/audit/SKILL.md", B, "merge"),
        ("system-prompt.md", None, "lay-aside"),
        ("agent-skills/audit/run.sh", B, "lay-aside"),
    ],
)
def test_what_both_changed_is_merged_where_that_has_a_meaning(
    path: str, base: Entry | None, step: str
) -> None:
    found = planned(base, EDIT, N, path)
    assert isinstance(found, tuple)
    assert found[0] == step


def test_a_mode_that_the_template_changed_comes_to_an_edited_file_unless_the_user_changed_it_too() -> None:
    executable = B._replace(mode=0o755)

    def steps(base: Entry, found: Live) -> list[str]:
        actions = plan({"run.sh": base}, {"run.sh": found}, {"run.sh": executable})
        return [action.step for action in actions]

    assert steps(B, EDIT) == ["mode", "keep"]
    assert steps(B, EDIT._replace(mode=0o600)) == ["keep"]
    assert steps(executable, EDIT) == ["keep"]


def test_what_a_template_delivered_is_not_worth_keeping_and_everything_else_is() -> None:
    def kept(base: Entry | None, found: Live) -> bool:
        (action,) = plan({"p": base} if base else {}, {"p": found}, {"p": N})
        return action.keep_aside

    assert not kept(B, live(B))
    assert kept(B, BROKEN)
    assert kept(B, Live("directory"))


def test_what_is_in_the_way_is_cleared_before_anything_is_placed_and_after_what_is_removed() -> None:
    found: Mapping[str, Live] = {"agent-skills/old": live(B), "agent-skills/a/x": ABSENT}
    actions = plan(
        {"agent-skills/old": B},
        found,
        {"agent-skills/a/x": N},
        {"agent-skills/a": "link", "agent-skills/old": "other"},
    )
    assert [(action.step, action.path) for action in actions] == [
        ("remove", "agent-skills/old"),
        ("clear", "agent-skills/a"),
        ("place", "agent-skills/a/x"),
    ]


def test_the_plan_does_not_depend_on_the_order_of_what_it_is_given() -> None:
    new = {f"prompts/{letter}": N for letter in "dbca"}
    actions = plan({}, {}, new)
    assert actions == tuple(Action(path, "place", "delivered", "new") for path in sorted(new))
