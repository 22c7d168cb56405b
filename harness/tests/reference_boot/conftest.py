"""A small world for the boot agent alone: AWS, instance metadata and a template host as in a run, and a stand-in
for the provisioner that accepts who registers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from werkzeug.wrappers import Request, Response

from harness.reference.fetch.limits import Limits
from harness.reference.provisioner.artifacts import Artifacts
from harness.runtime.ports import Port
from harness.templates import Template, TemplateFile
from harness.world.aws import AwsGateway
from harness.world.metadata import MachineIdentity, Metadata
from harness.world.server import Server
from harness.world.template_host import Repository, TemplateHost

HARNESS = Path(__file__).parents[2]
TENANT = "acme"
SECRET = f"molecule/tenant/{TENANT}/bootstrap"
ROLE = f"molecule-tenant-{TENANT}"
INSTANCE = "i-0123456789abcdef0"
BUCKET = "artifacts-of-the-provisioner"
FIELDS = (
    "db_password",
    "admin_token",
    "secrets_encryption_key",
    "tunnel_token",
    "ghcr_token",
    "cp_admin_api_token",
    "shared_secret",
    "display_session_signing_secret",
)
BOOTSTRAP = {name: f"bootstrap-value-of-{name}" for name in FIELDS}
ASSUMED_BY_EC2 = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
MAY_READ = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": f"arn:aws:secretsmanager:*:*:secret:{SECRET}-??????",
        },
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/tenants/{TENANT}/*",
        },
    ],
}

CONFIG = b"""# what this agent is
name: Helper
description: helps
version: 1.2.0
runtime: claude-code
prompt_files:
  - system-prompt.md
skills:
  - audit
  - review
"""
"""Names two skills, and has a key that no fallback writes."""


def skill(name: str, *commands: str) -> dict[str, TemplateFile]:
    manual = f"---\nname: {name}\ndescription: does the {name}\n---\n\n# {name}\n".encode()
    return {
        f"agent-skills/{name}/SKILL.md": TemplateFile(manual),
        f"agent-skills/{name}/scripts/run.sh": TemplateFile(b"#!/bin/sh\necho run\n", "755"),
        **{
            f"agent-skills/{name}/commands/{each}.md": TemplateFile(f"# {each}\n".encode())
            for each in commands
        },
    }


def template() -> Template:
    """The ordinary template of these tests."""
    files = {
        "config.yaml": TemplateFile(CONFIG),
        "system-prompt.md": TemplateFile(b"You help.\n"),
        "prompts/greeting.md": TemplateFile("Grüß Gott\r\n".encode()),
        "prompts/empty.md": TemplateFile(b""),
        **skill("audit", "audit", "report"),
        **skill("review"),
        "README.md": TemplateFile(b"not an asset\n"),
    }
    return Template(files)


class Provisioner:
    """Accepts registrations and heartbeats, and keeps them."""

    def __init__(self) -> None:
        self.registrations: list[dict[str, Any]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.answer_to_heartbeat = 204
        self.answers_to_register: list[int] = []
        """Statuses to give before the good answers begin."""
        self.legacy_config: Any = None
        self.asked: list[dict[str, Any]] = []
        """Who asked for it."""
        self._changed = Condition()
        self._server = Server("provisioner", self)
        self.url = self._server.url()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        body = json.loads(request.get_data())
        with self._changed:
            if request.path == "/registry/register":
                answer = self._register(body)
            elif request.path == "/registry/legacy-config":
                self.asked.append(body)
                answer = Response(json.dumps({"config": self.legacy_config}), content_type="application/json")
            else:
                self.heartbeats.append(body | {"authorization": request.headers.get("Authorization")})
                answer = Response(status=self.answer_to_heartbeat)
            self._changed.notify_all()
        return answer(environ, start_response)

    def _register(self, body: dict[str, Any]) -> Response:
        if self.answers_to_register:
            return Response("told to refuse", self.answers_to_register.pop(0))
        self.registrations.append(body)
        return Response(
            json.dumps({"auth_token": "token-of-the-agent", "heartbeat_seconds": 0.05, "status": "online"}),
            content_type="application/json",
        )

    def await_heartbeats(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heartbeats) >= count, timeout=10)

    def close(self) -> None:
        self._server.close()


@dataclass
class Machine:
    """A boot agent that runs, or ran, as a process."""

    process: subprocess.Popen[bytes]
    console: Path
    url: str

    def wait(self) -> int:
        return self.process.wait(timeout=30)

    def card(self) -> Any:
        return httpx.get(f"{self.url}/.well-known/agent-card.json", trust_env=False).json()


@dataclass
class World:
    aws: AwsGateway
    metadata: Metadata
    templates: TemplateHost
    provisioner: Provisioner
    directory: Path
    repository: Repository
    ports: ExitStack
    identity: str = "acme/helper@main"
    orders: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def configs(self) -> Path:
        return self.data / "configs"

    def report(self) -> Any:
        return json.loads((self.data / ".boot" / "report.json").read_text())

    def user_data(self) -> dict[str, Any]:
        self.sequence += 1
        repository, _, ref = self.identity.partition("@")
        return {
            "schema": 1,
            "workspace": "ws-" + "0" * 32,
            "tenant": TENANT,
            "boot": {"sequence": self.sequence, "reason": "provision" if self.sequence == 1 else "restart"},
            "template": {"identity": self.identity, "repository": repository, "ref": ref, "commit": None},
            "transport": "git",
            "template_host": self.templates.url,
            "bootstrap_secret": SECRET,
            "provisioner": self.provisioner.url,
            "heartbeat_seconds": 0.05,
            **({"object": self.published()} if self.orders.get("transport") == "object" else {}),
            **self.orders,
        }

    def published(self) -> dict[str, Any]:
        """What a provisioner publishes for the next boot, and tells it of that."""
        repository, _, ref = self.identity.partition("@")
        limits = Limits.with_overrides(self.orders.get("fetch_limits", {}))
        publisher: Any = SimpleNamespace(s3=self.aws.client("s3"), bootstrap=lambda _: self.bootstrap())
        artifacts = Artifacts(publisher, publisher, BUCKET, self.templates.url, limits)
        return artifacts.publish(TENANT, repository, ref)

    def bootstrap(self) -> dict[str, str]:
        answer = self.aws.client("secretsmanager").get_secret_value(SecretId=SECRET)
        fields: dict[str, str] = json.loads(answer["SecretString"])
        return fields

    def command(self) -> tuple[list[str], dict[str, str], str]:
        """What to run, in which environment, and where it will answer."""
        self.data.mkdir(exist_ok=True)
        port = Port.any_free()
        self.ports.callback(port.release)
        self.metadata.remove(INSTANCE)
        endpoint = self.metadata.add(
            MachineIdentity(
                INSTANCE,
                ROLE,
                json.dumps(self.user_data()).encode(),
                lambda: "127.0.0.1",
                "ami-1",
                "us-east-1a",
            )
        )
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint,
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": self.aws.region,
            "AWS_DEFAULT_REGION": self.aws.region,
            "TMPDIR": str(self.directory),
        }
        arguments = [
            sys.executable,
            "-m",
            "reference.boot",
            "--data",
            str(self.data),
            "--port",
            str(port.number),
        ]
        return arguments, environment, f"http://127.0.0.1:{port.number}"

    @contextmanager
    def machine(self, *, around: tuple[str, ...] = ()) -> Iterator[Machine]:
        """A machine from its power-on; it is off at the end. `around` is a command to run the boot under."""
        arguments, environment, url = self.command()
        console = self.directory / f"console-{self.sequence}"
        with console.open("wb") as output:
            process = subprocess.Popen(
                [*around, *arguments], cwd=HARNESS, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield Machine(process, console, url)
        finally:
            process.kill()
            process.wait()

    def boot(self) -> Any:
        """Boot until the agent's first heartbeat or the boot's end, then power off; the boot report."""
        heartbeats = len(self.provisioner.heartbeats)
        registered = len(self.provisioner.registrations)
        with self.machine() as machine:
            while machine.process.poll() is None and len(self.provisioner.heartbeats) == heartbeats:
                with self.provisioner._changed:
                    self.provisioner._changed.wait(0.02)
            assert len(self.provisioner.registrations) > registered, machine.console.read_text()
        report = self.provisioner.registrations[-1]["report"]
        assert report == self.report()
        assert report["error"] is None or report["error"]["hint"], report
        return report

    def set_bootstrap(self, bootstrap: Mapping[str, str]) -> None:
        self.aws.client("secretsmanager").put_secret_value(
            SecretId=SECRET, SecretString=json.dumps(bootstrap)
        )

    def set_token(self, token: str) -> None:
        self.set_bootstrap(BOOTSTRAP | {"template_repo_token": token})

    def publish(self, published: Template) -> str:
        return self.repository.publish(published)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """AWS with a tenant, a public template `acme/helper`, and nothing booted yet."""
    with (
        AwsGateway() as aws,
        Metadata(aws) as metadata,
        TemplateHost(tmp_path / "repositories") as templates,
        ExitStack() as ports,
    ):
        _make_tenant(aws, BOOTSTRAP)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        provisioner = Provisioner()
        try:
            repository = templates.create_repository("acme/helper", private=False)
            yield World(aws, metadata, templates, provisioner, tmp_path, repository, ports)
        finally:
            provisioner.close()


def _make_tenant(aws: AwsGateway, bootstrap: Mapping[str, str]) -> None:
    iam = aws.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_EC2))
    iam.put_role_policy(RoleName=ROLE, PolicyName="bootstrap", PolicyDocument=json.dumps(MAY_READ))
    aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(bootstrap))
