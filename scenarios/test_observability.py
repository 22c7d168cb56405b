"""What a platform says about itself: reports, statuses and errors that a person can act on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from harness.contract.lifecycle import refusal_of
from harness.oracle import observability
from harness.oracle.canaries import CREDENTIAL_FIELD
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import NOTICE
from harness.templates.model import CONFIG, SKILLS, Template
from harness.world.cloud import PROVISIONER
from harness.world.template_host.faults import PASSAGE, GitTelltale, Telltale
from harness.world.template_host.misbehaviour import Misbehaviour

MANUAL = f"{SKILLS}/meeting-notes/SKILL.md"
COMMAND = f"{SKILLS}/meeting-notes/commands/summarise.md"
SCRIPT = f"{SKILLS}/meeting-notes/scripts/list.sh"
TELLTALES: dict[str, Callable[[], Misbehaviour]] = {
    "403": lambda: Telltale(403),
    "500": lambda: Telltale(500),
    "git": GitTelltale,
}
"""Each by what names it in an error."""
BEGINNING = 12
"""Characters of the template token that are another secret: what takes that out must not leave the rest."""


def test_a_report_tells_what_became_of_each_path(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    first = (
        minimal.with_file("prompts/old.md", b"This goes.\n")
        .with_file(SCRIPT, b"#!/bin/sh\nls\n")
        .with_file("notes.txt", b"Not an asset.\n")
    )
    published = scenario.publish(first)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    delivered = dict.fromkeys(first.asset_set(), ("delivered",))
    seen = workspace.look("provision")
    scenario.judge(
        observability.obs_1_each_path_is_reported_with_what_became_of_it,
        seen,
        {**delivered, "notes.txt": ("skipped", "rejected")},
    )
    published.publish(
        first.without("prompts/old.md")
        .with_file("prompts/new.md", b"This is new.\n")
        .with_file(COMMAND, first.files[COMMAND].content + b"\nIn three lines.\n")
        .with_file(SCRIPT, first.files[SCRIPT].content, "755")
    )
    workspace.edit(MANUAL, first.files[MANUAL].content + b"\nBe kind.\n")
    workspace.lose(CONFIG)

    seen = workspace.restart()

    scenario.judge(
        observability.obs_1_each_path_is_reported_with_what_became_of_it,
        seen,
        {
            "prompts/old.md": ("removed",),
            "prompts/new.md": ("delivered", "updated"),
            COMMAND: ("updated", "delivered"),
            SCRIPT: ("updated", "delivered"),
            MANUAL: ("preserved", "merged"),
            CONFIG: ("repaired",),
            "notes.txt": ("skipped", "rejected"),
        },
    )


def test_a_template_host_that_repeats_the_credential_is_not_quoted(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    telltales = {name: make() for name, make in TELLTALES.items()}
    published = {name: scenario.publish(minimal) for name in telltales}
    for name, telltale in telltales.items():
        scenario.cloud.template_host.intercept(published[name].name, telltale)
    tenant = scenario.tenant(*published.values())
    token = tenant.canaries[CREDENTIAL_FIELD].value
    scenario.cloud.lifecycle.put_tenant(tenant.name, {"shared_secret": token[:BEGINNING]})
    workspaces = {name: tenant.create(each, transport=transport) for name, each in published.items()}
    for name, workspace in workspaces.items():
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.proven(f"the template host repeated the credential: {name}", telltales[name].hits)
        scenario.judge(
            observability.obs_2_an_error_is_bounded_and_names_the_cause,
            seen,
            (name, "forbid", "denied", "refuse", "host", "unavailable"),
            PASSAGE,
        )


def test_an_aws_error_is_told_without_its_secrets_and_its_length(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    secret = tenant.canaries[CREDENTIAL_FIELD].value
    message = f"You are not authorized: {json.dumps({'token': secret})} {PASSAGE}"
    refusal = scenario.cloud.aws.faults.fail(
        "ec2:RunInstances", "UnauthorizedOperation", message, status=403, principal=PROVISIONER
    )
    with refusal:
        workspace = tenant.create(published)
        with workspace.expecting_no_machine():
            seen = workspace.booted("provision")

    scenario.proven("EC2 refused the launch", refusal.hits)
    scenario.judge(
        observability.obs_2_an_error_is_bounded_and_names_the_cause,
        seen,
        ("unauthorizedoperation", "refused", "authori", "launch"),
        PASSAGE,
    )


def test_what_the_object_store_denies_the_platform_is_told_by_its_cause(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs_transport("object")
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    denial = scenario.cloud.aws.faults.fail(
        "s3:*", "AccessDenied", f"Access denied. {PASSAGE}", status=403, principal=PROVISIONER
    )
    with denial:
        workspace = tenant.create(published, transport="object")
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")

    scenario.proven("the object store denied the publication", denial.hits)
    scenario.judge(
        observability.obs_2_an_error_is_bounded_and_names_the_cause,
        seen, ("denied", "refuse", "forbid", "authori"), PASSAGE,
    )  # fmt: skip
    workspace.restart()


def test_a_template_whose_config_does_not_parse_is_told_by_the_name_of_the_file(
    scenario: Scenario, minimal: Template
) -> None:
    unparsable = b"name: [unclosed\n" + minimal.files[CONFIG].content
    published = scenario.publish(minimal.with_file(CONFIG, unparsable))
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(
        observability.obs_2_an_error_is_bounded_and_names_the_cause, seen, (CONFIG,), unparsable.decode()
    )
    published.publish(minimal)
    workspace.restart()


def test_a_request_that_aws_refuses_is_answered_without_its_secrets_and_its_length(
    scenario: Scenario,
) -> None:
    tenant = scenario.tenant()
    secret = tenant.canaries["db_password"].value
    message = f"You are not authorized: {json.dumps({'password': secret})} {PASSAGE}"
    denial = scenario.cloud.aws.faults.fail(
        "secretsmanager:*", "AccessDeniedException", message, principal=PROVISIONER
    )
    with denial:
        refusal = refusal_of(
            partial(scenario.cloud.lifecycle.put_tenant, tenant.name, {"db_password": "another-one"})
        )

    scenario.proven("the secret store denied", denial.hits)
    scenario.judge(
        observability.obs_2_what_aws_refuses_is_answered_with_its_cause,
        "new secrets of a tenant", refusal, ("denied", "access", "secret", "authori"), (secret, PASSAGE),
    )  # fmt: skip


def test_a_wait_ends_with_its_time_while_a_boot_is_under_way(scenario: Scenario, minimal: Template) -> None:
    transport = scenario.cloud.implementation.capabilities.transports[0]
    published = scenario.publish(minimal)
    with scenario.fetches_held(published, transport) as hold:
        workspace = scenario.tenant(published).create(published, transport=transport)
        hold.await_first(timeout=30)
        began = time.monotonic()
        document = workspace.wait_for(1.0)
        took = time.monotonic() - began
        hold.release()
    scenario.proven("the fetch was kept waiting", hold.hits)
    scenario.judge(observability.obs_2_a_wait_ends_with_its_time, 1.0, took, str(document["status"]))
    workspace.booted("provision")


def test_all_who_wait_for_a_workspace_hear_of_its_end(scenario: Scenario, minimal: Template) -> None:
    transport = scenario.cloud.implementation.capabilities.transports[0]
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)

    def wait() -> float:
        tenant.api.settled(workspace.id, within=scenario.cloud.implementation.timing.settle)
        return time.monotonic()

    with scenario.fetches_held(published, transport) as hold, ThreadPoolExecutor() as callers:
        workspace = tenant.create(published, transport=transport)
        hold.await_first(timeout=30)
        waits = {f"caller {number}": callers.submit(wait) for number in (1, 2)}
        workspace.wait_for(1.0)  # who goes when his time is up takes nobody with him
        waits["caller 3"] = callers.submit(wait)
        time.sleep(NOTICE)
        scenario.proven("callers waited for a boot", sum(not each.done() for each in waits.values()))
        hold.release()
        heard = {who: each.result() for who, each in waits.items()}

    first = min(heard.values())
    late = {who: moment - first for who, moment in heard.items()}
    scenario.judge(observability.obs_2_all_who_wait_hear_of_the_end, late)
    workspace.booted("provision")


def test_a_malformed_request_is_refused_by_the_name_of_the_field(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    workspace = tenant.provision(published)
    fields: dict[str, Callable[[Any], object]] = {
        "template": tenant.api.create,
        "transport": lambda value: tenant.api.create(f"{published.name}@main", transport=value),
        CREDENTIAL_FIELD: lambda value: scenario.cloud.lifecycle.put_tenant(
            tenant.name, {CREDENTIAL_FIELD: value}
        ),
    }
    if scenario.cloud.implementation.capabilities.snapshots:
        fields["snapshot"] = lambda value: tenant.api.restore(workspace.id, value)

    refusals = {field: refusal_of(partial(ask, ["no", "such", "value"])) for field, ask in fields.items()}

    there = [str(each["id"]) for each in tenant.api.list()]
    scenario.judge(
        observability.obs_2_a_malformed_request_is_refused_by_name_and_changes_nothing,
        refusals, workspace.document, workspace.now(), there,
    )  # fmt: skip
    workspace.restart()


def test_an_unknown_workspace_is_a_404(scenario: Scenario) -> None:
    tenant = scenario.tenant()
    unknown = f"ws-{'0' * 32}"

    scenario.judge(observability.obs_2_an_unknown_workspace_is_named, unknown, tenant.refusals(unknown))


def test_a_path_that_ends_where_a_name_belongs_is_a_404(scenario: Scenario) -> None:
    """As every unknown path is: no redirect to the one that is left without its last slash."""
    refusal = refusal_of(partial(scenario.cloud.lifecycle.delete_tenant, ""))

    scenario.judge(
        observability.obs_2_a_refusal_names_what_is_wrong,
        "the deletion of a tenant without a name", refusal, 404, "",
    )  # fmt: skip


def test_a_caller_without_a_good_token_is_told_so(scenario: Scenario) -> None:
    stranger = scenario.cloud.lifecycle.tenancy("a-token-that-nobody-was-given")

    refusal = refusal_of(stranger.list)

    scenario.judge(
        observability.obs_2_a_refusal_names_what_is_wrong, "list with an unknown token", refusal, 401, "token"
    )
