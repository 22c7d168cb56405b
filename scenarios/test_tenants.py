"""Tenants are strangers to each other, however much their names and the ids of their workspaces look alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from harness.contract.lifecycle import Lifecycle, Refused, refusal_of
from harness.oracle import boundary, isolation, observability
from harness.scenario.old_world import OldWorkspace, new_workspace_id, old_world, secret_state
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.scenario.tenant import Tenant, unique_name
from harness.templates.model import SKILLS, Template


def test_a_tenant_cannot_touch_the_workspace_of_another(scenario: Scenario, minimal: Template) -> None:
    """Whichever of their names comes first."""
    published = scenario.publish(minimal)
    name = unique_name("tenant")
    owner = scenario.tenant(published, name=f"{name}-m")
    strangers = [scenario.tenant(published, name=f"{name}-{where}") for where in "az"]
    workspace = owner.provision(published)

    for stranger in strangers:
        refusals = stranger.refusals(workspace.id)

        scenario.judge(isolation.iso_1_a_stranger_is_refused, refusals, workspace.document, workspace.now())
        scenario.judge(
            isolation.iso_1_a_list_shows_ones_own_workspaces_alone, listed(stranger), [], [workspace.id]
        )
    scenario.judge(isolation.iso_1_a_list_shows_ones_own_workspaces_alone, listed(owner), [workspace.id], [])


def test_the_operators_part_is_closed_to_tenants(scenario: Scenario) -> None:
    tenants = tenant, other = scenario.tenant(), scenario.tenant()
    names = [each.secret_name for each in tenants]
    before = {name: secret_state(scenario, name) for name in names}

    for who, token, status in (("a tenant", tenant.token, 403), ("nobody", "a-token-of-nobody", 401)):
        refusals = refusals_of_the_operators_verbs(scenario.cloud.lifecycle.asked_with(token), other)

        after = {name: secret_state(scenario, name) for name in names}
        scenario.judge.step = f"the operator's verbs, asked for by {who}"
        scenario.judge(
            isolation.iso_1_the_operators_part_is_closed_to_others, refusals, status, before, after
        )


def test_the_end_of_a_tenant_leaves_every_other(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    tenant, leaving = scenario.tenant(published), scenario.tenant(published)
    workspace = tenant.provision(published)

    leaving.leave()

    scenario.judge(
        isolation.iso_2_the_end_of_one_leaves_the_other,
        workspace.document, workspace.try_now(), workspace.card is not None,
    )  # fmt: skip
    workspace.restart()
    tenant.provision(published)


def test_a_machine_reads_its_own_bootstrap_secret_and_no_other(scenario: Scenario, minimal: Template) -> None:
    """Also where the name of one tenant is how the name of the other begins."""
    published = scenario.publish(minimal)
    name = unique_name(f"acme-{'x' * 25}")
    tenants = scenario.tenant(published, name=name), scenario.tenant(published, name=f"{name}-2")
    workspaces = [tenant.create(published) for tenant in tenants]
    for workspace in workspaces:
        workspace.booted("provision")

    for workspace, neighbour in zip(workspaces, reversed(tenants), strict=True):
        attempts = workspace.try_secrets(own=workspace.tenant.secret_name, other=neighbour.secret_name)

        scenario.judge(boundary.bnd_8_a_machine_reads_its_own_bootstrap_secret_and_no_other, attempts)


def test_a_private_template_is_delivered_to_no_tenant_whose_token_does_not_read_it(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    """Not even when the very same version was delivered to another tenant before."""
    private, other = scenario.publish(minimal), scenario.publish(minimal)
    owner, stranger, poor = scenario.tenant(private), scenario.tenant(other), scenario.tenant()
    owner.provision(private, transport=transport)

    workspaces = [tenant.create(private, transport=transport) for tenant in (stranger, poor)]
    for workspace in workspaces:
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(isolation.iso_1_a_private_template_is_delivered_to_nobody_else, seen)


def test_a_new_tenant_has_nothing_of_a_former_one_of_its_name(scenario: Scenario, minimal: Template) -> None:
    """Neither its token nor what was published with it. As long as the former one has workspaces, it stays."""
    transports = scenario.cloud.implementation.capabilities.transports
    stored = "object" in transports
    private, public = scenario.publish(minimal), scenario.publish(minimal, private=False)
    former = scenario.tenant(private)
    workspace = former.provision(private, transport="object" if stored else None)
    objects = scenario.objects_read_by(workspace)
    scenario.judge(
        observability.obs_2_a_refusal_names_what_is_wrong,
        "the deletion of a tenant that has a workspace", refusal_of(former.leave), 409, "workspace",
    )  # fmt: skip
    former.purge()
    former.leave()

    poor = scenario.tenant(name=former.name)
    workspaces = [poor.create(private, transport=transport) for transport in transports]
    for workspace in workspaces:
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(isolation.iso_1_a_private_template_is_delivered_to_nobody_else, seen)
    if stored:
        attempts = poor.provision(public, transport="object").try_objects(objects)
        scenario.judge(isolation.iso_1_what_was_published_for_a_former_tenant_nobody_reads, attempts)


def test_a_machine_cannot_read_what_is_published_for_another_tenant(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs_transport("object")
    published = scenario.publish(minimal)
    owner = scenario.tenant(published).provision(published, transport="object")
    stranger = scenario.tenant(published).create(published, transport="object")
    stranger.settled("provision")

    attempts = stranger.try_objects(scenario.objects_read_by(owner))

    scenario.judge(isolation.iso_1_what_is_published_for_one_tenant_no_other_reads, attempts)


def test_an_adoption_takes_neither_id_nor_volume_of_another_tenants_workspace(
    scenario: Scenario, minimal: Template
) -> None:
    """Whichever of their names comes first."""
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        name = unique_name("tenant")
        owner = scenario.tenant(published, name=f"{name}-m")
        strangers = [scenario.tenant(published, name=f"{name}-{where}") for where in "az"]
        before = old.workspace(files={"configs/MEMORY.md": b"mine\n"})
        workspace = before.adopted_by(owner, published)
        same_volume = OldWorkspace(old, new_workspace_id(), before.volume_id)

        for stranger in strangers:
            refusals = {
                "its id": refusal(before, stranger, published),
                "its volume": refusal(same_volume, stranger, published),
            }

            scenario.judge(
                isolation.iso_1_an_adoption_takes_nothing_of_another,
                refusals, workspace.document, workspace.now(),
            )  # fmt: skip


def test_workspaces_whose_ids_share_all_but_the_last_character_share_nothing(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        prefix = f"ws-{secrets.token_hex(16)[:-1]}"
        workspaces = [
            old.workspace(
                config=minimal.files["config.yaml"].content + f"env: {{OF: {which}}}\n".encode(),
                workspace=f"{prefix}{which}",
            ).adopted_by(tenant, published)
            for which in "01"
        ]
        for workspace in workspaces:
            workspace.config_is_the_users = True
        before = [workspace.ask_to_start() for workspace in workspaces]
        for workspace, previous in zip(workspaces, before, strict=True):
            workspace.booted("resume", previous)
        one, other = workspaces
        one.edit("prompts/mine.md", b"Of the first alone.\n")
        skill = minimal.named_skills()[0]
        manual = f"{SKILLS}/{skill}/SKILL.md"
        other.edit(manual, minimal.files[manual].content + b"\nOf the second alone.\n")

        before = [workspace.ask_to_restart() for workspace in workspaces]
        seen = [
            workspace.booted("restart", previous)
            for workspace, previous in zip(workspaces, before, strict=True)
        ]

        scenario.judge(isolation.iso_2_nothing_is_shared, *seen)
        known = other.now()
        tenant.api.delete(one.id, purge=True)
        tenant.api.settled(one.id, within=scenario.cloud.implementation.timing.settle)
        scenario.judge(
            isolation.iso_2_the_end_of_one_leaves_the_other,
            known, other.now(), other.card is not None,
        )  # fmt: skip


def listed(tenant: Tenant) -> list[str]:
    return [str(document["id"]) for document in tenant.api.list()]


def refusals_of_the_operators_verbs(operator: Lifecycle, tenant: Tenant) -> dict[str, Refused | None]:
    verbs: dict[str, Callable[[], object]] = {
        "put": partial(operator.put_tenant, tenant.name, {"db_password": "another"}),
        "delete": partial(operator.delete_tenant, tenant.name),
    }
    if tenant.cloud.implementation.capabilities.migration:
        verbs["adopt"] = partial(
            operator.adopt, tenant.name, new_workspace_id(), "a/b@main", transport=None, volume=None
        )
        verbs["sweep"] = partial(operator.sweep, dry_run=True)
    return {verb: refusal_of(act) for verb, act in verbs.items()}


def refusal(old: OldWorkspace, tenant: Tenant, published: Published) -> Refused | None:
    """The refusal of an adoption; None where it was done."""
    return refusal_of(partial(old.adopted_by, tenant, published))
