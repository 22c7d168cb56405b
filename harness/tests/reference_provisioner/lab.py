"""A provisioner as a real process, in an AWS whose machines are played by the test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Any

import httpx
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials

from harness.world.aws import AwsGateway, Call
from harness.world.server import Server

from .contract import check

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed.wsgi import WSGIEnvironment

OPERATOR = "operator-token-of-this-test"
DIGEST = "5f" * 32
COMMIT = "c0ffee" + "0" * 34
PATIENCE = 30.0
"""Seconds within which anything that must happen does, however busy the computer is."""

Play = Callable[["Machine"], object]


@dataclass
class Machine:
    """What a boot agent does on one machine, with nothing behind it."""

    lab: Lab
    instance: str
    user_data: dict[str, Any]
    role: str

    @property
    def workspace(self) -> str:
        return str(self.user_data["workspace"])

    @property
    def sequence(self) -> int:
        return int(self.user_data["boot"]["sequence"])

    @property
    def url(self) -> str:
        return f"{self.lab.agents.url()}/{self.instance}"

    def proof(self, *, role: str | None = None, session: str | None = None) -> str:
        minted = self.lab.aws.assume(role or self.role, session or self.instance, timedelta(minutes=5))
        return presigned(
            self.lab.aws.url,
            SigningCredentials(minted.access_key_id, minted.secret_access_key, minted.token),
        )

    def report(self, **changes: Any) -> dict[str, Any]:
        template = self.user_data["template"]
        tree = {"files": 3, "digest": DIGEST}
        return {
            "schema": 1,
            "workspace": self.workspace,
            "boot": self.user_data["boot"],
            "started_at": "2026-01-01T00:00:00.000Z",
            "finished_at": "2026-01-01T00:00:01.250Z",
            "identity": template["identity"],
            "repository": template["repository"],
            "ref": template["ref"],
            "commit": COMMIT,
            "transport": self.user_data["transport"],
            "outcome": "ready",
            "error": None,
            "expected": tree,
            "delivered": tree,
            "paths": [{"path": "config.yaml", "action": "delivered", "reason": "new", "aside": None}],
            "skills": [{"name": "audit", "status": "loaded", "reason": None, "commands": ["audit.md"]}],
            "fetched": {"bytes": 1000, "requests": 4},
            **changes,
        }

    def card(self) -> dict[str, Any]:
        return {"name": "agent", "skills": [{"id": "audit", "name": "Audit", "tags": ["audit.md"]}]}

    def register(self, report: Mapping[str, Any] | None = None, **changes: Any) -> httpx.Response:
        body = {
            "workspace": self.workspace,
            "boot_sequence": self.sequence,
            "identity_proof": self.proof(),
            "report": report or self.report(),
            "agent_card": self.card(),
            "agent_url": self.url,
        } | changes
        return self.lab.http.post(f"{self.lab.provisioner.url}/registry/register", json=body)

    def heartbeat(self, token: str, sequence: int | None = None) -> int:
        answer = self.lab.http.post(
            f"{self.lab.provisioner.url}/registry/heartbeat",
            json={"workspace": self.workspace, "boot_sequence": sequence or self.sequence},
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.status_code


def presigned(endpoint: str, credentials: SigningCredentials, action: str = "GetCallerIdentity") -> str:
    """The query string of a presigned request to STS."""
    request = AWSRequest("GET", f"{endpoint}/?Action={action}&Version=2011-06-15")
    SigV4QueryAuth(credentials, "sts", "us-east-1", expires=60).add_auth(request)
    return str(request.url).partition("?")[2]


class Agents:
    """Answers the health probes of every agent there is, or does not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failing: dict[str, int] = {}
        self._probes: list[str] = []
        self._server = Server("agents", self)

    def url(self) -> str:
        return self._server.url()

    def fail(self, instance: str, probes: int = 1_000_000) -> None:
        """Let so many probes of this agent fail from now on."""
        with self._lock:
            self._failing[instance] = probes

    def probes(self, instance: str) -> int:
        with self._lock:
            return self._probes.count(instance)

    def close(self) -> None:
        self._server.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        instance = str(environ["PATH_INFO"]).split("/")[1]
        with self._lock:
            self._probes.append(instance)
            left = self._failing.get(instance, 0)
            self._failing[instance] = max(0, left - 1)
        start_response("503 Dead" if left else "200 OK", [("Content-Length", "2")])
        return [b"ok"]


class Provisioner:
    """The process, which can be killed and started again on the same database."""

    def __init__(self, aws: AwsGateway, directory: Path, environment: Mapping[str, str]) -> None:
        keys = aws.administrator("provisioner")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_REGION": aws.region,
            "PROVISIONER_ADMIN_TOKEN": OPERATOR,
            "PROVISIONER_PUBLIC_URL": "http://provisioner.example",
            "PROVISIONER_DATABASE_URL": f"sqlite:///{directory / 'provisioner.sqlite3'}",
            "TEMPLATE_HOST_URL": "http://templates.example",
            "BOOT_IMAGE_ID": aws.register_image("boot"),
            "HEARTBEAT_SECONDS": "0.2",
            "HEARTBEAT_WINDOW_SECONDS": "0.6",
            "BOOT_TIMEOUT_SECONDS": "25",
            "LAUNCH_TIMEOUT_SECONDS": "10",
            **environment,
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: Thread | None = None
        self.log: list[str] = []
        self.url = ""

    def start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "reference.provisioner", "--port", "0"],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        urls: SimpleQueue[str] = SimpleQueue()
        assert process.stderr is not None
        self._process = process
        self._reader = Thread(target=self._read, args=(process.stderr, urls), daemon=True)
        self._reader.start()
        try:
            self.url = urls.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError("the provisioner does not serve:\n" + "\n".join(self.log)) from None

    def kill(self) -> None:
        """As a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """In order; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._end()

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self) -> int:
        assert self._process is not None
        assert self._reader is not None
        status = self._process.wait(PATIENCE)
        self._reader.join()
        return status

    def _read(self, stream: IO[str], urls: SimpleQueue[str]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip())
                if found := re.search(r"serving on (http://\S+)", line):
                    urls.put(found[1])


@dataclass
class Tenant:
    """A tenant as a caller of the API."""

    lab: Lab
    name: str
    token: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.lab.call(method, path, body, Authorization=f"Bearer {self.token}", **headers)

    def create(self, template: str = "acme/helper@main", **more: Any) -> str:
        answer = self.call("POST", "/workspaces", {"template": template, **more})
        assert answer.status_code == 202, answer.text
        workspace = answer.json()
        assert workspace["status"] == "provisioning"
        assert answer.headers["Location"] == f"/workspaces/{workspace['id']}"
        return str(workspace["id"])

    def ask(self, verb: str, workspace: str, body: Any = None) -> dict[str, Any]:
        answer = self.call("POST", f"/workspaces/{workspace}/{verb}", body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def delete(self, workspace: str, *, purge: bool = False) -> dict[str, Any]:
        answer = self.call("DELETE", f"/workspaces/{workspace}?purge={str(purge).lower()}")
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def settled(self, workspace: str) -> dict[str, Any]:
        answer = self.call("GET", f"/workspaces/{workspace}", Prefer=f"wait={PATIENCE:.0f}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["Preference-Applied"] == "wait"
        assert answer.json()["pending"] == [], answer.text
        return dict(answer.json())

    def shown(self, workspace: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/workspaces/{workspace}").json())


@dataclass
class Lab:
    """Everything of one test."""

    aws: AwsGateway
    agents: Agents
    http: httpx.Client
    directory: Path
    provisioner: Provisioner
    play: Play = lambda machine: machine.register().raise_for_status()
    """What a machine does when its volume is attached, and it boots."""
    booted: list[Machine] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    """What went wrong in the play of a machine."""
    _tenants: dict[str, Tenant] = field(default_factory=dict)
    _power: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(method, f"{self.provisioner.url}{path}", json=body, headers=headers)

    def operate(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.call(method, path, body, Authorization=f"Bearer {OPERATOR}")

    def tenant(self, name: str = "acme", **bootstrap: str) -> Tenant:
        answer = self.operate("PUT", f"/tenants/{name}", {"bootstrap": bootstrap})
        assert answer.status_code == 201, answer.text
        return Tenant(self, name, answer.json()["token"])

    def tenant_once(self, name: str) -> Tenant:
        """The same tenant whenever it is asked for."""
        if name not in self._tenants:
            self._tenants[name] = self.tenant(name)
        return self._tenants[name]

    def machines(self, workspace: str) -> list[str]:
        """Instances of the workspace that EC2 has and has not terminated."""
        answer = self.aws.client("ec2").describe_instances(
            Filters=[{"Name": "tag:molecule:workspace", "Values": [workspace]}]
        )
        return [
            instance["InstanceId"]
            for group in answer["Reservations"]
            for instance in group["Instances"]
            if instance["State"]["Name"] not in {"shutting-down", "terminated"}
        ]

    def volumes(self, workspace: str) -> list[str]:
        answer = self.aws.client("ec2").describe_volumes(
            Filters=[{"Name": "tag:molecule:workspace", "Values": [workspace]}]
        )
        return [volume["VolumeId"] for volume in answer["Volumes"]]

    def unregistered(self, tenant: Tenant, template: str = "acme/helper@main") -> Machine:
        """The machine of a new workspace, which has booted and has not yet said so."""
        self.play = lambda machine: None
        calls = self.aws.calls.mark()
        workspace = tenant.create(template)
        self.aws.calls.wait("ec2:AttachVolume", since=calls, timeout=PATIENCE)
        (machine,) = self.boots(workspace)
        return machine

    def boots(self, workspace: str) -> list[Machine]:
        return [machine for machine in self.booted if machine.workspace == workspace]

    def attached(self, call: Call) -> None:
        instance = call.parameters["InstanceId"]
        ec2 = self.aws.client("ec2")
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        data = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
        profile = described["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        user_data = json.loads(b64decode(data))
        if "workspace" not in user_data:
            return
        machine = Machine(self, instance, user_data, self.aws.role_of_profile(profile) or "")
        self.booted.append(machine)
        self._power.submit(self._boot, machine)

    def _boot(self, machine: Machine) -> None:
        try:
            self.play(machine)
        except httpx.TransportError:
            # The provisioner is down at this moment; a boot agent tries again for a while.
            time.sleep(0.2)
            if self.directory.exists():
                self._power.submit(self._boot, machine)
        except BaseException as error:
            self.broken.append(error)

    def close(self) -> None:
        self._power.shutdown(cancel_futures=True)


def _check(answer: httpx.Response) -> None:
    answer.read()
    check(answer)


@contextmanager
def open_lab(directory: Path, account: str | None = None, **environment: str) -> Iterator[Lab]:
    """Labs of one account share one cloud."""
    hooks = {"response": [_check]}
    with (
        AwsGateway(account=account) as aws,
        httpx.Client(timeout=60, trust_env=False, event_hooks=hooks) as http,
    ):
        agents = Agents()
        lab = Lab(aws, agents, http, directory, Provisioner(aws, directory, environment))
        aws.after("ec2:AttachVolume", lab.attached)
        try:
            lab.provisioner.start()
            yield lab
        finally:
            lab.close()
            if lab.provisioner.running():
                lab.provisioner.kill()
            agents.close()
        assert not lab.broken, lab.broken
        assert not aws.defects, aws.defects
