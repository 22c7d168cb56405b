"""A provisioner that is killed anywhere goes on where it was: no orphan, no leak, no lost request (FAIL-5)."""

from __future__ import annotations

import pytest

from .lab import Lab, Tenant


def assert_online_on_one_machine(lab: Lab, tenant: Tenant, workspace: str) -> None:
    shown = tenant.settled(workspace)
    assert shown["status"] == "online", shown
    assert lab.machines(workspace) == [shown["machine"]]
    assert lab.volumes(workspace) == [shown["volume"]]


@pytest.mark.parametrize("action", ["CreateVolume", "RunInstances", "AttachVolume"])
def test_killed_in_a_provision_it_ends_with_one_machine_and_one_volume(lab: Lab, action: str) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.hold(f"ec2:{action}", moment="after") as fault:
        workspace = tenant.create()
        fault.wait(30)
        lab.provisioner.kill()
    lab.provisioner.start()

    assert_online_on_one_machine(lab, tenant, workspace)
    assert len(lab.aws.calls.find(f"ec2:{action}", where=lambda call: call.succeeded)) == 1


@pytest.mark.parametrize("action", ["TerminateInstances", "RunInstances", "AttachVolume"])
def test_killed_in_a_restart_it_ends_with_one_machine_on_the_same_volume(lab: Lab, action: str) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())
    with lab.aws.faults.hold(f"ec2:{action}", moment="after") as fault:
        tenant.ask("restart", before["id"])
        tenant.ask("restart", before["id"])
        fault.wait(30)
        lab.provisioner.kill()
    lab.provisioner.start()

    assert_online_on_one_machine(lab, tenant, before["id"])
    after = tenant.shown(before["id"])
    assert after["volume"] == before["volume"]
    assert after["boot"]["sequence"] == 3


@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteVolume"])
def test_killed_in_a_deletion_it_ends_with_nothing_left(lab: Lab, action: str) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    with lab.aws.faults.hold(f"ec2:{action}", moment="after") as fault:
        tenant.delete(workspace, purge=True)
        fault.wait(30)
        lab.provisioner.kill()
    lab.provisioner.start()

    assert tenant.settled(workspace)["status"] == "deleted"
    assert lab.machines(workspace) == []
    assert lab.volumes(workspace) == []


def test_killed_while_the_machine_boots_it_still_takes_its_registration(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)
    workspace = machine.workspace
    tenant.ask("restart", workspace)
    lab.provisioner.kill()
    lab.provisioner.start()

    assert tenant.shown(workspace)["pending"] == ["provision", "restart"]
    lab.play = lambda machine: machine.register().raise_for_status()
    machine.register().raise_for_status()

    assert_online_on_one_machine(lab, tenant, workspace)
    assert tenant.shown(workspace)["boot"]["reason"] == "restart"


def test_what_was_settled_stays_as_it_is_and_is_watched_again(lab: Lab) -> None:
    tenant = lab.tenant()
    online, stopped = (tenant.settled(tenant.create())["id"] for _ in range(2))
    tenant.ask("stop", stopped)
    before = tenant.settled(online), tenant.settled(stopped)
    token = lab.boots(online)[0].register().json()["auth_token"]
    before = tenant.shown(online), before[1]
    lab.provisioner.kill()
    lab.provisioner.start()

    assert (tenant.shown(online), tenant.shown(stopped)) == before
    assert lab.boots(online)[0].heartbeat(token) == 204
    lab.agents.fail(before[0]["machine"])
    calls = lab.aws.calls.mark()
    lab.aws.calls.wait("ec2:AttachVolume", since=calls, timeout=30)
    assert_online_on_one_machine(lab, tenant, online)


def test_a_machine_that_belongs_to_nothing_is_ended_at_the_start(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())
    tags = [{"Key": "molecule:workspace", "Value": workspace["id"]}]
    strange = [{"Key": "molecule:workspace", "Value": "ws-" + "0" * 32}]
    ec2 = lab.aws.client("ec2")
    image = ec2.describe_instances(InstanceIds=[workspace["machine"]])["Reservations"][0]["Instances"][0][
        "ImageId"
    ]
    for extra in (tags, strange):
        ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": extra}],
        )
    lab.provisioner.kill()
    calls = lab.aws.calls.mark()
    lab.provisioner.start()

    lab.aws.calls.wait("ec2:TerminateInstances", since=calls, timeout=30)
    assert lab.machines(workspace["id"]) == [workspace["machine"]]
    assert len(lab.machines("ws-" + "0" * 32)) == 1


def test_a_provisioner_that_is_told_to_end_does_so_in_order_and_goes_on_later(lab: Lab) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.out_of_capacity() as fault:
        workspace = tenant.create()
        fault.wait(30)
        assert lab.provisioner.stop() == 0
    lab.provisioner.start()

    assert_online_on_one_machine(lab, tenant, workspace)
