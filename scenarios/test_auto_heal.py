"""A machine dies, and the platform brings the workspace back with no operator."""

from __future__ import annotations

from harness.oracle import heal
from harness.scenario.scenario import Scenario
from harness.templates.model import CONFIG, Template


def test_a_missing_config_is_repaired_by_auto_heal(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.lose(CONFIG)

    seen = workspace.lose_the_machine()

    scenario.judge(heal.heal_1_a_missing_config_is_repaired, seen)


def test_a_volume_that_lost_everything_is_rebuilt_by_auto_heal(
    scenario: Scenario, seo: Template, transport: str
) -> None:
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    workspace.lose_everything()

    seen = workspace.lose_the_machine()

    scenario.judge(heal.heal_6_a_lost_volume_content_is_rebuilt, seen)
