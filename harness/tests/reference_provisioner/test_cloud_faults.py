"""What AWS does not give is waited for within a bound, reported, and leaves nothing behind (FAIL-6)."""

from __future__ import annotations

from pathlib import Path

from .lab import Lab, open_lab


def test_a_lack_of_capacity_is_shown_and_then_overcome(lab: Lab) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.out_of_capacity(times=5) as fault:
        workspace = tenant.create()
        fault.wait(30, hits=3)
        shown = tenant.shown(workspace)
        assert shown["status"] == "provisioning"
        assert shown["error"]["code"] == "launch-capacity"
        settled = tenant.settled(workspace)

    assert fault.hits == 5
    assert (settled["status"], settled["error"]) == ("online", None)
    assert lab.machines(workspace) == [settled["machine"]]


def test_a_machine_that_cannot_be_launched_is_reported_and_leaks_no_volume(tmp_path: Path) -> None:
    with open_lab(tmp_path, LAUNCH_TIMEOUT_SECONDS="1") as lab:
        tenant = lab.tenant()
        with lab.aws.faults.out_of_capacity():
            workspace = tenant.settled(tenant.create())

        assert workspace["status"] == "failed"
        assert workspace["error"]["code"] == "launch-capacity"
        assert (workspace["machine"], workspace["volume"]) == (None, None)
        assert lab.volumes(workspace["id"]) == []
        assert lab.machines(workspace["id"]) == []

        tenant.ask("restart", workspace["id"])
        assert tenant.settled(workspace["id"])["status"] == "online"


def test_a_failed_launch_at_a_restart_keeps_the_volume(tmp_path: Path) -> None:
    with open_lab(tmp_path, LAUNCH_TIMEOUT_SECONDS="1") as lab:
        tenant = lab.tenant()
        before = tenant.settled(tenant.create())
        with lab.aws.faults.out_of_capacity():
            tenant.ask("restart", before["id"])
            failed = tenant.settled(before["id"])

        assert failed["status"] == "failed"
        assert lab.volumes(before["id"]) == [before["volume"]] == [failed["volume"]]
        tenant.ask("start", before["id"])
        assert tenant.settled(before["id"])["status"] == "online"


def test_a_role_that_ec2_does_not_know_yet_is_waited_for(lab: Lab) -> None:
    tenant = lab.tenant()
    message = "Value (molecule-tenant-acme) for parameter iamInstanceProfile.name is invalid."
    with lab.aws.faults.fail("ec2:RunInstances", "InvalidParameterValue", message, times=2) as fault:
        workspace = tenant.settled(tenant.create())

    assert fault.hits == 2
    assert workspace["status"] == "online"


def test_another_refusal_of_the_launch_is_not_repeated(lab: Lab) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.fail(
        "ec2:RunInstances", "InvalidAMIID.NotFound", "The image id does not exist"
    ) as fault:
        workspace = tenant.settled(tenant.create())

    assert fault.hits == 1
    assert workspace["error"]["code"] == "launch-refused"
    assert "InvalidAMIID.NotFound" in workspace["error"]["message"]
    assert lab.volumes(workspace["id"]) == []


def test_a_volume_that_ec2_refuses_to_attach_at_first_is_attached_in_the_end(lab: Lab) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.fail(
        "ec2:AttachVolume", "IncorrectState", "the volume is not ready", times=2
    ) as fault:
        workspace = tenant.settled(tenant.create())

    assert fault.hits == 2
    assert workspace["status"] == "online"


def test_a_volume_that_is_never_attached_leaves_no_machine_waiting_for_it(tmp_path: Path) -> None:
    with open_lab(tmp_path, LAUNCH_TIMEOUT_SECONDS="1") as lab:
        tenant = lab.tenant()
        with lab.aws.faults.fail("ec2:AttachVolume", "IncorrectState", "the volume is not ready"):
            workspace = tenant.settled(tenant.create())

        assert workspace["error"]["code"] == "volume-attach"
        assert lab.machines(workspace["id"]) == []
        assert lab.volumes(workspace["id"]) == []


def test_a_deletion_is_tried_until_it_is_done(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    with lab.aws.faults.fail("ec2:TerminateInstances", "UnauthorizedOperation", times=2, status=403) as fault:
        tenant.delete(workspace, purge=True)
        assert tenant.settled(workspace)["status"] == "deleted"

    assert fault.hits == 2
    assert lab.machines(workspace) == lab.volumes(workspace) == []


def test_a_volume_that_something_else_holds_is_taken_from_it(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())
    ec2 = lab.aws.client("ec2")
    image = ec2.describe_instances(InstanceIds=[workspace["machine"]])["Reservations"][0]["Instances"][0][
        "ImageId"
    ]
    tenant.ask("stop", workspace["id"])
    tenant.settled(workspace["id"])
    profile = {"Name": "molecule-tenant-acme"}
    holder = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, UserData="{}", IamInstanceProfile=profile
    )["Instances"][0]["InstanceId"]
    ec2.attach_volume(VolumeId=workspace["volume"], InstanceId=holder, Device="/dev/sdf")

    tenant.ask("start", workspace["id"])

    assert tenant.settled(workspace["id"])["status"] == "online"
    assert lab.aws.calls.find("ec2:DetachVolume", principal="provisioner")
