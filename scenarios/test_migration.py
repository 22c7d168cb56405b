"""Workspaces of the design before this one, whose config rode in a secret of its own, are taken over."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import yaml

from harness.contract.lifecycle import Refused
from harness.oracle import boundary, migration, observability, reconcile
from harness.oracle.migration import SecretState
from harness.scenario.old_world import AdoptedWorkspace, OldWorld, old_world, secret_state
from harness.scenario.scenario import Scenario
from harness.scenario.tenant import Tenant
from harness.templates.model import CONFIG, Template
from harness.world.cloud import PROVISIONER
from harness.world.template_host.misbehaviour import Fail

ON_VOLUME = f"configs/{CONFIG}"
OF_THE_AGENT = {
    "configs/MEMORY.md": b"The user likes short answers.\n",
    "workspace/report.csv": b"page,score\n",
}
OWN_SKILL = {
    "configs/agent-skills/my-own/SKILL.md": b"---\nname: my-own\ndescription: Mine.\n---\n\nDo as I do.\n"
}
STUB = (
    b"name: agent\ndescription: Default agent\nversion: 1.0.0\ntier: standard\nruntime: claude-code\n"
    b"model: claude-sonnet\nruntime_config:\n  timeout: 300\nskills: []\n"
)
ERROR_BODY = b'{"message": "Not Found"}\n'
EDITS = {"description": "What the user made of it.", "runtime_config.timeout": 1234, "env.LEVEL": "debug"}
"""Of config.yaml, by dotted key. No fallback writes the last one."""


def edited(template: Template, level: str = "debug", skills: Sequence[str] = ()) -> bytes:
    """The template's config as a user left it, who named some skills more."""
    config: dict[str, Any] = dict(template.config)
    config["description"] = EDITS["description"]
    config["runtime_config"] = {
        **config.get("runtime_config", {}),
        "timeout": EDITS["runtime_config.timeout"],
    }
    config["env"] = {"LEVEL": level}
    config["skills"] = [*template.named_skills(), *skills]
    return b"# mine\n" + yaml.safe_dump(config, sort_keys=False).encode()


def start_all(*workspaces: AdoptedWorkspace) -> None:
    """Side by side; each is judged as any boot is."""
    before = [workspace.ask_to_start() for workspace in workspaces]
    for workspace, previous in zip(workspaces, before, strict=True):
        workspace.booted("resume", previous)


def bootstrap_secrets(scenario: Scenario, *tenants: Tenant) -> dict[str, SecretState]:
    states = {tenant.secret_name: secret_state(scenario, tenant.secret_name) for tenant in tenants}
    return {name: state for name, state in states.items() if state}


def test_values_that_live_only_in_the_config_secret_are_kept(scenario: Scenario, minimal: Template) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        config = edited(minimal)
        workspaces = [
            old.workspace(config=config, files=files).adopted_by(tenant, published)
            for files in (None, OF_THE_AGENT, {ON_VOLUME: STUB}, {ON_VOLUME: ERROR_BODY, **OF_THE_AGENT})
        ]
        secrets = old.secrets()
        for workspace in workspaces:
            workspace.config_is_the_users = True

        start_all(*workspaces)

        for workspace in workspaces:
            scenario.judge(migration.mig_1_the_edited_values_are_kept, workspace.look("resume"), EDITS)
        scenario.judge(migration.mig_4_a_rollback_finds_the_secret_as_it_was, secrets, old.secrets())

        first = workspaces[0]
        before = first.files
        seen = first.restart()

        scenario.judge(migration.mig_1_the_edited_values_are_kept, seen, EDITS)
        scenario.judge(reconcile.rec_2_nothing_was_written, before, seen)


def test_an_edited_config_on_an_old_volume_counts_before_the_secret(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        on_volume = {ON_VOLUME: edited(minimal), **OF_THE_AGENT}
        before = [
            old.workspace(config=config, files=files)
            for config, files in (
                (None, on_volume),
                (edited(minimal, level="of the secret"), on_volume),
                (edited(minimal, skills=["my-own"]), {**OF_THE_AGENT, **OWN_SKILL}),  # whose secret counts
            )
        ]
        workspaces = [each.adopted_by(tenant, published) for each in before]
        for workspace in workspaces:
            workspace.config_is_the_users = True

        start_all(*workspaces)

        for workspace in workspaces:
            scenario.judge(migration.mig_1_the_edited_values_are_kept, workspace.look("resume"), EDITS)
        skills = {"skills": [*minimal.named_skills(), "my-own"]}
        scenario.judge(migration.mig_1_the_edited_values_are_kept, workspaces[2].look("resume"), skills)
        scenario.judge.step = "the sweep (dry run) after their deliveries"
        scenario.judge(
            migration.mig_3_the_sweep_says_what_goes_and_why_the_rest_stays,
            scenario.cloud.lifecycle.sweep(dry_run=True), True,
            [each.secret_name for each in before[1:]], [],
        )  # fmt: skip


def test_a_config_secret_that_no_user_wrote_is_not_carried_over(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        workspaces = [
            old.workspace(config=config, files=files).adopted_by(tenant, published)
            for config, files in (
                (STUB, {ON_VOLUME: STUB}),
                (ERROR_BODY, None),
                (b"name: [unclosed\n", OF_THE_AGENT),
                (None, None),
            )
        ]

        start_all(*workspaces)

        for workspace in workspaces:
            scenario.judge(migration.mig_1_what_no_user_wrote_is_not_carried_over, workspace.look("resume"))


def test_a_credential_in_a_config_secret_does_not_land_on_the_volume(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        credential, tunnel = (tenant.canaries[field].value for field in ("db_password", "tunnel_token"))
        readable, unreadable = yaml.safe_dump({"database": credential}), f"tunnel: [{json.dumps(tunnel)}\n"
        escaped = 'database: "' + "".join(rf"\x{ord(each):02x}" for each in credential) + '"\n'
        encoded = f"database: {b64encode(credential.encode()).decode()}\n"
        workspaces = [
            old.workspace(config=edited(minimal) + line.encode(), files=files).adopted_by(tenant, published)
            for line, files in (
                (readable, OF_THE_AGENT),
                (unreadable, OF_THE_AGENT),
                (readable, {ON_VOLUME: edited(minimal), **OF_THE_AGENT}),
                (escaped, OF_THE_AGENT),
                (encoded, {ON_VOLUME: edited(minimal), **OF_THE_AGENT}),
            )
        ]

        before = [workspace.ask_to_start() for workspace in workspaces]
        for workspace, previous in zip(workspaces, before, strict=True):
            with workspace.expecting_trouble():
                seen = workspace.booted("resume", previous)
            scenario.judge(boundary.bnd_3_no_secret_on_the_volume, seen)
            scenario.judge(boundary.bnd_4_no_secret_in_what_is_said, seen)


def test_a_rollback_before_the_sweep_finds_the_config_secret_as_it_was(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published = scenario.publish(minimal)
        tenant = scenario.tenant(published)
        workspace = old.workspace(config=edited(minimal), files=OF_THE_AGENT).adopted_by(tenant, published)
        workspace.config_is_the_users = True
        secrets = old.secrets()

        scenario.judge(migration.mig_1_the_edited_values_are_kept, workspace.start(), EDITS)
        workspace.edit(CONFIG, edited(minimal, level="of today"))
        workspace.restart()
        workspace.stop()
        scenario.cloud.lifecycle.sweep(dry_run=True)
        scenario.purge()

        scenario.judge(migration.mig_4_a_rollback_finds_the_secret_as_it_was, secrets, old.secrets())


def test_the_sweep_takes_a_config_secret_only_after_a_verified_delivery(
    scenario: Scenario, minimal: Template
) -> None:
    with old_world(scenario) as old:
        published, gone = scenario.publish(minimal), scenario.publish(minimal)
        tenant = scenario.tenant(published, gone)
        config = edited(minimal)
        verified, waiting, failed, unknown = (old.workspace(config=config) for _ in range(4))
        old.secret(f"{verified.secret_name}/of-somebody-else", "x")
        old.secret(f"archive/{verified.secret_name}", "x")
        ready = verified.adopted_by(tenant, published)
        ready.config_is_the_users = True
        waiting.adopted_by(tenant, published)
        broken = failed.adopted_by(tenant, gone)
        broken.config_is_the_users = True
        outage = Fail(500)
        with scenario.cloud.template_host.intercept(gone.name, outage), broken.expecting_trouble():
            before = broken.ask_to_start(), ready.ask_to_start()
            broken.booted("resume", before[0])
            ready.booted("resume", before[1])
        scenario.proven("the template host answered 500", outage.hits)

        due, staying = [verified.secret_name], [each.secret_name for each in (waiting, failed, unknown)]
        sweep_in_vain(scenario, old, [*due, *staying])

        # First a dry run, then a wet one, then another one with nothing left to do.
        for dry_run, still_due in ((True, due), (False, due), (False, [])):
            secrets = old.secrets() | bootstrap_secrets(scenario, tenant)
            scenario.judge.step = f"the sweep{' (dry run)' if dry_run else ''}"
            answer = scenario.cloud.lifecycle.sweep(dry_run=dry_run)
            after = old.secrets() | bootstrap_secrets(scenario, tenant)
            scenario.judge(
                migration.mig_3_the_sweep_says_what_goes_and_why_the_rest_stays,
                answer, dry_run, still_due, staying,
            )  # fmt: skip
            scenario.judge(
                migration.mig_3_only_what_is_due_was_deleted, secrets, after, [] if dry_run else still_due
            )

        # The one without its secret keeps its values; the one that failed is delivered to, then its secret goes too.
        before = ready.ask_to_restart(), broken.ask_to_restart()
        seen = ready.booted("restart", before[0]), broken.booted("restart", before[1])
        for each in seen:
            scenario.judge(migration.mig_1_the_edited_values_are_kept, each, EDITS)
        scenario.judge.step = "the sweep after the second delivery"
        scenario.judge(
            migration.mig_3_the_sweep_says_what_goes_and_why_the_rest_stays,
            scenario.cloud.lifecycle.sweep(dry_run=False), False,
            [failed.secret_name], [waiting.secret_name, unknown.secret_name],
        )  # fmt: skip


def sweep_in_vain(scenario: Scenario, old: OldWorld, staying: Sequence[str]) -> None:
    """AWS lets it delete nothing: the sweep fails by that name, or says of each secret why it stays."""
    scenario.judge.step = "the sweep that AWS denies"
    secrets = old.secrets()
    denial = scenario.cloud.aws.faults.deny("secretsmanager:DeleteSecret", principal=PROVISIONER)
    with denial:
        try:
            answer = scenario.cloud.lifecycle.sweep(dry_run=False)
        except Refused as refusal:
            scenario.judge(
                observability.obs_2_what_aws_refuses_is_answered_with_its_cause,
                "a sweep", refusal, ("denied", "access", "authori"), (),
            )  # fmt: skip
        else:
            scenario.judge(
                migration.mig_3_the_sweep_says_what_goes_and_why_the_rest_stays, answer, False, [], staying
            )
    scenario.proven("the secret store denied the deletion", denial.hits)
    scenario.judge(migration.mig_3_only_what_is_due_was_deleted, secrets, old.secrets(), [])
