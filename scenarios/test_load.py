"""Many workspaces at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.oracle import channel, reconcile
from harness.scenario.scenario import Scenario
from harness.templates.model import Template
from harness.world.template_host.faults import Watched

FLEET = {"process": 50, "docker": 25}
"""Workspaces, by where their machines run: a container costs more than a process before it does anything."""
LOOKED_AT = 3
PUBLISHED = 3
"""So often a template's version may be published: once, and what a race or two cost."""


@pytest.mark.long
def test_many_workspaces_restarted_at_once_all_take_an_update_in(
    scenario: Scenario, minimal: Template
) -> None:
    transports = scenario.cloud.implementation.capabilities.transports
    transport = "object" if "object" in transports else transports[0]
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    many = FLEET[scenario.cloud.runtime.name]
    fleet = [tenant.create(published, transport=transport) for _ in range(many)]
    for workspace in fleet:
        workspace.settled("provision")
    update = minimal.with_file("system-prompt.md", b"You are one of many now.\n")
    commit = published.publish(update)
    fetches = Watched()
    with scenario.cloud.template_host.intercept(published.name, fetches):
        with ThreadPoolExecutor(many) as askers:
            before = list(askers.map(lambda workspace: workspace.ask_to_restart(), fleet))
        documents = [workspace.settled("restart") for workspace in fleet[LOOKED_AT:]]
        for workspace, previous in zip(fleet[:LOOKED_AT], before, strict=False):
            workspace.booted("restart", previous)

    scenario.judge(reconcile.rec_9_an_update_arrives_everywhere, documents, commit, update.digest())
    scenario.judge(
        channel.chn_8_a_version_is_fetched_no_more_often_than_it_must_be,
        fetches.hits,
        PUBLISHED if transport == "object" else many,
    )
