"""The disposable cloud of one worker: AWS, a template host, machines, and the implementation's provisioner in it."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.contract.adapter import lifecycle_of
from harness.contract.lifecycle import Lifecycle, Schema
from harness.contract.manifest import Implementation, Part
from harness.runtime.base import Machine, MachineSpec, Runtime
from harness.runtime.placeholders import fill

from .aws.gateway import HARNESS, AwsGateway
from .hypervisor import SHUTDOWN_GRACE, Hypervisor, MachineImage
from .metadata import Metadata
from .template_host.host import TemplateHost

if TYPE_CHECKING:
    from pathlib import Path

    from .aws.calls import Call
    from .template_host.record import RecordedRequest

PROVISIONER = "provisioner"
_THING = re.compile(rb"\b(?:i|vol|snap)-[0-9a-f]+\b")
START_SECONDS = 30.0
"""How long a provisioner may take to answer."""


class CloudProblem(Exception):
    """The cloud could not be stood up; one line saying what to do."""


class Images(Protocol):
    """Which image a part of the implementation runs from."""

    def __call__(self, part: Part) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts that people talk to listen; 0 is any free port."""

    aws: int = 0
    template_host: int = 0


ANY_PORTS = Ports()


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in everything that the cloud records."""

    calls: int
    requests: int
    made: int
    violations: int
    log: int


class Cloud:
    """Stands from the moment it is made until `close`, which takes it down in reverse order."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        implementation: Implementation,
        images: Images,
        root: Path,
        progress: Callable[[str], None] = lambda _: None,
        ports: Ports = ANY_PORTS,
        salvage: Mapping[str, Path] | None = None,
        canary_key: bytes | None = None,
    ) -> None:
        """`root` is an empty directory for the repositories; for `salvage` see MachineSpec.

        The tenants' secrets come from `canary_key`; None is a new one. Raises CloudProblem, PortInUse, MachineError.
        """
        self.runtime = runtime
        self.implementation = implementation
        self.schema = Schema()
        self.canary_key = canary_key or secrets.token_bytes(32)
        self.operator_token = secrets.token_urlsafe(24)
        self._salvage = salvage or {}
        self._undo = ExitStack()
        try:
            self._stand_up(images, root, progress, ports)
        except BaseException:
            self._undo.close()
            raise

    def _stand_up(self, images: Images, root: Path, progress: Callable[[str], None], ports: Ports) -> None:
        bind, advertise = self.runtime.bind_host, self.runtime.advertise_host
        progress("starting AWS, instance metadata and the template host")
        self.aws = AwsGateway(bind_host=bind, advertise_host=advertise, port=ports.aws)
        self._undo.callback(self.aws.close)
        self.metadata = Metadata(self.aws, bind_host=bind, advertise_host=advertise)
        self._undo.callback(self.metadata.close)
        self.template_host = TemplateHost(
            root, bind_host=bind, advertise_host=advertise, port=ports.template_host
        )
        self._undo.callback(self.template_host.close)
        self.hypervisor = Hypervisor(self.aws, self.metadata, self.runtime)
        self._undo.callback(self.hypervisor.close)
        self.artifact_bucket = f"artifacts-{secrets.token_hex(8)}"
        if "object" in self.implementation.capabilities.transports:
            self.aws.client("s3").create_bucket(Bucket=self.artifact_bucket)
        machine = self.implementation.machine
        self.machine_image_id = self.hypervisor.register(
            f"{self.implementation.name}-{self.implementation.version}",
            self._machine_image(machine, images(machine)),
        )
        progress(f"starting the provisioner of {self.implementation.name} {self.implementation.version}")
        self.provisioner = self._make_provisioner(images(self.implementation.provisioner))
        self._undo.callback(self.provisioner.remove)
        self._undo.callback(self.provisioner.stop, SHUTDOWN_GRACE)
        self.provisioner.start()
        self.lifecycle: Lifecycle = lifecycle_of(self.implementation)(
            self.provisioner.url(), self.operator_token
        )
        self._undo.callback(self.lifecycle.close)
        self.await_provisioner()

    def await_provisioner(self) -> None:
        """Wait until it answers. Raises CloudProblem with the end of its log where it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not self.lifecycle.healthy():
            if not self.provisioner.running() or time.monotonic() > deadline:
                tail = self.provisioner.console().decode(errors="replace")[-2000:]
                raise CloudProblem(f"the provisioner does not answer /healthz; the end of its log:\n{tail}")
            time.sleep(0.03)

    def start_provisioner(self) -> None:
        """Power it on again, with the root disk that it had. Raises CloudProblem where it does not answer."""
        self.provisioner.start()
        self.lifecycle.move(self.provisioner.url())
        self.await_provisioner()

    def mark(self) -> Mark:
        """Now."""
        return Mark(
            calls=self.aws.calls.mark(),
            requests=self.template_host.requests.mark(),
            made=self.hypervisor.mark(),
            violations=len(self.lifecycle.violations()),
            log=len(self.provisioner.console()),
        )

    def calls_since(self, mark: Mark) -> list[Call]:
        """What the implementation, and nobody else, asked of AWS."""
        return self.aws.calls.find(where=lambda call: call.principal != HARNESS, since=mark.calls)

    def concerns(self, call: Call, names: Iterable[str]) -> bool:
        """Whether a call names any of these, or a volume or an instance that was made by a call that does."""
        names = tuple(names)
        said = call.body + _user_data(call)
        if any(name.encode() in said for name in names):
            return True
        makers = [self.hypervisor.maker(thing.decode()) for thing in set(_THING.findall(said))]
        return any(self.concerns(maker, names) for maker in makers if maker is not None)

    def template_requests_since(self, mark: Mark) -> list[RecordedRequest]:
        return list(self.template_host.requests.all(since=mark.requests))

    def provisioner_log_since(self, mark: Mark) -> bytes:
        return self.provisioner.console()[mark.log :]

    def roles_since(self, mark: Mark) -> list[str]:
        """The roles that the implementation made since and has not deleted."""
        iam, made = self.aws.client("iam"), self.aws.calls.find("iam:CreateRole", since=mark.calls)
        left = []
        for name in dict.fromkeys(str(call.parameters["RoleName"]) for call in made if call.succeeded):
            with suppress(iam.exceptions.NoSuchEntityException):
                iam.get_role(RoleName=name)
                left.append(name)
        return left

    def defects(self) -> list[str]:
        """What went wrong in the harness itself since it stood; nothing of it may be blamed on an implementation."""
        return [*self.hypervisor.defects, *(f"the AWS endpoint: {defect!r}" for defect in self.aws.defects)]

    def close(self) -> None:
        self._undo.close()

    def _machine_image(self, part: Part, image: str | None) -> MachineImage:
        program = getattr(part, self.runtime.name)
        return MachineImage(
            image=image,
            command=program.command,
            environment=self._environment(part),
            port=part.port,
            home=str(self.implementation.home),
            salvage=self._salvage,
        )

    def _make_provisioner(self, image: str | None) -> Machine:
        part = self.implementation.provisioner
        keys = self.aws.administrator(PROVISIONER)
        places = {
            "aws_endpoint_url": self.aws.url,
            "aws_region": self.aws.region,
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key,
            "template_host_url": self.template_host.url,
            "machine_image_id": self.machine_image_id,
            "artifact_bucket": self.artifact_bucket,
            "operator_token": self.operator_token,
            "public_url": f"http://{self.runtime.host_of(PROVISIONER)}:{{port}}",
        }
        program = getattr(part, self.runtime.name)
        spec = MachineSpec(
            name=PROVISIONER,
            image=image,
            command=tuple(fill(word, places) for word in program.command),
            environment={name: fill(value, places) for name, value in self._environment(part).items()},
            port=part.port,
            home=str(self.implementation.home),
            salvage=self._salvage,
        )
        return self.runtime.create_machine(spec)

    def _environment(self, part: Part) -> dict[str, str]:
        program = getattr(part, self.runtime.name)
        return {**part.environment, **getattr(program, "environment", {})}


def _user_data(call: Call) -> bytes:
    try:
        return base64.b64decode(call.parameters.get("UserData") or "")
    except binascii.Error:
        return b""
