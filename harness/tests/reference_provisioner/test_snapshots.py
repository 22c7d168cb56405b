"""Snapshots are kept by EC2 alone, and a workspace goes back to one without a leak, whatever comes between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .lab import Lab, Tenant, open_lab


def taken(tenant: Tenant, workspace: str) -> str:
    answer = tenant.call("POST", f"/workspaces/{workspace}/snapshots")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def listed(tenant: Tenant, workspace: str) -> list[str]:
    return [
        each["id"] for each in tenant.call("GET", f"/workspaces/{workspace}/snapshots").json()["snapshots"]
    ]


def go_back(lab: Lab, tenant: Tenant, workspace: str, snapshot: str | None) -> dict[str, Any]:
    """To the snapshot, and wait until the volume that there was is gone."""
    calls = lab.aws.calls.mark()
    accepted = tenant.ask("restore", workspace, {"snapshot": snapshot})
    assert (accepted["status"], accepted["pending"]) == ("restoring", ["restore"])
    settled = tenant.settled(workspace)
    lab.aws.calls.wait("ec2:DeleteVolume", since=calls, timeout=30)
    return settled


def origin(lab: Lab, volume: str) -> str:
    """The snapshot that a volume was made from; empty for none."""
    return str(
        lab.aws.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"][0].get("SnapshotId") or ""
    )


def test_a_snapshot_is_of_one_workspace_and_bears_its_tags(lab: Lab) -> None:
    tenant = lab.tenant()
    ours, other = (tenant.settled(tenant.create()) for _ in range(2))

    first, second = taken(tenant, ours["id"]), taken(tenant, ours["id"])

    # Which of two is the older, EC2 tells to the second.
    assert sorted(listed(tenant, ours["id"])) == sorted([first, second])
    assert listed(tenant, other["id"]) == []
    (described,) = lab.aws.client("ec2").describe_snapshots(SnapshotIds=[first])["Snapshots"]
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert (tags["molecule:workspace"], tags["molecule:tenant"]) == (ours["id"], "acme")
    assert described["VolumeId"] == ours["volume"]


@pytest.mark.parametrize("blank", [False, True])
def test_a_workspace_goes_back_on_a_new_machine_and_a_new_volume(lab: Lab, blank: bool) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())
    snapshot = None if blank else taken(tenant, before["id"])

    after = go_back(lab, tenant, before["id"], snapshot)

    assert after["status"] == "online"
    assert after["machine"] != before["machine"]
    assert lab.machines(before["id"]) == [after["machine"]]
    assert lab.volumes(before["id"]) == [after["volume"]] != [before["volume"]]
    assert origin(lab, after["volume"]) == (snapshot or "")
    assert lab.booted[-1].user_data["boot"] == {"sequence": 2, "reason": "restore"}
    assert lab.booted[-1].user_data["template"] == before["template"]


def test_what_is_not_the_workspaces_own_snapshot_is_unknown_and_changes_nothing(lab: Lab) -> None:
    tenant, rival = lab.tenant("acme"), lab.tenant("rival")
    ours, other = (tenant.settled(tenant.create()) for _ in range(2))
    theirs = rival.settled(rival.create())
    strange = [taken(tenant, other["id"]), taken(rival, theirs["id"]), "snap-0123456789abcdef0", "", "*"]

    for snapshot in strange:
        refused = tenant.call("POST", f"/workspaces/{ours['id']}/restore", {"snapshot": snapshot})
        assert refused.status_code == 404
        assert refused.json()["code"] == "snapshot-unknown"
        assert repr(snapshot) in refused.json()["detail"]

    assert tenant.call("POST", f"/workspaces/{ours['id']}/restore", {}).status_code == 422
    for method, path in (("POST", "snapshots"), ("GET", "snapshots"), ("POST", "restore")):
        body = {"snapshot": None} if path == "restore" else None
        assert rival.call(method, f"/workspaces/{ours['id']}/{path}", body).status_code == 403
    assert tenant.shown(ours["id"]) == ours


def test_there_is_no_snapshot_of_a_workspace_without_a_volume_or_a_life(lab: Lab) -> None:
    tenant = lab.tenant()
    with lab.aws.faults.fail("ec2:RunInstances", "InvalidAMIID.NotFound", "The image id does not exist"):
        workspace = tenant.settled(tenant.create())["id"]

    assert tenant.call("POST", f"/workspaces/{workspace}/snapshots").json()["code"] == "volume-missing"
    tenant.delete(workspace)
    refused = [
        tenant.call("POST", f"/workspaces/{workspace}/snapshots"),
        tenant.call("POST", f"/workspaces/{workspace}/restore", {"snapshot": None}),
    ]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "workspace-deleted")] * 2


def test_a_purge_takes_the_snapshots_too_and_a_deletion_without_one_keeps_them(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    snapshot = taken(tenant, workspace)

    tenant.delete(workspace)
    tenant.settled(workspace)
    assert listed(tenant, workspace) == [snapshot]

    tenant.delete(workspace, purge=True)
    assert tenant.settled(workspace)["volume"] is None
    assert listed(tenant, workspace) == []


def test_a_deletion_that_overtakes_the_making_of_a_snapshot_leaves_none(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    with lab.aws.faults.hold("ec2:CreateSnapshot") as fault, ThreadPoolExecutor(1) as asker:
        answer = asker.submit(tenant.call, "POST", f"/workspaces/{workspace}/snapshots")
        fault.wait(30)
        tenant.delete(workspace)
        tenant.settled(workspace)
        fault.release()

    assert answer.result().json()["code"] == "workspace-deleted"
    assert listed(tenant, workspace) == []


def test_where_no_machine_can_be_launched_a_restart_boots_what_was_asked_for(tmp_path: Path) -> None:
    with open_lab(tmp_path, LAUNCH_TIMEOUT_SECONDS="1") as lab:
        tenant = lab.tenant()
        before = tenant.settled(tenant.create())
        snapshot = taken(tenant, before["id"])
        with lab.aws.faults.out_of_capacity():
            tenant.ask("restore", before["id"], {"snapshot": snapshot})
            failed = tenant.settled(before["id"])

        assert (failed["status"], failed["error"]["code"]) == ("failed", "launch-capacity")
        assert set(lab.volumes(before["id"])) == {before["volume"], failed["volume"]}
        calls = lab.aws.calls.mark()
        tenant.ask("restart", before["id"])
        after = tenant.settled(before["id"])
        lab.aws.calls.wait("ec2:DeleteVolume", since=calls, timeout=30)

        assert (after["status"], after["volume"]) == ("online", failed["volume"])
        assert origin(lab, after["volume"]) == snapshot
        assert lab.volumes(before["id"]) == [after["volume"]]


def test_a_snapshot_that_is_gone_by_then_fails_and_the_volume_stays(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())
    snapshot = taken(tenant, before["id"])
    with lab.aws.faults.hold("ec2:TerminateInstances", moment="before") as fault:
        tenant.ask("restore", before["id"], {"snapshot": snapshot})
        fault.wait(30)
        lab.aws.client("ec2").delete_snapshot(SnapshotId=snapshot)
        fault.release()
        failed = tenant.settled(before["id"])

    assert (failed["status"], failed["error"]["code"]) == ("failed", "snapshot-unknown")
    assert lab.volumes(before["id"]) == [before["volume"]] == [failed["volume"]]
    tenant.ask("restart", before["id"])
    assert tenant.settled(before["id"])["status"] == "online"


@pytest.mark.parametrize(
    "action", ["TerminateInstances", "CreateVolume", "RunInstances", "AttachVolume", "DeleteVolume"]
)
def test_killed_on_the_way_back_it_ends_with_one_machine_and_one_volume(lab: Lab, action: str) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())
    snapshot = taken(tenant, before["id"])
    calls = lab.aws.calls.mark()
    with lab.aws.faults.hold(f"ec2:{action}", moment="after") as fault:
        tenant.ask("restore", before["id"], {"snapshot": snapshot})
        fault.wait(30)
        lab.provisioner.kill()
    lab.provisioner.start()

    after = tenant.settled(before["id"])
    lab.aws.calls.wait("ec2:DeleteVolume", since=calls, where=lambda call: call.succeeded, timeout=30)
    assert after["status"] == "online"
    assert lab.machines(before["id"]) == [after["machine"]]
    assert lab.volumes(before["id"]) == [after["volume"]]
    assert origin(lab, after["volume"]) == snapshot


def test_a_machine_that_registers_before_a_killed_provisioner_comes_to_it_leaves_no_volume(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())
    lab.play = lambda machine: None
    with lab.aws.faults.hold("ec2:DeleteVolume") as deletion:
        tenant.ask("restore", before["id"], {"snapshot": None})
        deletion.wait(30)
        lab.provisioner.kill()
        deletion.abandon()
    calls = lab.aws.calls.mark()
    with lab.aws.faults.hold(
        "ec2:DescribeInstances", only=lambda call: before["id"].encode() in call.body
    ) as own:
        lab.provisioner.start()
        own.wait(30)
        lab.aws.calls.wait("ec2:DescribeVolumes", since=calls, timeout=30)  # the look for orphans is over
        lab.boots(before["id"])[-1].register().raise_for_status()

    lab.aws.calls.wait("ec2:DeleteVolume", since=calls, where=lambda call: call.succeeded, timeout=10)
    after = tenant.settled(before["id"])
    assert after["status"] == "online"
    assert lab.volumes(before["id"]) == [after["volume"]] != [before["volume"]]


def test_the_callers_word_on_a_loss_reaches_the_machine_for_that_boot_only(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]

    for body in ({"accept_loss": True}, None):
        tenant.ask("restart", workspace, body)
        tenant.settled(workspace)

    assert [machine.user_data.get("accept_loss") for machine in lab.booted] == [None, True, None]
