"""A fetch goes beyond what the implementation says that it is bounded by: it is given up, and the bound is named;
and what stays within them is taken."""

from __future__ import annotations

from typing import Any

from harness.oracle import channel
from harness.oracle.check import NotApplicable
from harness.oracle.seen import Seen
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.templates import with_generated_skill
from harness.templates.model import SKILLS, Template, TemplateFile
from harness.world.aws.faults import Fault
from harness.world.template_host.faults import (
    Bursts,
    Reset,
    StandStill,
    Trickle,
    for_the_archive,
    holds_a_pack,
)
from harness.world.template_host.misbehaviour import Interception

FETCH = "s3:GetObject"
STANDSTILL = ("throughput", "stall", "time")
STANDING: dict[str, type[Trickle | StandStill]] = {
    "a byte a second": Trickle,
    "nothing behind the headers": StandStill,
}


def test_an_answer_that_all_but_stands_still_is_given_up(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    if scenario.cloud.implementation.bounds.stall is None:
        raise NotApplicable("the implementation gives no bound `stall`")
    faults = {name: fault(**of_content(transport)) for name, fault in STANDING.items()}
    published = {name: scenario.publish(minimal) for name in faults}
    tenant = scenario.tenant(*published.values())
    for name, fault in faults.items():
        scenario.cloud.template_host.intercept(published[name].name, fault)
    workspaces = {name: tenant.create(each, transport=transport) for name, each in published.items()}
    for name, workspace in workspaces.items():
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.proven(f"the template host: {name}", faults[name].hits)
        scenario.judge(
            channel.chn_8_a_breach_is_an_error_that_names_the_bound,
            seen,
            name,
            STANDSTILL,
        )


def test_a_slow_answer_that_keeps_coming_is_taken(scenario: Scenario, minimal: Template) -> None:
    """Over every transport that is claimed, side by side."""
    stall = scenario.cloud.implementation.bounds.stall
    if stall is None:
        raise NotApplicable("the implementation gives no bound `stall`")
    template = with_generated_skill(minimal, "large-library", size=2 << 20)
    transports = scenario.cloud.implementation.capabilities.transports
    published = {transport: scenario.publish(template) for transport in transports}
    # A fifth longer than the bound, and never still for as long.
    slow = {transport: Bursts(6, stall / 5, **of_content(transport)) for transport in transports}
    for transport, fault in slow.items():
        scenario.cloud.template_host.intercept(published[transport].name, fault)
    tenant = scenario.tenant(*published.values())
    workspaces = {
        transport: tenant.create(each, transport=transport) for transport, each in published.items()
    }
    for transport, workspace in workspaces.items():
        seen = workspace.outcome("provision")
        scenario.proven(f"what {transport} fetched came slowly", slow[transport].hits)
        scenario.judge(channel.chn_8_what_keeps_coming_is_taken, seen, transport)
        workspace.booted("provision")


def test_an_object_store_that_stands_still_is_given_up(scenario: Scenario, minimal: Template) -> None:
    scenario.needs_transport("object")
    stall = scenario.cloud.implementation.bounds.stall
    if stall is None:
        raise NotApplicable("the implementation gives no bound `stall`")
    published = scenario.publish(minimal)
    with scenario.cloud.aws.faults.delay(FETCH, stall + 5, principal="assumed-role/*") as fault:
        seen = failed_provision(scenario, published, "object")

    scenario.proven("the object store stood still", fault.hits)
    scenario.judge(
        channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, "a standing object store", STANDSTILL
    )


def test_what_breaks_off_again_and_again_is_given_up_within_its_retries(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    most = scenario.cloud.implementation.bounds.retries
    if most is None:
        raise NotApplicable("the implementation gives no bound `retries`")
    published = scenario.publish(minimal)
    fault = reset_each_time(scenario, published, transport)
    with fault:
        seen = failed_provision(scenario, published, transport)

    scenario.proven("what a machine fetched was reset", fault.hits)
    scenario.judge(
        channel.chn_8_what_breaks_off_again_and_again_is_given_up_within_its_retries, seen, fault.hits, most
    )


def test_a_template_of_too_many_entries_is_refused(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    most = scenario.cloud.implementation.bounds.entries
    if most is None:
        raise NotApplicable("the implementation gives no bound `entries`")
    one_too_many = range(most + 1 - len(minimal.files))
    many = {f"{SKILLS}/meeting-notes/many/{number:07}": TemplateFile(b"") for number in one_too_many}
    published = scenario.publish(minimal.with_entries(many))
    seen = failed_provision(scenario, published, transport)

    bound = ("entries", "files", "paths")
    scenario.judge(channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, f"{most + 1} files", bound)


def failed_provision(scenario: Scenario, published: Published, transport: str) -> Seen:
    workspace = scenario.tenant(published).create(published, transport=transport)
    with workspace.expecting_trouble():
        return workspace.booted("provision")


def reset_each_time(scenario: Scenario, published: Published, transport: str) -> Fault | Interception:
    """What a machine fetches of a template's content is reset in mid-body."""
    if transport == "object":
        mine = scenario.machines_of(published)
        return scenario.cloud.aws.faults.break_off(FETCH, "reset", only=mine)
    return scenario.cloud.template_host.intercept(published.name, Reset(**of_content(transport)))


def of_content(transport: str) -> dict[str, Any]:
    """For a fault of the template host: that it happens to the answers which carry a template's content."""
    # What carries an artifact to the object store may itself speak either way to the template host.
    return {"only": for_the_archive} if transport == "archive" else {"concerns": holds_a_pack}
