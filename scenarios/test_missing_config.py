"""The config of a workspace is missing, broken, or was written by a fallback; or is small and quite in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from harness.oracle import heal
from harness.oracle.check import Check
from harness.oracle.seen import Seen
from harness.scenario.old_volume import STUBS
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import Workspace
from harness.templates import BOTTOMLESS
from harness.templates.model import CONFIG, Template


@dataclass(frozen=True)
class Defect:
    """What became of a config.yaml, and the check of the requirement that says it is repaired."""

    name: str
    content: bytes | None
    """None where the file is gone."""
    repaired: Check[[Seen]]


def one_of_each_kind(config: bytes) -> list[Defect]:
    return [
        Defect("missing", None, heal.heal_1_a_missing_config_is_repaired),
        *broken(
            {
                "empty": b"",
                "cut in the middle": config[: len(config) // 2],
                "unparsable": b"name: [unclosed\n  - {" + config,
                "an error body": b'{"message": "Not Found"}\n',
            }
        ),
        *(
            Defect(f"a stub of {size}", text, heal.heal_3_a_stub_config_is_repaired)
            for size, text in STUBS.items()
        ),
    ]


def further_ones(config: bytes) -> list[Defect]:
    """Cut at every tenth byte, and by one; filled and ended with NUL; what another forge answers."""
    return broken(
        {f"cut at byte {at}": config[:at] for at in [*range(10, len(config), 10), len(config) - 1]}
        | {
            "filled with NUL": b"\0" * len(config),
            "ended with NUL": config[:-16] + b"\0" * 16,
            "without a bottom": b"name: " + BOTTOMLESS,
            "the forge's error body": b'{"message":"GetRawFile","url":"https://forge.example/api/swagger"}',
        }
    )


def broken(contents: Mapping[str, bytes]) -> list[Defect]:
    return [Defect(name, text, heal.heal_2_a_broken_config_is_repaired) for name, text in contents.items()]


def afflicted(
    scenario: Scenario, template: Template, what: Sequence[Defect], *, at_once: int
) -> Iterator[list[tuple[Workspace, Defect]]]:
    """So many workspaces side by side, round after round until each defect has been a config of one of them."""
    published = scenario.publish(template)
    tenant = scenario.tenant(published)
    workspaces = [tenant.create(published) for _ in range(min(at_once, len(what)))]
    for workspace in workspaces:
        workspace.booted("provision")
    for start in range(0, len(what), at_once):
        pairs = list(zip(workspaces, what[start : start + at_once], strict=False))
        for workspace, defect in pairs:
            if defect.content is None:
                workspace.lose(CONFIG)
            else:
                workspace.damage(CONFIG, defect.content)
        yield pairs


def judge_repaired(scenario: Scenario, defect: Defect, seen: Seen) -> None:
    scenario.judge.step += f", its config {defect.name}"
    scenario.judge(defect.repaired, seen)


@pytest.mark.each_choice("template")
def test_a_missing_config_is_repaired_by_a_restart(
    scenario: Scenario, template: Template, transport: str
) -> None:
    published = scenario.publish(template)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    before = workspace.files
    workspace.lose(CONFIG)

    seen = workspace.restart()

    scenario.judge(heal.heal_1_a_missing_config_is_repaired, seen)
    scenario.judge(heal.heal_5_damage_is_repaired_and_nothing_else_touched, seen, [CONFIG], before)


@pytest.mark.long
def test_a_broken_or_stub_config_is_repaired_by_a_restart(scenario: Scenario, minimal: Template) -> None:
    config = minimal.files[CONFIG].content
    what = one_of_each_kind(config) + further_ones(config)
    for afflictions in afflicted(scenario, minimal, what, at_once=6):
        asked = [(workspace, workspace.files, workspace.ask_to_restart()) for workspace, _ in afflictions]
        for (workspace, before, previous), (_, defect) in zip(asked, afflictions, strict=True):
            seen = workspace.booted("restart", previous)
            judge_repaired(scenario, defect, seen)
            scenario.judge(heal.heal_5_damage_is_repaired_and_nothing_else_touched, seen, [CONFIG], before)


def test_a_missing_broken_or_stub_config_is_repaired_by_a_restore(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs("snapshots")
    what = one_of_each_kind(minimal.files[CONFIG].content)
    for afflictions in afflicted(scenario, minimal, what, at_once=3):
        asked = [
            (workspace, defect, workspace.ask_to_restore(workspace.snapshot()))
            for workspace, defect in afflictions
        ]
        for workspace, defect, previous in asked:
            judge_repaired(scenario, defect, workspace.booted("restore", previous))


def test_a_missing_broken_or_stub_config_is_repaired_by_auto_heal(
    scenario: Scenario, minimal: Template
) -> None:
    what = one_of_each_kind(minimal.files[CONFIG].content)
    for afflictions in afflicted(scenario, minimal, what, at_once=6):
        dead = [(workspace, defect, *workspace.let_the_machine_die()) for workspace, defect in afflictions]
        # First wait for all, since a judgement takes time too.
        seconds = [workspace.await_replacement(died) for workspace, _, _, died in dead]
        for (workspace, defect, previous, _), took in zip(dead, seconds, strict=True):
            judge_repaired(scenario, defect, workspace.replaced(previous, took))


@pytest.mark.parametrize("content", [b"name: tiny\n", b"name: small\nruntime: python\nskills: []\n"])
def test_a_small_config_of_the_template_is_no_stub_and_gives_way_to_none(
    scenario: Scenario, minimal: Template, content: bytes
) -> None:
    published = scenario.publish(minimal.with_file(CONFIG, content))
    workspace = scenario.tenant(published).provision(published)

    seen = workspace.restart()

    scenario.judge(heal.heal_4_a_genuine_config_is_not_taken_for_a_stub, seen)

    workspace.damage(CONFIG, STUBS["59 bytes"])
    seen = workspace.restart()

    scenario.judge(heal.heal_3_a_stub_config_is_repaired, seen)


def test_a_config_that_the_user_shortened_is_no_stub(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    lines = minimal.files[CONFIG].content.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((b"description", b"#"))]
    workspace.edit(CONFIG, b"".join(kept) + b"message: hello\n")

    for _ in range(2):
        seen = workspace.restart()
        scenario.judge(heal.heal_4_a_genuine_config_is_not_taken_for_a_stub, seen)

    # Nor is one that has but a single key, and that a nested one, which no fallback writes.
    workspace.edit(CONFIG, b"name: mine\nruntime_config:\n  timeout: 60\n  required_env: []\n")
    scenario.judge(heal.heal_4_a_genuine_config_is_not_taken_for_a_stub, workspace.restart())
