"""Only the workspace's current machine is believed, and only as far as its report bears it out."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from .lab import COMMIT, Lab, open_lab, presigned


def test_a_proof_that_is_not_the_machines_own_is_refused(lab: Lab) -> None:
    ours, theirs = lab.tenant("acme"), lab.tenant("rival")
    machine, stranger = lab.unregistered(ours), lab.unregistered(theirs)
    keys = lab.aws.administrator("somebody")
    not_a_role = presigned(lab.aws.url, Credentials(keys.access_key_id, keys.secret_access_key))
    good = machine.proof()

    for proof in (
        "",
        "Action=GetCallerIdentity&Version=2011-06-15",
        not_a_role,
        stranger.proof(),
        good.replace("GetCallerIdentity", "GetSessionToken"),
        f"{good}&Action=AssumeRole",
        f"{good}&X-Extra=1",
        f"{good}#fragment",
        good.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Bx"),
        "https://evil.example/?" + good,
    ):
        refused = machine.register(identity_proof=proof)
        assert (refused.status_code, refused.json()["code"]) == (401, "identity-unproven"), proof

    assert ours.shown(machine.workspace)["status"] == "provisioning"
    for call in lab.aws.calls.find("sts:*", principal="assumed-role/*"):
        assert call.operation in {"GetCallerIdentity", "AssumeRole"}
    assert machine.register().status_code == 200


def test_a_machine_that_is_not_the_current_one_is_told_to_end(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    (old,) = lab.booted
    token = old.register().json()["auth_token"]
    assert old.heartbeat(token) == 204

    tenant.ask("restart", workspace)
    tenant.settled(workspace)

    assert old.register().json()["code"] == "boot-not-current"
    assert old.heartbeat(token) == 409
    new = lab.booted[-1]
    assert new.register(boot_sequence=1).status_code == 409
    assert new.register(workspace="ws-" + "0" * 32).status_code == 404
    assert new.register().json()["auth_token"] == token
    assert new.heartbeat(token) == 204
    assert new.heartbeat("wrong") == 401

    tenant.delete(workspace)
    tenant.settled(workspace)
    assert new.heartbeat(token) == 410
    assert new.register().status_code == 409


TREE = {"files": 3, "digest": "00" * 32}
FAILED_SKILL = {"name": "seo", "status": "failed", "reason": "unreadable: no SKILL.md", "commands": []}
UNLISTED_SKILL: dict[str, Any] = {"name": "seo", "status": "loaded", "reason": None, "commands": []}


@pytest.mark.parametrize(
    ("report", "registration", "code", "named"),
    [
        ({"delivered": TREE}, {}, "digest-mismatch", "00" * 32),
        ({"delivered": None}, {}, "report-malformed", "delivered"),
        ({"commit": None}, {}, "report-malformed", "commit"),
        ({"outcome": "degraded"}, {}, "report-malformed", "error"),
        ({"skills": [UNLISTED_SKILL]}, {}, "skill-missing", "seo"),
        ({}, {"agent_card": None, "agent_url": None}, "agent-missing", "agent"),
        ({"identity": "acme/other@main"}, {}, "identity-mismatch", "acme/other"),
        ({"schema": 2}, {}, "report-malformed", "schema"),
        ({"more": 1}, {}, "report-malformed", "more"),
        ({"skills": None}, {}, "report-malformed", "skills"),
        ({"boot": {"sequence": 9, "reason": "provision"}}, {}, "report-mismatch", "boot"),
        ({"workspace": "ws-" + "1" * 32}, {}, "report-mismatch", "workspace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_report_that_does_not_bear_out_readiness_fails_the_workspace(
    lab: Lab, report: dict[str, Any], registration: dict[str, Any], code: str, named: str
) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)

    refused = machine.register(machine.report(**report), **registration)

    assert (refused.status_code, refused.json()["code"]) == (422, code)
    workspace = tenant.settled(machine.workspace)
    assert workspace["status"] == "failed"
    assert workspace["error"]["code"] == code
    assert named in workspace["error"]["message"]
    assert workspace["agent_card"] is None


def test_a_skill_that_nobody_asked_for_and_that_does_not_load_keeps_no_workspace_from_being_ready(
    lab: Lab,
) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)

    assert machine.register(machine.report(skills=[FAILED_SKILL])).status_code == 200

    assert tenant.settled(machine.workspace)["status"] == "online"


def test_a_pinned_commit_is_the_one_that_must_be_delivered(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant, "acme/helper@" + "a" * 40)

    assert machine.register().json()["code"] == "commit-mismatch"
    assert machine.register(machine.report(commit="a" * 40)).json()["status"] == "online"


def test_a_boot_that_failed_says_why_in_the_status(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)
    error = {
        "code": "template-not-found",
        "message": "there is no acme/helper",
        "hint": "name another template",
    }
    report = machine.report(
        outcome="failed", error=error, commit=None, expected=None, delivered=None, skills=[]
    )

    answer = machine.register(report, agent_card=None, agent_url=None)

    assert answer.json()["status"] == "failed"
    workspace = tenant.settled(machine.workspace)
    assert (workspace["status"], workspace["error"]) == ("failed", error)
    assert workspace["boot"]["report"] == report
    assert workspace["template"]["commit"] is None


def test_a_degraded_boot_is_never_plain_online(lab: Lab) -> None:
    tenant = lab.tenant()
    machine = lab.unregistered(tenant)
    error = {"code": "template-host-unreachable", "message": "no route", "hint": None}

    assert machine.register(machine.report(outcome="degraded", error=error)).json()["status"] == "degraded"

    workspace = tenant.settled(machine.workspace)
    assert (workspace["status"], workspace["error"]) == ("degraded", error)
    assert machine.register().json()["status"] == "online"
    assert tenant.shown(machine.workspace)["status"] == "online"


def test_a_machine_that_reboots_by_itself_registers_again_and_its_report_replaces_the_last(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    (machine,) = lab.booted
    later = machine.report(commit="b" * 40, paths=[])

    assert machine.register(later).status_code == 200

    shown = tenant.shown(workspace)
    assert shown["boot"]["report"] == later
    assert shown["template"]["commit"] == "b" * 40 != COMMIT
    assert shown["machine"] == machine.instance


def test_a_machine_that_never_registers_fails_by_its_console(tmp_path: Path) -> None:
    with open_lab(tmp_path, BOOT_TIMEOUT_SECONDS="1.5") as lab:
        tenant = lab.tenant("acme", db_password="pass-word-of-acme", shared_secret="s3cr3t/with+marks")
        text = "boot: cannot go on: pass-word-of-acme cGFzcy13b3JkLW9mLWFjbWU= s3cr3t%2Fwith%2Bmarks"
        lab.aws.answer("ec2:GetConsoleOutput", lambda call: console(call.parameters["InstanceId"], text))
        machine = lab.unregistered(tenant)

        workspace = tenant.settled(machine.workspace)

        assert workspace["status"] == "failed"
        assert workspace["error"]["code"] == "boot-timeout"
        message = workspace["error"]["message"]
        assert "boot: cannot go on: [redacted]" in message
        for leaked in ("pass-word-of-acme", "cGFzcy13b3JkLW9mLWFjbW", "s3cr3t"):
            assert leaked not in message
        assert machine.register().json()["status"] == "online"


def console(instance: str, text: str) -> dict[str, Any]:
    return {"InstanceId": instance, "Output": b64encode(text.encode()).decode()}
