"""What is refused is refused with a problem that says what to mend, and nothing is done."""

from __future__ import annotations

import json

import httpx
import pytest

from .lab import OPERATOR, Lab

SECRET = "molecule/tenant/acme/bootstrap"


@pytest.mark.parametrize(
    ("identity", "part"),
    [
        ("", "owner"),
        ("helper@main", "repository"),
        ("acme/helper", "ref"),
        ("acme/helper@", "ref"),
        ("acme/helper@main@main", "ref"),
        ("acme/../helper@main", "repository"),
        ("../helper@main", "owner"),
        ("-acme/helper@main", "owner"),
        ("acme/-helper@main", "repository"),
        ("acme/helper@-upload-pack=x", "ref"),
        ("acme/helper@ma\u0000in", "ref"),
        ("acme/help\ner@main", "repository"),
    ],
    ids=repr,
)
def test_a_malformed_identity_is_refused_by_its_part(shared: Lab, identity: str, part: str) -> None:
    tenant = shared.tenant_once("acme")
    calls = shared.aws.calls.mark()

    refused = tenant.call("POST", "/workspaces", {"template": identity})

    assert refused.status_code == 422
    assert refused.json()["code"] == "identity-malformed"
    assert part in refused.json()["detail"]
    # A provisioner that has just started still looks for what there is, which has nothing to do with the request.
    asked = shared.aws.calls.find(
        since=calls, principal="provisioner", where=lambda call: not call.operation.startswith("Describe")
    )
    assert asked == []
    assert tenant.call("GET", "/workspaces").json() == {"workspaces": []}


def test_a_restart_with_a_malformed_identity_changes_nothing(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())

    refused = tenant.call("POST", f"/workspaces/{workspace['id']}/restart", {"template": "acme/helper"})

    assert refused.status_code == 422
    assert tenant.shown(workspace["id"]) == workspace


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "template"),
        ({"template": 7}, "template"),
        ({"template": "a/b@c", "transport": "pigeon"}, "transport"),
        ({"template": "a/b@c", "size": 3}, "size"),
        ([], "body"),
    ],
    ids=repr,
)
def test_a_malformed_request_is_refused_by_its_field(shared: Lab, body: object, field: str) -> None:
    refused = shared.tenant_once("acme").call("POST", "/workspaces", body)

    assert refused.status_code == 422
    assert refused.json()["code"] == "request-malformed"
    assert field in refused.json()["detail"]


def test_what_does_not_exist_is_not_found(shared: Lab) -> None:
    tenant = shared.tenant_once("acme")
    nobody = "ws-" + "0" * 32
    for method, path in (
        ("GET", ""),
        ("POST", "/restart"),
        ("POST", "/stop"),
        ("POST", "/start"),
        ("DELETE", ""),
    ):
        assert tenant.call(method, f"/workspaces/{nobody}{path}").json()["code"] == "workspace-unknown"
    assert shared.operate("DELETE", "/tenants/nobody").json()["code"] == "tenant-unknown"
    unknown = shared.call("GET", "/nowhere")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "route-unknown")
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert shared.call("PATCH", "/tenants").status_code == 405


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b3A6b3A="}]
)
@pytest.mark.parametrize("path", ["/tenants", "/workspaces", "/workspaces/ws-1"])
def test_without_a_good_token_nothing_is_told(shared: Lab, path: str, header: dict[str, str]) -> None:
    refused = shared.call("GET", path, **header)

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_operators_and_tenants_keep_to_their_own_side(shared: Lab) -> None:
    tenant = shared.tenant_once("acme")

    assert tenant.call("GET", "/tenants").json()["code"] == "operator-only"
    assert tenant.call("PUT", "/tenants/other", {}).status_code == 403
    assert shared.operate("GET", "/workspaces").json()["code"] == "tenant-only"


def test_a_new_tenant_gets_a_whole_secret_and_a_role_that_reads_it_alone(lab: Lab) -> None:
    lab.tenant("acme", db_password="given-password")

    stored = json.loads(lab.aws.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"])
    assert stored["db_password"] == "given-password"
    assert stored.pop("template_repo_token") == ""
    assert len(stored) == 8
    assert len(set(stored.values())) == 8
    assert all(len(value) >= 14 for value in stored.values())
    policy = lab.aws.client("iam").get_role_policy(RoleName="molecule-tenant-acme", PolicyName="bootstrap")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Resource"].endswith(f"secret:{SECRET}-??????")
    assert lab.aws.role_of_profile("molecule-tenant-acme") == "molecule-tenant-acme"


def test_updating_a_tenant_replaces_the_given_fields_only_and_shows_no_token(lab: Lab) -> None:
    lab.tenant("acme")
    secrets = lab.aws.client("secretsmanager")
    before = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])

    updated = lab.operate("PUT", "/tenants/acme", {"bootstrap": {"template_repo_token": "read-scoped"}})

    assert (updated.status_code, updated.json()) == (200, {"tenant": "acme"})
    after = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])
    assert after == before | {"template_repo_token": "read-scoped"}
    assert lab.operate("GET", "/tenants").json() == {"tenants": [{"tenant": "acme"}]}


def test_a_tenant_goes_with_secret_and_role_once_its_workspaces_are_gone(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    assert lab.operate("DELETE", "/tenants/acme").json()["code"] == "tenant-has-workspaces"
    assert tenant.settled(workspace)["status"] == "online"

    tenant.delete(workspace)
    tenant.settled(workspace)
    assert lab.operate("DELETE", "/tenants/acme").status_code == 204

    assert lab.aws.client("secretsmanager").list_secrets()["SecretList"] == []
    assert lab.aws.client("iam").list_roles()["Roles"] == []
    assert lab.aws.client("iam").list_instance_profiles()["InstanceProfiles"] == []
    assert tenant.call("GET", "/workspaces").status_code == 401
    assert lab.tenant().call("GET", "/workspaces").status_code == 200


def test_no_secret_but_the_bootstrap_secret_is_ever_written(lab: Lab) -> None:
    tenant = lab.tenant()
    workspace = tenant.settled(tenant.create())["id"]
    tenant.ask("restart", workspace)
    tenant.settled(workspace)

    written = lab.aws.calls.find(
        "secretsmanager:*", principal="provisioner", where=lambda call: "Get" not in call.operation
    )
    assert {call.operation for call in written} == {"CreateSecret"}
    assert [secret["Name"] for secret in lab.aws.client("secretsmanager").list_secrets()["SecretList"]] == [
        SECRET
    ]


def test_secret_values_are_neither_logged_nor_repeated(lab: Lab) -> None:
    value = "correct-horse-battery-staple"
    bad = lab.operate("PUT", "/tenants/acme", {"bootstrap": {"db_password": value, "unknown": value}})
    assert bad.status_code == 422
    worse = lab.operate("PUT", "/tenants/acme", {"bootstrap": {"db_password": [value]}})
    assert worse.status_code == 422
    torn = lab.http.put(
        f"{lab.provisioner.url}/tenants/acme",
        content=f'{{"bootstrap": {{"db_password": "{value}"',
        headers={"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json"},
    )
    assert torn.status_code == 422

    with lab.aws.faults.deny("secretsmanager:CreateSecret"):
        denied = lab.operate("PUT", "/tenants/acme", {"bootstrap": {"db_password": value}})
    assert denied.status_code == 502
    assert denied.json()["code"] == "cloud-error"
    tenant = lab.tenant("acme", db_password=value)
    tenant.settled(tenant.create())
    lab.provisioner.stop()

    for text in (bad.text, worse.text, torn.text, denied.text, *lab.provisioner.log):
        assert value not in text
        assert tenant.token not in text
        assert OPERATOR not in text


def test_a_body_beyond_all_measure_is_refused(shared: Lab) -> None:
    refused = httpx.post(
        f"{shared.provisioner.url}/registry/register", content=b"x" * (33 << 20), timeout=60, trust_env=False
    )
    assert (refused.status_code, refused.json()["code"]) == (413, "body-too-large")


def test_nothing_but_the_truth_about_its_health(shared: Lab) -> None:
    assert shared.call("GET", "/healthz").json() == {"status": "ok"}
