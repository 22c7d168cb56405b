"""A machine is killed while it boots, and the platform brings the workspace back with no operator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harness.oracle import heal, reconcile
from harness.oracle.check import NotApplicable
from harness.oracle.seen import Document, Seen
from harness.runtime.base import Conditions
from harness.scenario.scenario import Held, Scenario
from harness.scenario.workspace import NOTICE, Workspace
from harness.scenario.writes import spread, writes_of_a_restart
from harness.templates import with_generated_skill
from harness.templates.model import Template
from harness.world.cloud import PROVISIONER
from harness.world.hypervisor import Trial

ROUNDS = 2
SIDE_BY_SIDE = 3
TRIES = 4
"""So often a client of AWS asks before it gives up."""


def test_a_boot_killed_at_any_write_leaves_each_file_old_or_new(
    scenario: Scenario, minimal: Template
) -> None:
    old = edition(minimal, 0)
    published = scenario.publish(old)
    tenant = scenario.tenant(published)
    first = tenant.provision(published)
    old = edition(minimal, 1)
    published.publish(old)
    points = spread(writes_of_a_restart(scenario, first), ROUNDS * SIDE_BY_SIDE)
    workspaces = [first, *(tenant.create(published) for _ in range(SIDE_BY_SIDE - 1))]
    for workspace in workspaces[1:]:
        workspace.booted("provision")

    found: list[reconcile.Versions] = []
    for number in range(ROUNDS):
        new = edition(minimal, 2 + number)
        published.publish(new)
        with ExitStack() as trials:
            deaths = []
            for workspace, point in zip(workspaces, points[number::ROUNDS], strict=True):
                trial = trials.enter_context(workspace.next_machine(Conditions(fault=point.killing)))
                deaths.append((workspace, trial, workspace.ask_to_restart(), f"at its {point}"))
            for workspace, trial, previous, killed_at in deaths:
                seen = replaced(workspace, trial, previous, "restart")
                scenario.proven(f"a machine was killed {killed_at}", trial.hits)
                left = trial.left or {}
                scenario.judge(reconcile.rec_4_a_kill_leaves_each_file_old_or_new, killed_at, left, old, new)
                scenario.judge(reconcile.rec_4_the_next_boot_converges, killed_at, seen, old)
                found.append(reconcile.versions(left, old, new))
        old = new

    scenario.proven("a machine was killed before any asset was new", sum(not each.new for each in found))
    scenario.proven("a machine was killed after every asset was new", sum(not each.old for each in found))
    before = [workspace.files for workspace in workspaces]
    asked = [workspace.ask_to_restart() for workspace in workspaces]
    for workspace, files, previous in zip(workspaces, before, asked, strict=True):
        scenario.judge(reconcile.rec_2_nothing_was_written, files, workspace.booted("restart", previous))


def test_a_boot_killed_during_its_fetch_is_made_anew(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    with amid_its_fetch(scenario, minimal, transport) as (workspace, trial, held):
        seen = killed(workspace, trial, held)

    killed_at = "during its fetch"
    scenario.judge(
        reconcile.rec_4_a_kill_leaves_each_file_old_or_new, killed_at, trial.left or {}, Template(), minimal
    )
    scenario.judge(reconcile.rec_4_the_next_boot_converges, killed_at, seen, Template())


def test_a_boot_killed_while_ec2_tells_nothing_of_machines_is_made_anew(
    scenario: Scenario, minimal: Template
) -> None:
    transport = scenario.cloud.implementation.capabilities.transports[0]
    with (
        amid_its_fetch(scenario, minimal, transport) as (workspace, trial, held),
        scenario.cloud.aws.faults.throttle(
            "ec2:DescribeInstance*", principal=PROVISIONER, times=TRIES
        ) as silence,
    ):
        seen = killed(workspace, trial, held)

    # A platform need not ask EC2 for it.
    killed_at = "while EC2 told nothing of it" if silence.hits else "during its fetch"
    scenario.judge(reconcile.rec_4_the_next_boot_converges, killed_at, seen, Template())


def test_a_boot_that_ec2_once_tells_nothing_of_is_not_given_up(scenario: Scenario, minimal: Template) -> None:
    transport = scenario.cloud.implementation.capabilities.transports[0]
    with (
        amid_its_fetch(scenario, minimal, transport) as (workspace, trial, held),
        scenario.cloud.aws.faults.deny("ec2:DescribeInstance*", principal=PROVISIONER, times=1) as silence,
    ):
        before, mark, began = workspace.now(), scenario.cloud.mark(), time.monotonic()
        while not silence.hits and time.monotonic() < began + scenario.cloud.implementation.timing.doubt:
            time.sleep(NOTICE)
        time.sleep(NOTICE)
        held.release()
        workspace.booted("provision")

    if not silence.hits:
        raise NotApplicable("the platform asks EC2 nothing of a machine that boots")
    scenario.judge(
        heal.heal_7_a_transient_doubt_replaces_nothing,
        {**before, "machine": trial.instance},
        workspace.document,
        time.monotonic() - began,
        len(scenario.cloud.hypervisor.launched_since(mark.made)),
    )


@contextmanager
def amid_its_fetch(
    scenario: Scenario, template: Template, transport: str
) -> Iterator[tuple[Workspace, Trial, Held]]:
    """A workspace's first boot, whose fetch is under way."""
    published = scenario.publish(template)
    with (
        scenario.fetches_held(published, transport) as held,
        scenario.cloud.hypervisor.next_machine(Conditions()) as trial,
    ):
        workspace = scenario.tenant(published).create(published, transport=transport)
        held.await_first(timeout=30)
        yield workspace, trial, held
    scenario.proven("a fetch was under way", held.hits)


def killed(workspace: Workspace, trial: Trial, held: Held) -> Seen:
    """What its replacement comes to."""
    workspace.tenant.cloud.hypervisor.machine(str(trial.instance)).kill()
    held.release()
    return replaced(workspace, trial, workspace.document, "provision")


def edition(template: Template, number: int) -> Template:
    """One that differs from the next in files changed, added and removed, small and of many writes, and in a mode."""
    return (
        with_generated_skill(template, "library", size=300_000, seed=str(number))
        .with_file("system-prompt.md", f"You are edition {number}.\n")
        .with_file(f"prompts/edition-{number}.md", f"Edition {number}.\n")
        .with_file("agent-skills/library/scripts/odd.sh", "#!/bin/sh\n", "755" if number % 2 else "644")
    )


def replaced(workspace: Workspace, trial: Trial, previous: Document, asked: str) -> Seen:
    """Wait until the platform has replaced the machine that died, with nobody asking for it, and judge the new boot."""
    timing = workspace.tenant.cloud.implementation.timing
    deadline = time.monotonic() + timing.settle + timing.heal
    with workspace.tenant.judge.clock.on("boots"):
        while True:
            document = workspace.tenant.api.settled(workspace.id, within=timing.settle)
            if document["machine"] != trial.instance or time.monotonic() > deadline:
                break
            time.sleep(NOTICE)
    # What was asked for may be carried on with, or count as failed and be healed.
    reason = (document.get("boot") or {}).get("reason")
    return workspace.booted(asked if reason == asked else "heal", previous)
