"""A dead machine is replaced, a doubtful one is not, and one that keeps dying does not become a storm (HEAL-7)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness.world.aws import Call

from .lab import PATIENCE, Lab, Machine, open_lab


def wait_until_healed(lab: Lab, workspace: str, boots: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(lab.boots(workspace)) < boots:
        assert time.monotonic() < end, f"only {len(lab.boots(workspace))} boots of {workspace}"
        time.sleep(0.05)


def test_a_dead_machine_is_replaced_on_the_same_volume(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())

    lab.agents.fail(before["machine"])
    wait_until_healed(lab, before["id"], boots=2)

    after = tenant.settled(before["id"])
    assert after["status"] == "online"
    assert after["machine"] != before["machine"]
    assert after["volume"] == before["volume"]
    assert after["boot"]["reason"] == "heal"
    assert lab.machines(before["id"]) == [after["machine"]]
    assert lab.agents.probes(before["machine"]) >= 3


def test_failed_probes_fewer_than_asked_for_replace_nothing(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())

    for _ in range(2):
        lab.agents.fail(workspace["machine"], probes=2)
        seen = lab.agents.probes(workspace["machine"])
        end = time.monotonic() + PATIENCE
        while lab.agents.probes(workspace["machine"]) < seen + 4:
            assert time.monotonic() < end
            time.sleep(0.05)

    assert tenant.settled(workspace["id"])["machine"] == workspace["machine"]
    assert len(lab.booted) == 1


def test_a_machine_that_is_heard_is_not_even_probed(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())
    (machine,) = lab.booted
    token = machine.register().json()["auth_token"]
    lab.agents.fail(machine.instance)
    probed = lab.agents.probes(machine.instance)

    for _ in range(20):
        assert machine.heartbeat(token) == 204
        time.sleep(0.1)

    assert lab.agents.probes(machine.instance) <= probed + 1
    assert tenant.settled(workspace["id"])["machine"] == machine.instance


def test_stopped_and_deleted_workspaces_are_not_healed(lab: Lab) -> None:
    tenant = lab.tenant()
    stopped, deleted = (tenant.settled(tenant.create())["id"] for _ in range(2))
    tenant.ask("stop", stopped)
    tenant.delete(deleted)
    for machine in lab.booted:
        lab.agents.fail(machine.instance)

    assert tenant.settled(stopped)["status"] == "stopped"
    assert tenant.settled(deleted)["status"] == "deleted"
    time.sleep(2.5)  # longer than window and probes take

    assert (len(lab.boots(stopped)), len(lab.boots(deleted))) == (1, 1)
    assert tenant.shown(stopped)["status"] == "stopped"


def test_a_restart_that_is_asked_for_meanwhile_wins_over_the_healing(tmp_path: Path) -> None:
    with open_lab(tmp_path, HEAL_BACKOFF_SECONDS="30") as lab:
        tenant = lab.tenant()
        first = tenant.settled(tenant.create())
        lab.agents.fail(first["machine"])
        wait_until_healed(lab, first["id"], boots=2)
        second = tenant.settled(first["id"])
        lab.agents.fail(second["machine"])
        end = time.monotonic() + PATIENCE
        while tenant.shown(first["id"])["status"] != "healing":
            assert time.monotonic() < end
            time.sleep(0.05)

        tenant.ask("restart", first["id"])

        after = tenant.settled(first["id"])
        assert after["status"] == "online"
        assert after["boot"] == after["boot"] | {"sequence": 3, "reason": "restart"}


def test_a_workspace_whose_machines_keep_dying_fails_with_none_left(tmp_path: Path) -> None:
    with open_lab(tmp_path, HEAL_BACKOFF_SECONDS="0.1", HEAL_STABLE_SECONDS="60") as lab:
        tenant = lab.tenant()

        def register_and_die(machine: object) -> None:
            booted = lab.booted[-1]
            booted.register().raise_for_status()
            lab.agents.fail(booted.instance)

        lab.play = register_and_die
        workspace = tenant.create()
        wait_until_healed(lab, workspace, boots=4)
        end = time.monotonic() + PATIENCE
        while tenant.settled(workspace)["status"] != "failed":
            assert time.monotonic() < end
            time.sleep(0.05)

        failed = tenant.shown(workspace)
        assert failed["error"]["code"] == "machine-keeps-dying"
        assert lab.machines(workspace) == []
        assert [machine.user_data["boot"]["reason"] for machine in lab.boots(workspace)] == [
            "provision",
            "heal",
            "heal",
            "heal",
        ]

        lab.play = lambda machine: machine.register().raise_for_status()
        tenant.ask("restart", workspace)
        assert tenant.settled(workspace)["status"] == "online"


def test_a_machine_that_is_terminated_while_it_boots_is_replaced(lab: Lab) -> None:
    tenant = lab.tenant()

    def end_itself(machine: object) -> None:
        lab.play = lambda machine: machine.register().raise_for_status()
        lab.aws.client("ec2").terminate_instances(InstanceIds=[lab.booted[-1].instance])

    lab.play = end_itself
    workspace = tenant.settled(tenant.create())

    assert workspace["status"] == "online"
    assert workspace["boot"] == workspace["boot"] | {"sequence": 2, "reason": "heal"}
    assert lab.machines(workspace["id"]) == [workspace["machine"]]


def test_a_machine_that_ends_while_it_boots_is_replaced(lab: Lab) -> None:
    """EC2 goes on calling it `running`; only its check fails."""
    tenant = lab.tenant()
    ended = impaired_machines(lab)

    def end(machine: Machine) -> None:
        lab.play = lambda machine: machine.register().raise_for_status()
        ended.add(machine.instance)

    lab.play = end
    workspace = tenant.settled(tenant.create())

    assert workspace["status"] == "online"
    assert workspace["boot"] == workspace["boot"] | {"sequence": 2, "reason": "heal"}
    assert lab.machines(workspace["id"]) == [workspace["machine"]]


def test_a_workspace_whose_machines_keep_ending_while_they_boot_fails_within_the_bound(
    tmp_path: Path,
) -> None:
    with open_lab(tmp_path, HEAL_BACKOFF_SECONDS="0.1") as lab:
        tenant = lab.tenant()
        ended = impaired_machines(lab)
        lab.play = lambda machine: ended.add(machine.instance)
        workspace = tenant.create()
        wait_until_healed(lab, workspace, boots=4)

        failed = tenant.settled(workspace)

        assert failed["status"] == "failed"
        assert failed["error"]["code"] == "machine-keeps-dying"
        assert lab.machines(workspace) == []
        assert len(lab.boots(workspace)) == 4


def test_a_machine_whose_failure_is_registered_is_not_replaced_when_it_ends(lab: Lab) -> None:
    tenant = lab.tenant()
    ended = impaired_machines(lab)

    def fail(machine: Machine) -> None:
        error = {"code": "template-not-found", "message": "there is none", "hint": "name another"}
        machine.register(machine.report(outcome="failed", error=error), agent_card=None, agent_url=None)
        ended.add(machine.instance)

    lab.play = fail
    workspace = tenant.settled(tenant.create())
    time.sleep(2.5)  # longer than a look at a boot takes to come

    assert (workspace["status"], workspace["error"]["code"]) == ("failed", "template-not-found")
    assert len(lab.boots(workspace["id"])) == 1


def impaired_machines(lab: Lab) -> set[str]:
    """Instances that EC2 is to call impaired from now on; put them in."""
    impaired: set[str] = set()

    def amend(call: Call) -> dict[str, Any]:
        result = dict(call.result or {})
        for described in result["InstanceStatuses"]:
            if described["InstanceId"] in impaired:
                described["InstanceStatus"]["Status"] = "impaired"
        return result

    lab.aws.amend("ec2:DescribeInstanceStatus", amend)
    return impaired
