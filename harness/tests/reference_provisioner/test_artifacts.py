"""Templates published in S3: once a version and tenant, for that tenant alone, and proven to its machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.templates import Template, TemplateFile
from harness.world.template_host import Repository, TemplateHost
from harness.world.template_host.faults import Watched

from .lab import Lab, Tenant, open_lab

BUCKET = "artifacts-of-this-test"
TEMPLATE = Template(
    {
        "config.yaml": TemplateFile(b"name: Helper\n"),
        "prompts/hello.md": TemplateFile(b"Hello\n"),
        "README.md": TemplateFile(b"not an asset\n"),
    }
)


@dataclass
class Works:
    """A lab with a template host, a private template and a bucket."""

    lab: Lab
    host: TemplateHost
    repository: Repository

    def tenant(self, name: str = "acme", **bootstrap: str) -> Tenant:
        token = self.host.issue_token("acme/helper")
        return self.lab.tenant(name, template_repo_token=token, **bootstrap)

    def keys(self) -> list[str]:
        found = self.lab.aws.client("s3").list_objects_v2(Bucket=BUCKET)
        return [each["Key"] for each in found.get("Contents", [])]

    def published(self) -> dict[str, Any]:
        """What the machine that booted last was told."""
        told: dict[str, Any] = self.lab.booted[-1].user_data["object"]
        return told


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    with (
        TemplateHost(tmp_path / "repositories") as host,
        open_lab(tmp_path, TEMPLATE_HOST_URL=host.url, ARTIFACT_BUCKET=BUCKET) as lab,
    ):
        lab.aws.client("s3").create_bucket(Bucket=BUCKET)
        repository = host.create_repository("acme/helper", private=True)
        repository.publish(TEMPLATE)
        yield Works(lab, host, repository)


def test_a_version_is_published_with_all_that_proves_it(works: Works) -> None:
    tenant = works.tenant()
    tenant.settled(tenant.create("acme/helper@main", transport="object"))

    told = works.published()
    content = works.lab.aws.client("s3").get_object(Bucket=BUCKET, Key=told["key"])["Body"].read()
    index, bodies = content[: told["index_size"]], content[told["index_size"] :]
    assert told["commit"] == works.repository.find("main")
    assert told["key"].startswith(f"tenants/acme/acme/helper/{told['commit']}")
    assert (told["size"], told["index_sha256"]) == (len(content), sha256(index).hexdigest())
    assert json.loads(index)["entries"] == [
        ["README.md", "file", 0o644, 13, None],
        ["config.yaml", "file", 0o644, 13, sha256(b"name: Helper\n").hexdigest()],
        ["prompts/hello.md", "file", 0o644, 6, sha256(b"Hello\n").hexdigest()],
    ]
    assert bodies == b"name: Helper\nHello\n"


def test_a_version_is_fetched_once_however_many_boots_ask_for_it(works: Works) -> None:
    tenant = works.tenant()
    with works.host.intercept("acme/helper", Watched()) as fetches:
        workspaces = [tenant.create("acme/helper@main", transport="object") for _ in range(12)]
        for workspace in workspaces:
            assert tenant.settled(workspace)["status"] == "online"
        tenant.ask("restart", workspaces[0])
        assert tenant.settled(workspaces[0])["status"] == "online"
        assert fetches.hits == 1
        works.repository.publish(TEMPLATE.with_file("prompts/new.md", b"New\n"))
        tenant.ask("restart", workspaces[0])
        tenant.settled(workspaces[0])
        assert fetches.hits == 2
    assert works.published()["commit"] == works.repository.find("main")
    assert len(works.keys()) == 2


@pytest.mark.parametrize("damage", ["missing", "cut", "unmarked"])
def test_what_is_not_whole_in_the_bucket_is_published_again(works: Works, damage: str) -> None:
    tenant = works.tenant()
    workspace = tenant.create("acme/helper@main", transport="object")
    tenant.settled(workspace)
    before = works.published()
    s3, key = works.lab.aws.client("s3"), before["key"]
    found = s3.get_object(Bucket=BUCKET, Key=key)
    content = found["Body"].read()
    if damage == "missing":
        s3.delete_object(Bucket=BUCKET, Key=key)
    elif damage == "cut":
        s3.put_object(Bucket=BUCKET, Key=key, Body=content[:-1], Metadata=found["Metadata"])
    else:
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    tenant.ask("restart", workspace)

    assert tenant.settled(workspace)["status"] == "online"
    assert works.published() == before
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content


def test_tenants_share_nothing_and_leave_nothing(works: Works) -> None:
    acme, other = works.tenant("acme"), works.tenant("acme-2")
    for tenant in (acme, other):
        workspace = tenant.create("acme/helper@main", transport="object")
        tenant.settled(workspace)
        tenant.delete(workspace, purge=True)
        tenant.settled(workspace)
    theirs, mine = sorted(works.keys())
    assert (mine.split("/")[1], theirs.split("/")[1]) == ("acme", "acme-2")
    role = works.lab.aws.assume("molecule-tenant-acme", "i-1", timedelta(minutes=5))
    s3 = works.lab.aws.client_of(role, "s3")
    assert s3.get_object(Bucket=BUCKET, Key=mine)["Body"].read()
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=BUCKET, Key=theirs)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=BUCKET, Key=mine, Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=BUCKET)

    assert works.lab.operate("DELETE", "/tenants/acme").status_code == 204
    assert works.keys() == [theirs]


def test_a_role_of_before_is_let_read_when_its_tenant_is_put_again(works: Works) -> None:
    works.tenant()
    iam = works.lab.aws.client("iam")
    policy = {"RoleName": "molecule-tenant-acme", "PolicyName": "bootstrap"}
    whole = iam.get_role_policy(**policy)["PolicyDocument"]
    less = {**whole, "Statement": whole["Statement"][:1]}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(less))

    assert works.lab.operate("PUT", "/tenants/acme", {}).status_code == 200

    assert iam.get_role_policy(**policy)["PolicyDocument"] == whole
    assert whole["Statement"][1]["Action"] == "s3:GetObject"


@pytest.mark.parametrize(
    ("template", "action", "code"),
    [
        ("acme/helper@nowhere", None, "ref-not-found"),
        ("acme/nothing@main", None, "template-not-found"),
        ("acme/helper@main", "s3:PutObject", "artifact-not-published"),
        ("acme/helper@main", "s3:HeadObject", "artifact-not-published"),
    ],
)
def test_why_a_template_is_not_published_is_told_to_the_machine(
    works: Works, template: str, action: str | None, code: str
) -> None:
    tenant = works.tenant()
    with works.lab.aws.faults.deny(action or "nothing:Nothing"):
        tenant.settled(tenant.create(template, transport="object"))
    error = works.published()["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    assert works.keys() == []


def test_assets_that_hold_a_bootstrap_value_never_reach_the_bucket(works: Works) -> None:
    tenant = works.tenant(db_password="a-password-of-acme")
    works.repository.publish(TEMPLATE.with_file("prompts/leak.md", b"say a-password-of-acme\n"))
    tenant.settled(tenant.create("acme/helper@main", transport="object"))
    error = works.published()["error"]
    assert error["code"] == "credential-in-assets"
    assert "prompts/leak.md" in error["message"]
    assert "a-password-of-acme" not in json.dumps(error) + "\n".join(works.lab.provisioner.log)
    assert works.keys() == []


def test_without_a_bucket_the_transport_is_refused_by_name(lab: Lab) -> None:
    tenant = lab.tenant()
    answer = tenant.call("POST", "/workspaces", {"template": "acme/helper@main", "transport": "object"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "transport-not-offered"
    assert "ARTIFACT_BUCKET" in answer.json()["detail"]
