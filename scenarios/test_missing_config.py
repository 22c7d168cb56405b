"""The config of a workspace is missing, broken, or was written by a fallback; or is small and quite in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.oracle import heal
from harness.scenario.scenario import Scenario
from harness.templates.model import CONFIG, Template

BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda config: b"",
    "cut in the middle": lambda config: config[: len(config) // 2],
    "cut by one byte": lambda config: config[:-1],
    "filled with NUL": lambda config: b"\0" * len(config),
    "ended with NUL": lambda config: config[:-16] + b"\0" * 16,
    "unparsable": lambda config: b"name: [unclosed\n  - {" + config,
    "an error body": lambda config: b'{"message": "Not Found"}\n',
    "an error body of the forge": lambda config: (
        b'{"message":"GetRawFile","url":"https://forge.example/api/swagger"}'
    ),
}
STUBS = {
    "only a name": b"name: workspace\n",
    "name and tier": b"name: agent\ntier: standard\nruntime: python\n",
    "no skills": b"name: agent\ndescription: ''\nversion: 0.1.0\ntier: free\nruntime: default\nskills: []\n",
    "with a model": (
        b"name: agent\ndescription: Default agent\nversion: 1.0.0\ntier: standard\nruntime: claude-code\n"
        b"model: claude-sonnet\nruntime_config:\n  timeout: 300\nskills: []\n"
    ),
}


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


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_config_is_repaired(scenario: Scenario, minimal: Template, how: str) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.damage(CONFIG, BROKEN[how](minimal.files[CONFIG].content))

    seen = workspace.restart()

    scenario.judge(heal.heal_2_a_broken_config_is_repaired, seen)


@pytest.mark.parametrize("shape", STUBS)
def test_a_stub_config_is_repaired(scenario: Scenario, minimal: Template, shape: str) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.damage(CONFIG, STUBS[shape])

    seen = workspace.restart()

    scenario.judge(heal.heal_3_a_stub_config_is_repaired, seen)


@pytest.mark.parametrize("content", [b"name: tiny\n", b"name: small\nruntime: python\nskills: []\n"])
def test_a_small_config_of_the_template_is_no_stub(
    scenario: Scenario, minimal: Template, content: bytes
) -> None:
    published = scenario.publish(minimal.with_file(CONFIG, content))
    workspace = scenario.tenant(published).provision(published)

    seen = workspace.restart()

    scenario.judge(heal.heal_4_a_genuine_config_is_not_taken_for_a_stub, seen)


def test_a_config_that_the_user_shortened_is_no_stub(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    lines = minimal.files[CONFIG].content.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((b"description", b"#"))]
    workspace.edit(CONFIG, b"".join(kept) + b"persona: terse\n")

    for _ in range(2):
        seen = workspace.restart()
        scenario.judge(heal.heal_4_a_genuine_config_is_not_taken_for_a_stub, seen)
