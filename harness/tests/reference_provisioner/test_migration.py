"""Adoption and the sweep, as an operator meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.reference.provisioner.store import delivery_verified, open_store, verify_delivery

from .lab import PATIENCE, Lab, Machine, Tenant

OLD = "ws-" + "a" * 31
CONFIG = "name: Mine\n"
TEMPLATE = "acme/helper@main"


def adopt(
    lab: Lab, workspace: str, *, tenant: str = "acme", status: int = 200, **body: Any
) -> dict[str, Any]:
    answer = lab.operate(
        "PUT", f"/tenants/{tenant}/workspaces/{workspace}", {"template": TEMPLATE, "volume": None, **body}
    )
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def sweep(lab: Lab, *, dry_run: bool = False) -> dict[str, Any]:
    answer = lab.operate("POST", "/sweep", {"dry_run": dry_run})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def secret_of(workspace: str) -> str:
    return f"molecule/workspace/{workspace}/config"


def keep_config(lab: Lab, *workspaces: str, text: str = CONFIG) -> None:
    for workspace in workspaces:
        lab.aws.client("secretsmanager").create_secret(Name=secret_of(workspace), SecretString=text)


def volume(lab: Lab) -> str:
    zone = f"{lab.aws.region}a"
    return str(lab.aws.client("ec2").create_volume(AvailabilityZone=zone, Size=1)["VolumeId"])


def start(tenant: Tenant, workspace: str) -> dict[str, Any]:
    tenant.ask("start", workspace)
    return tenant.settled(workspace)


def asked(machine: Machine, **changes: Any) -> Any:
    body = {
        "workspace": machine.workspace,
        "boot_sequence": machine.sequence,
        "identity_proof": machine.proof(),
    } | changes
    return machine.lab.http.post(f"{machine.lab.provisioner.url}/registry/legacy-config", json=body)


def test_an_adopted_workspace_is_stopped_until_it_is_started_on_its_own_volume(lab: Lab) -> None:
    tenant, kept, new = lab.tenant(), OLD + "1", OLD + "2"
    given = volume(lab)

    first = adopt(lab, kept, volume=given)
    assert (first["status"], first["volume"], first["boot"]) == ("stopped", given, None)
    assert adopt(lab, kept, volume=given) == first
    adopt(lab, new)

    assert start(tenant, kept)["status"] == "online"
    assert start(tenant, new)["status"] == "online"
    assert tenant.shown(kept)["volume"] == given
    assert lab.volumes(kept) == [given]
    assert [boot.user_data["boot"]["reason"] for boot in lab.booted] == ["resume", "resume"]
    assert adopt(lab, kept, volume=given)["status"] == "online"

    tenant.delete(kept, purge=True)
    assert tenant.settled(kept)["status"] == "deleted"
    assert lab.volumes(kept) == []
    assert adopt(lab, kept, volume=given, status=409)["code"] == "workspace-exists"


def test_what_cannot_be_adopted_is_refused_by_name(lab: Lab) -> None:
    tenant = lab.tenant()
    lab.tenant("rival")
    given = volume(lab)
    adopt(lab, OLD + "1", volume=given)
    lab.play = lambda machine: machine.register().raise_for_status()
    made = tenant.settled(tenant.create())

    def refused(workspace: str, status: int, **body: Any) -> str:
        return str(adopt(lab, workspace, status=status, **body)["code"])

    assert refused(OLD + "2", 404, tenant="nobody") == "tenant-unknown"
    assert refused(OLD + "2", 404, volume="vol-0123456789abcdef0") == "volume-unknown"
    assert refused(OLD + "2", 404, volume="vol-odd") == "volume-unknown"
    assert refused(OLD + "2", 409, volume=given) == "volume-taken"
    assert refused(OLD + "2", 409, volume=made["volume"]) == "volume-taken"
    assert refused(OLD + "1", 409, tenant="rival", volume=given) == "workspace-exists"
    assert refused(OLD + "1", 409, volume=None) == "workspace-exists"
    assert refused(made["id"], 409) == "workspace-exists"
    assert refused("ws-short", 422) == "request-malformed"
    assert refused(OLD + "2", 422, volume="sda1") == "request-malformed"
    assert refused(OLD + "2", 422, template="acme/helper") == "identity-malformed"
    assert tenant.call("PUT", f"/tenants/acme/workspaces/{OLD}3", {"template": TEMPLATE}).status_code == 403
    assert tenant.call("POST", "/sweep", {"dry_run": True}).status_code == 403
    assert lab.operate("POST", "/sweep", {}).status_code == 422


def test_only_the_current_machine_of_a_workspace_on_its_way_is_given_the_old_config(lab: Lab) -> None:
    tenant, rival = lab.tenant(), lab.tenant("rival")
    keep_config(lab, OLD + "1", OLD + "2")
    adopt(lab, OLD + "1")
    stranger = lab.unregistered(rival)
    calls = lab.aws.calls.mark()
    tenant.ask("start", OLD + "1")
    lab.aws.calls.wait("ec2:AttachVolume", since=calls, timeout=PATIENCE)
    machine = lab.booted[-1]

    assert machine.user_data["legacy_config"] is True
    assert "legacy_config" not in stranger.user_data
    assert asked(machine).json() == {"config": CONFIG}
    assert asked(machine, identity_proof=stranger.proof()).json()["code"] == "identity-unproven"
    assert asked(machine, boot_sequence=2).json()["code"] == "boot-not-current"
    assert asked(machine, workspace=OLD + "2").json()["code"] == "workspace-unknown"
    assert asked(stranger).json() == {"config": None}

    machine.register().raise_for_status()
    tenant.settled(OLD + "1")
    assert asked(machine).json() == {"config": None}
    tenant.ask("restart", OLD + "1")
    lab.play = lambda machine: machine.register().raise_for_status()
    lab.booted[-1].register()
    assert tenant.settled(OLD + "1")["boot"]["sequence"] == 2
    assert "legacy_config" not in lab.booted[-1].user_data


def test_a_config_secret_that_is_not_there_is_no_error(lab: Lab) -> None:
    tenant = lab.tenant()
    adopt(lab, OLD + "1")
    answers: list[Any] = []

    def play(machine: Machine) -> None:
        answers.append(asked(machine).json())
        machine.register().raise_for_status()

    lab.play = play
    start(tenant, OLD + "1")
    assert answers == [{"config": None}]


def test_the_sweep_takes_what_was_delivered_and_keeps_the_rest_with_a_reason(lab: Lab) -> None:
    tenant = lab.tenant()
    delivered, waiting, failed, unknown = (OLD + digit for digit in "1234")
    keep_config(lab, delivered, waiting, failed, unknown)
    beside = [
        "molecule/workspace/config",
        f"molecule/workspace/{delivered}/config/more",
        f"old/{secret_of(delivered)}",
    ]
    secrets = lab.aws.client("secretsmanager")
    for name in beside:
        secrets.create_secret(Name=name, SecretString="x")
    for workspace in (delivered, waiting, failed):
        adopt(lab, workspace)
    assert start(tenant, delivered)["status"] == "online"
    error = {"code": "archive-corrupt", "message": "cut", "hint": "again"}
    lab.play = lambda machine: machine.register(
        machine.report(outcome="failed", error=error), agent_card=None, agent_url=None
    )
    assert start(tenant, failed)["status"] == "failed"
    kept = {secret_of(waiting), secret_of(failed), secret_of(unknown)}

    for dry_run, swept in ((True, [secret_of(delivered)]), (False, [secret_of(delivered)]), (False, [])):
        answer = sweep(lab, dry_run=dry_run)
        assert answer["dry_run"] is dry_run
        assert answer["swept"] == swept
        reasons = {each["secret"]: each["reason"].partition(":")[0] for each in answer["kept"]}
        assert reasons == {
            secret_of(waiting): "delivery-unverified",
            secret_of(failed): "delivery-unverified",
            secret_of(unknown): "workspace-unknown",
        }
        deleted = lab.aws.calls.find("secretsmanager:DeleteSecret")
        assert len(deleted) == (0 if dry_run else 1)

    (deletion,) = deleted
    assert deletion.parameters["RecoveryWindowInDays"] == 30
    left = {each["Name"] for each in secrets.list_secrets(MaxResults=100)["SecretList"]}
    assert kept | set(beside) | {"molecule/tenant/acme/bootstrap"} == left
    secrets.restore_secret(SecretId=secret_of(delivered))
    assert secrets.get_secret_value(SecretId=secret_of(delivered))["SecretString"] == CONFIG


def test_the_sweep_reads_to_the_end_of_a_long_list(lab: Lab) -> None:
    workspaces = [f"ws-{number:032x}" for number in range(130)]
    keep_config(lab, *workspaces)

    answer = sweep(lab)

    assert [each["secret"] for each in answer["kept"]] == [secret_of(workspace) for workspace in workspaces]


@pytest.mark.parametrize("outcome", ["degraded", "failed"])
def test_a_boot_that_is_not_ready_verifies_nothing(lab: Lab, outcome: str) -> None:
    tenant = lab.tenant()
    keep_config(lab, OLD + "1")
    adopt(lab, OLD + "1")
    error = {"code": "template-host-unreachable", "message": "no", "hint": "again"}
    lab.play = lambda machine: machine.register(machine.report(outcome=outcome, error=error))
    assert start(tenant, OLD + "1")["status"] == outcome
    assert sweep(lab)["swept"] == []

    lab.play = lambda machine: machine.register().raise_for_status()
    tenant.ask("restart", OLD + "1")
    assert tenant.settled(OLD + "1")["status"] == "online"
    assert sweep(lab)["swept"] == [secret_of(OLD + "1")]


def test_a_database_from_before_there_was_migration_gets_what_it_lacks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'provisioner.sqlite3'}"
    store = open_store(url)
    with store.writing() as connection:
        for table in ("adoptions", "deliveries"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    store.close()

    store = open_store(url)
    with store.writing() as connection:
        assert not delivery_verified(connection, OLD + "1")
        for _ in range(2):
            verify_delivery(connection, OLD + "1")
        assert delivery_verified(connection, OLD + "1")
    store.close()
