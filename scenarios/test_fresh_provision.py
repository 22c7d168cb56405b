"""A workspace is provisioned for the first time."""

from __future__ import annotations

from harness.oracle import boundary
from harness.scenario.scenario import Scenario
from harness.templates.model import Template


def test_a_fresh_workspace_has_its_whole_template(
    scenario: Scenario, template: Template, transport: str
) -> None:
    published = scenario.publish(template)
    scenario.tenant(published).provision(published, transport=transport)


def test_a_public_template_needs_no_credential(
    scenario: Scenario, template: Template, transport: str
) -> None:
    published = scenario.publish(template, private=False)
    workspace = scenario.tenant().provision(published, transport=transport)
    scenario.judge(boundary.bnd_7_without_a_token_no_credential_is_sent, workspace.look("provision"))
