"""A machine dies, and the platform brings the workspace back with no operator."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from harness.oracle import heal
from harness.runtime.base import Conditions, MachineError
from harness.scenario.scenario import Scenario
from harness.scenario.subject import Subject
from harness.scenario.workspace import NOTICE, Workspace
from harness.templates.model import CONFIG, Template

ENDS: dict[str, Callable[[Workspace], object]] = {
    # The first process of a machine is its agent, or the agent's parent: where it ends, all of the machine ends, and
    # EC2 goes on calling the instance `running`.
    "its process dies": lambda workspace: workspace.machine.kill(),
    "EC2 terminates it": lambda workspace: terminate(workspace, str(workspace.document["machine"])),
    "EC2 stops it": lambda workspace: ec2_of(workspace).stop_instances(
        InstanceIds=[workspace.document["machine"]]
    ),
    "it freezes": lambda workspace: workspace.machine.pause(),
}


def test_a_missing_config_is_repaired_by_auto_heal(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    workspace, healthy = (tenant.create(published) for _ in range(2))
    for each in (workspace, healthy):
        each.booted("provision")
    before = healthy.document
    workspace.lose(CONFIG)

    seen = workspace.lose_the_machine()

    scenario.judge(heal.heal_1_a_missing_config_is_repaired, seen)
    scenario.judge.step = "meanwhile, beside it"
    scenario.judge(
        heal.heal_7_a_healthy_machine_is_not_replaced,
        before, healthy.now(), healthy.card is not None,
    )  # fmt: skip


def test_a_volume_that_lost_everything_is_rebuilt_by_auto_heal(scenario: Scenario, seo: Template) -> None:
    published = scenario.publish(seo)
    tenant = scenario.tenant(published)
    workspaces = [
        tenant.create(published, transport=transport)
        for transport in scenario.cloud.implementation.capabilities.transports
    ]
    for workspace in workspaces:
        workspace.booted("provision")
    before = {workspace: workspace.document for workspace in workspaces}
    died = time.monotonic()
    for workspace in workspaces:
        workspace.lose_everything()
        workspace.machine.kill()

    seconds = {workspace: workspace.await_replacement(died) for workspace in workspaces}
    for workspace in workspaces:
        seen = workspace.replaced(before[workspace], seconds[workspace])
        scenario.judge(heal.heal_6_a_lost_volume_content_is_rebuilt, seen)


def test_a_machine_that_ends_in_any_way_is_replaced_once_and_a_flapping_one_is_not(
    scenario: Scenario, minimal: Template
) -> None:
    subjects = {how: Subject(scenario, minimal) for how in ENDS}
    flapping = Subject(scenario, minimal)
    everybody = [*subjects.values(), flapping]
    for subject in everybody:
        subject.create()
    for subject in everybody:
        subject.workspace.booted("provision")
    before = {subject: subject.document for subject in everybody}
    mark, doubt = scenario.cloud.mark(), scenario.cloud.implementation.timing.doubt

    silent_since = time.monotonic()
    silent = flapping.workspace.machine
    silent.pause()
    died = {}
    for how, subject in subjects.items():
        died[subject] = time.monotonic()
        ENDS[how](subject.workspace)
    time.sleep(max(0.0, silent_since + doubt - time.monotonic()))
    silence = time.monotonic() - silent_since
    with suppress(MachineError):  # it was taken for dead, and is gone
        silent.resume()

    seconds = {subject: subject.workspace.await_replacement(died[subject]) for subject in subjects.values()}
    for how, subject in subjects.items():
        seen = subject.workspace.replaced(before[subject], seconds[subject])
        launches = subject.launches_since(mark)
        scenario.judge(
            heal.heal_7_it_is_replaced_once, how, seen.workspace["machine"], launches, subject.machines()
        )
    # By now a machine that fell silent with the others, and stayed so, would have been replaced as they were.
    scenario.judge.step = "a machine falls silent for a moment"
    scenario.proven("a machine was silent for longer than it takes to raise a doubt", int(silence >= doubt))
    scenario.judge(
        heal.heal_7_a_transient_doubt_replaces_nothing,
        before[flapping],
        flapping.workspace.now(),
        silence,
        flapping.launches_since(mark),
    )
    # Neither is it forgotten for that: should it die now, it is replaced as any other.
    flapping.workspace.lose_the_machine()


def test_a_machine_that_was_given_a_dead_ones_address_does_not_answer_for_it(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    workspace, neighbour = (tenant.create(published) for _ in range(2))
    for each in (workspace, neighbour):
        each.booted("provision")
    before, address = workspace.document, workspace.machine.url()

    died = time.monotonic()
    terminate(workspace, str(before["machine"]))
    with neighbour.next_machine(Conditions(at=address)):
        neighbour.restart()
    scenario.proven("a machine was given a dead one's address", int(neighbour.machine.url() == address))

    workspace.replaced(before, workspace.await_replacement(died))


def test_a_workspace_whose_machines_die_again_and_again_fails_until_it_is_restarted(
    scenario: Scenario, minimal: Template
) -> None:
    subject = Subject(scenario, minimal)
    subject.create().booted("provision")
    mark = scenario.cloud.mark()

    deaths = bury_each_machine(subject)

    launches = subject.launches_since(mark)
    scenario.judge.step = "each of its machines dies"
    scenario.proven("the replacement of a dead machine died", deaths - 1)
    scenario.judge(
        heal.heal_7_one_that_dies_again_and_again_fails_without_a_storm, subject.aftermath(), launches
    )
    subject.workspace.restart()


def bury_each_machine(subject: Subject) -> int:
    """Let EC2 terminate each of its machines as soon as it is launched, until the platform gives up or storms.

    How many died.
    """
    timing = subject.tenant.cloud.implementation.timing
    deadline = time.monotonic() + timing.heal + timing.settle
    buried: set[str] = set()
    with subject.tenant.judge.clock.on("boots"):
        while len(buried) <= heal.MOST_REPLACEMENTS + 1 and time.monotonic() < deadline:
            for machine in set(subject.machines()) - buried:
                terminate(subject.workspace, machine)
                buried.add(machine)
            document = subject.workspace.now()
            if document["status"] == "failed" and not document.get("pending"):
                break
            time.sleep(NOTICE)
    return len(buried)


def ec2_of(workspace: Workspace) -> Any:
    """As whoever owns the account, behind the platform's back."""
    return workspace.tenant.cloud.aws.client("ec2")


def terminate(workspace: Workspace, machine: str) -> None:
    ec2_of(workspace).terminate_instances(InstanceIds=[machine])
