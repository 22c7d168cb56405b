"""What a tenant asks of its workspaces comes about."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait

from .lab import COMMIT, Lab


def test_a_new_workspace_comes_online_on_its_own_machine_and_volume(lab: Lab) -> None:
    tenant = lab.tenant()

    workspace = tenant.settled(tenant.create("acme/helper@main", name="Helper", transport="archive"))

    assert workspace["status"] == "online"
    assert workspace["error"] is None
    assert workspace["name"] == "Helper"
    assert workspace["template"] == {
        "identity": "acme/helper@main",
        "repository": "acme/helper",
        "ref": "main",
        "commit": COMMIT,
    }
    assert lab.machines(workspace["id"]) == [workspace["machine"]]
    assert lab.volumes(workspace["id"]) == [workspace["volume"]]
    assert workspace["boot"]["sequence"] == 1
    assert workspace["boot"]["report"]["outcome"] == "ready"
    assert workspace["agent_card"]["skills"][0]["id"] == "audit"
    (machine,) = lab.booted
    assert machine.user_data == {
        "schema": 1,
        "workspace": workspace["id"],
        "tenant": "acme",
        "boot": {"sequence": 1, "reason": "provision"},
        "template": {
            "identity": "acme/helper@main",
            "repository": "acme/helper",
            "ref": "main",
            "commit": None,
        },
        "transport": "archive",
        "template_host": "http://templates.example",
        "bootstrap_secret": "molecule/tenant/acme/bootstrap",
        "provisioner": "http://provisioner.example",
        "heartbeat_seconds": 0.2,
        "fetch_limits": {},
    }


def test_a_restart_keeps_volume_and_identity_with_no_template_named(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create("acme/helper@v1"))

    accepted = tenant.ask("restart", before["id"])
    assert accepted["status"] == "restarting"
    assert accepted["pending"] == ["restart"]
    after = tenant.settled(before["id"])

    assert after["status"] == "online"
    assert after["volume"] == before["volume"]
    assert after["machine"] != before["machine"]
    assert lab.machines(before["id"]) == [after["machine"]]
    assert after["boot"]["sequence"] == 2
    assert lab.booted[-1].user_data["boot"] == {"sequence": 2, "reason": "restart"}
    assert lab.booted[-1].user_data["template"] == before["template"]


def test_a_restart_can_give_the_workspace_another_template(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create("acme/helper@main"))["id"]

    tenant.ask("restart", workspace, {"template": "acme/other@v2"})

    assert tenant.settled(workspace)["template"]["identity"] == "acme/other@v2"
    assert lab.booted[-1].user_data["template"]["commit"] is None


def test_a_stopped_workspace_keeps_its_volume_and_starts_on_it_again(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())

    assert tenant.ask("stop", before["id"])["status"] == "stopping"
    stopped = tenant.settled(before["id"])
    assert (stopped["status"], stopped["machine"], stopped["agent_url"]) == ("stopped", None, None)
    assert lab.machines(before["id"]) == []

    assert tenant.ask("start", before["id"])["status"] == "starting"
    started = tenant.settled(before["id"])
    assert started["status"] == "online"
    assert started["volume"] == before["volume"]
    assert started["boot"]["reason"] == "resume"


def test_starting_what_runs_changes_nothing(lab: Lab) -> None:
    tenant = lab.tenant()
    before = tenant.settled(tenant.create())

    tenant.ask("start", before["id"])

    assert tenant.settled(before["id"])["machine"] == before["machine"]
    assert len(lab.booted) == 1


def test_a_deletion_keeps_the_volume_unless_it_is_told_to_purge_it(lab: Lab) -> None:
    tenant = lab.tenant()
    kept, purged = (tenant.settled(tenant.create()) for _ in range(2))

    assert tenant.delete(kept["id"])["status"] == "deleting"
    tenant.delete(purged["id"], purge=True)

    assert tenant.settled(kept["id"])["volume"] == kept["volume"]
    assert tenant.settled(purged["id"])["volume"] is None
    assert lab.volumes(kept["id"]) == [kept["volume"]]
    assert lab.volumes(purged["id"]) == []
    assert lab.machines(kept["id"]) == lab.machines(purged["id"]) == []
    assert tenant.call("GET", "/workspaces").json() == {"workspaces": []}

    tenant.delete(kept["id"], purge=True)
    assert tenant.settled(kept["id"])["status"] == "deleted"
    assert lab.volumes(kept["id"]) == []


def test_a_deletion_is_final_against_the_restarts_that_race_it(lab: Lab) -> None:
    tenant = lab.tenant()
    lab.play = lambda machine: None  # so that the first boot never ends by itself
    workspace = tenant.create()
    tenant.ask("restart", workspace)

    tenant.delete(workspace, purge=True)
    refused = tenant.call("POST", f"/workspaces/{workspace}/restart")

    assert refused.status_code == 409
    assert refused.json()["code"] == "workspace-deleted"
    assert tenant.settled(workspace)["status"] == "deleted"
    assert tenant.call("POST", f"/workspaces/{workspace}/start").status_code == 409
    assert lab.machines(workspace) == []
    assert lab.volumes(workspace) == []
    assert len(lab.booted) <= 1


def test_concurrent_restarts_run_one_after_another_and_none_is_lost(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]

    for count in range(1, 4):
        assert len(tenant.ask("restart", workspace)["pending"]) in range(1, count + 1)
    tenant.ask("stop", workspace)
    tenant.ask("start", workspace)

    after = tenant.settled(workspace)
    assert after["boot"]["sequence"] == 5
    assert [machine.user_data["boot"]["reason"] for machine in lab.booted] == [
        "provision",
        "restart",
        "restart",
        "restart",
        "resume",
    ]
    assert lab.machines(workspace) == [after["machine"]]


def test_a_waiter_is_answered_when_its_time_is_up(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)

    begun = time.monotonic()
    answer = tenant.call("GET", f"/workspaces/{machine.workspace}", Prefer="respond-async, wait=1")

    assert 0.9 < time.monotonic() - begun < 10
    assert answer.headers["Preference-Applied"] == "wait"
    assert answer.json()["status"] == "provisioning"


def test_waiters_are_answered_as_soon_as_the_workspace_settles(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)

    with ThreadPoolExecutor() as pool:
        waiters = [pool.submit(tenant.settled, machine.workspace) for _ in range(5)]
        assert not wait(waiters, timeout=0.5).done
        machine.register().raise_for_status()
        assert not wait(waiters, timeout=5).not_done

    assert {waiter.result()["status"] for waiter in waiters} == {"online"}


def test_the_tenant_sees_its_own_workspaces_only(lab: Lab) -> None:
    ours, theirs = lab.tenant("acme"), lab.tenant("rival")
    workspace = ours.settled(ours.create())["id"]

    assert [each["id"] for each in ours.call("GET", "/workspaces").json()["workspaces"]] == [workspace]
    assert theirs.call("GET", "/workspaces").json() == {"workspaces": []}
    for method, path in (
        ("GET", ""),
        ("POST", "/restart"),
        ("POST", "/stop"),
        ("POST", "/start"),
        ("DELETE", ""),
    ):
        refused = theirs.call(method, f"/workspaces/{workspace}{path}")
        assert refused.status_code == 403
        assert refused.json()["code"] == "workspace-of-another-tenant"
    assert ours.settled(workspace)["boot"]["sequence"] == 1
