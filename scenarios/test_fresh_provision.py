"""A workspace is provisioned for the first time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.contract.lifecycle import Refused, Tenancy
from harness.oracle import boundary, channel, failing, isolation, reconcile, skills
from harness.oracle.seen import CONFIGS
from harness.scenario.published import Nowhere
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import agent_card
from harness.templates import with_generated_skill
from harness.templates.model import Template
from harness.world.template_host.misbehaviour import Fail, Hold, Misbehaviour, Unreachable

MALFORMED = {
    "": ("owner", "repository", "ref"),
    "acme": ("repository", "ref"),
    "acme/agent": ("ref",),
    "acme/agent@": ("ref",),
    "/agent@main": ("owner",),
    "acme/@main": ("repository",),
    "acme/agent@main@again": ("ref",),
    "../agent@main": ("owner",),
    "acme/..@main": ("repository",),
    "acme/agent/more@main": ("repository",),
    "acme/agent@../../main": ("ref",),
    "acme/agent@-upload-pack=sh": ("ref",),
    "-acme/agent@main": ("owner",),
    "acme/agent@ma\nin": ("ref",),
    "acme/ag\x00ent@main": ("repository",),
}
VERBS = ("get", "restart", "stop", "start", "delete")
FAULTS: dict[str, Callable[[], Misbehaviour]] = {
    "error 500": lambda: Fail(500),
    "forbidden": lambda: Fail(403),
    "unreachable": Unreachable,
}


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


@pytest.mark.parametrize("size", [65_537, 262_145])
def test_a_skill_beyond_the_old_caps_arrives_whole(
    scenario: Scenario, minimal: Template, transport: str, size: int
) -> None:
    published = scenario.publish(with_generated_skill(minimal, "large-library", size=size))
    workspace = scenario.tenant(published).provision(published, transport=transport)
    scenario.judge(skills.skl_6_a_large_asset_set_is_delivered_whole, workspace.look("provision"))


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated tag", "commit"])
def test_a_ref_of_any_kind_resolves(scenario: Scenario, minimal: Template, transport: str, kind: str) -> None:
    published = scenario.publish(minimal)
    commit = published.publish(minimal.with_file("system-prompt.md", b"The second edition.\n"))
    published.publish(minimal.with_file("system-prompt.md", b"The third edition.\n"))
    repository = published.repository
    match kind:
        case "branch":
            repository.branch("release/2.x", commit)
            ref = "release/2.x"
        case "tag":
            repository.tag("v2.0.0", commit)
            ref = "v2.0.0"
        case "annotated tag":
            repository.tag("v2.0.1", commit, message="The second edition")
            ref = "v2.0.1"
        case _:
            ref = commit

    workspace = scenario.tenant(published).provision(published, ref=ref, transport=transport)

    scenario.judge(channel.chn_4_the_ref_resolves_to_its_commit, workspace.look("provision"))


def test_the_agent_waits_for_reconcile(scenario: Scenario, minimal: Template, transport: str) -> None:
    published = scenario.publish(minimal)
    hold = Hold()
    with scenario.cloud.template_host.intercept(published.name, hold):
        workspace = scenario.tenant(published).create(published, transport=transport)
        hold.await_first(timeout=30)
        document = workspace.now()
        there = [path for path in workspace.files if path.startswith(f"{CONFIGS}/")]
        answering = agent_card(workspace.machine) is not None
        hold.release()
        scenario.proven("the template host kept the fetch waiting", hold.hits)
        scenario.judge(
            reconcile.rec_5_the_agent_waits_for_reconcile, str(document["status"]), answering, len(there)
        )
        workspace.booted("provision")


@pytest.mark.parametrize("unknown", ["repository", "ref"])
def test_an_unknown_template_fails_by_name(
    scenario: Scenario, minimal: Template, transport: str, unknown: str
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    if unknown == "ref":
        named, workspace = (
            "no-such-branch",
            tenant.create(published, ref="no-such-branch", transport=transport),
        )
    else:
        named, workspace = Nowhere.name, tenant.create(Nowhere(), transport=transport)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(channel.chn_3_an_unknown_template_is_an_error_that_names_it, seen, named)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_template_host_that_fails_leaves_no_stub(
    scenario: Scenario, minimal: Template, transport: str, fault: str
) -> None:
    published = scenario.publish(minimal)
    misbehaviour = FAULTS[fault]()
    with scenario.cloud.template_host.intercept(published.name, misbehaviour):
        workspace = scenario.tenant(published).create(published, transport=transport)
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")

    scenario.proven(f"the template host: {fault}", misbehaviour.hits)
    scenario.judge(failing.fail_1_a_failed_first_fetch_leaves_no_stub_and_no_agent, seen)


@pytest.mark.parametrize("identity", MALFORMED)
def test_a_malformed_identity_is_refused_by_name(scenario: Scenario, identity: str) -> None:
    tenant = scenario.tenant()
    mark = scenario.cloud.mark()

    refusal = tenant.try_to_create(identity)

    scenario.judge(
        channel.chn_2_a_malformed_identity_is_refused_before_any_request,
        identity,
        MALFORMED[identity],
        refusal,
        scenario.cloud.calls_since(mark),
        scenario.cloud.template_requests_since(mark),
    )


def test_a_machine_reads_its_own_bootstrap_secret_and_no_other(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    tenant, neighbour = scenario.tenant(published), scenario.tenant(published)
    workspace = tenant.provision(published)

    attempts = workspace.try_secrets(own=tenant.secret_name, other=neighbour.secret_name)

    scenario.judge(boundary.bnd_8_a_machine_reads_its_own_bootstrap_secret_and_no_other, attempts)


def test_a_tenant_cannot_touch_the_workspace_of_another(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    owner, stranger = scenario.tenant(published), scenario.tenant(published)
    workspace = owner.provision(published)

    refusals = {verb: refused(stranger.api, verb, workspace.id) for verb in VERBS}

    scenario.judge(isolation.iso_1_a_stranger_is_refused, refusals, workspace.document, workspace.now())


def test_an_unknown_workspace_is_a_404(scenario: Scenario) -> None:
    tenant = scenario.tenant()
    unknown = f"ws-{'0' * 32}"

    refusals = {verb: refused(tenant.api, verb, unknown) for verb in VERBS}

    scenario.judge(isolation.obs_2_an_unknown_workspace_is_named, unknown, refusals)


def refused(api: Tenancy, verb: str, workspace: str) -> Refused | None:
    """The refusal of a verb; None where it was done."""
    try:
        getattr(api, verb)(workspace)
    except Refused as refusal:
        return refusal
    return None
