"""A workspace is provisioned for the first time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.contract.lifecycle import Refused
from harness.oracle import channel, failing, reconcile, skills
from harness.oracle.seen import CONFIGS
from harness.scenario.published import Nowhere
from harness.scenario.scenario import Scenario
from harness.templates.model import CONFIG, SKILLS, Template
from harness.world.template_host.misbehaviour import Fail, Misbehaviour, Unreachable

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


def test_a_template_that_lists_no_skills_enables_each_of_its_folders_and_no_page_beside_them(
    scenario: Scenario, minimal: Template
) -> None:
    unlisted = minimal.files[CONFIG].content.partition(b"skills:")[0]
    second = b"---\nname: agenda\ndescription: Plans a meeting.\n---\n\nAsk what it is for.\n"
    template = (
        minimal.with_file(CONFIG, unlisted)
        .with_file(f"{SKILLS}/agenda/SKILL.md", second)
        .with_file(f"{SKILLS}/README.md", b"# The skills of this agent\n\nOne folder each.\n")
    )
    published = scenario.publish(template)

    scenario.tenant(published).provision(published)


def test_a_skill_that_is_named_and_not_there_is_named_by_the_error(
    scenario: Scenario, minimal: Template
) -> None:
    config = minimal.files[CONFIG].content + b"  - nowhere\n"
    published = scenario.publish(minimal.with_file(CONFIG, config))
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(skills.skl_2_a_named_skill_that_is_not_there_is_named_by_the_error, seen, "nowhere")


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
    with scenario.fetches_held(published, transport) as hold:
        workspace = scenario.tenant(published).create(published, transport=transport)
        hold.await_first(timeout=30)
        document = workspace.now()
        there = [path for path in workspace.files if path.startswith(f"{CONFIGS}/")]
        answering = workspace.card is not None
        hold.release()
        scenario.proven("the fetch was kept waiting", hold.hits)
        scenario.judge(
            reconcile.rec_5_the_agent_waits_for_reconcile, str(document["status"]), answering, len(there)
        )
        workspace.booted("provision")


@pytest.mark.parametrize("unknown", ["repository", "ref", "commit", "tree"])
def test_an_unknown_template_fails_by_name(
    scenario: Scenario, minimal: Template, transport: str, unknown: str
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    if unknown == "repository":
        named, workspace = Nowhere.name, tenant.create(Nowhere(), transport=transport)
    else:
        refs = {"commit": "0123456789" * 4, "tree": published.repository.find_tree("main")}
        named = refs.get(unknown) or "no-such-branch"
        workspace = tenant.create(published, ref=named, transport=transport)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(channel.chn_3_an_unknown_template_is_an_error_that_names_it, seen, named)


def test_a_branchs_name_with_a_slash_behind_it_is_malformed_or_unknown(
    scenario: Scenario, minimal: Template
) -> None:
    published, ref = scenario.publish(minimal), "main/"
    tenant = scenario.tenant(published)
    for transport in scenario.cloud.implementation.capabilities.transports:
        mark = scenario.cloud.mark()
        try:
            workspace = tenant.create(published, ref=ref, transport=transport)
        except Refused as refusal:
            scenario.judge(
                channel.chn_2_a_malformed_identity_is_refused_before_any_request,
                f"{published.name}@{ref}",
                ("ref",),
                refusal,
                scenario.cloud.calls_since(mark),
                scenario.cloud.template_requests_since(mark),
            )
            continue
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(channel.chn_3_an_unknown_template_is_an_error_that_names_it, seen, ref)


@pytest.mark.each_choice("fault", FAULTS)
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
    workspace.restart()


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
