"""Turns moto's instances, volumes and snapshots into machines and disks that really exist.

An instance whose data volume is attached becomes a machine of the image that its AMI stands for. As on EC2, a
machine that dies by itself leaves its instance `running` and, when asked for its status, `impaired`, and a terminated
instance cannot come back.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

from harness.runtime.base import (
    Conditions,
    Entry,
    InjectedFault,
    Injection,
    Machine,
    MachineError,
    MachineSpec,
    NotSupported,
    Runtime,
    Volume,
)

from .aws.errors import AwsError
from .metadata import MachineIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from .aws.calls import Call
    from .aws.gateway import AwsGateway
    from .metadata import Metadata

log = logging.getLogger(__name__)

SHUTDOWN_GRACE = 5.0
"""Seconds between asking a machine to shut down and cutting its power; EC2 gives minutes."""
CONSOLE_LIMIT = 64 * 1024
"""Bytes of console output that GetConsoleOutput gives: the last ones, as on EC2."""
_REACHABLE = {True: ("ok", "passed"), False: ("impaired", "failed"), None: ("initializing", "initializing")}
"""EC2's words for an instance, and for its check, by whether its machine is reached."""


AWAITED = 30.0
"""Seconds that a machine has for asking what it is to do, before a fault is injected all the same."""


@dataclass(frozen=True, slots=True)
class MachineImage:
    """What an AMI stands for."""

    image: str | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    home: str
    salvage: Mapping[str, Path] = field(default_factory=dict)
    """See MachineSpec."""


@dataclass
class Instance:
    """An instance and, once its data volume is attached, its machine. Guarded by `lock`."""

    id: str
    ami: str
    zone: str
    image: MachineImage
    role: str | None
    user_data: bytes
    lock: RLock = field(default_factory=RLock)
    volume: str | None = None
    machine: Machine | None = None
    powered: bool = True
    terminated: bool = False
    start_seconds: float = 0.0
    """What its machine took to be made and powered on, over all its starts."""


@dataclass(eq=False)
class Trial:
    """The next machine of a volume, which is to be under certain conditions."""

    conditions: Conditions
    volume: str | None
    instance: str | None = None
    """The machine that it came to be."""
    injection: Injection | None = None
    refusal: NotSupported | None = None
    left: Mapping[str, Entry] | None = None
    """The whole volume as the machine left it, looked at before the next one was started on it."""

    @property
    def hits(self) -> int:
        """How often the injected fault came about; of other conditions, whether a machine was under them."""
        if self.conditions.fault is None:
            return int(self.instance is not None)
        return self.injection.hits() if self.injection is not None else 0


class Hypervisor:
    """Listens to what the gateway's EC2 does, and does it to real machines."""

    def __init__(self, gateway: AwsGateway, metadata: Metadata, runtime: Runtime) -> None:
        self._gateway = gateway
        self._metadata = metadata
        self._runtime = runtime
        self._images: dict[str, MachineImage] = {}
        self._instances: dict[str, Instance] = {}
        self._volumes: dict[str, Volume] = {}
        self._snapshots: dict[str, Volume] = {}
        self._starting: dict[str, Future[None]] = {}
        self._removals: dict[str, list[Future[None]]] = {}
        self._made: list[str] = []
        self._trials: list[Trial] = []
        self._trials_lock = Lock()
        self._left_behind: dict[str, Trial] = {}
        self._makers: dict[str, Call] = {}
        self._workers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="hypervisor")
        self.defects: list[str] = []
        """What went wrong here, and so is no fault of an implementation."""
        handlers: dict[str, Callable[[Call], None]] = {
            "CreateVolume": self._create_volume,
            "DeleteVolume": self._delete_volume,
            "RunInstances": self._run,
            "AttachVolume": self._attach,
            "DetachVolume": self._detach,
            "StopInstances": self._each(self._stop),
            "StartInstances": self._each(self._power_on),
            "RebootInstances": self._each(self._reboot),
            "TerminateInstances": self._each(self._terminate),
            "CreateSnapshot": self._create_snapshot,
            "DeleteSnapshot": self._delete_snapshot,
        }
        for action, handler in handlers.items():
            gateway.after(f"ec2:{action}", handler)
        gateway.answer("ec2:GetConsoleOutput", self._console_output)
        gateway.amend("ec2:DescribeInstanceStatus", self._statuses)

    # What the harness asks

    def register(self, name: str, image: MachineImage) -> str:
        """The AMI id that stands for `image` from now on."""
        ami = self._gateway.register_image(name)
        self._images[ami] = image
        return ami

    def machine(self, instance: str) -> Machine:
        """The machine of an instance, started. Raises KeyError where it has (or had) none."""
        if starting := self._starting.get(instance):
            starting.result()
        known = self._instances[instance]
        if known.machine is None or known.terminated:
            raise KeyError(instance)
        return known.machine

    def find_machine(self, instance: str) -> Machine | None:
        """The same, or None."""
        try:
            return self.machine(instance)
        except KeyError:
            return None

    def console(self, instance: str) -> bytes:
        """All that it wrote to its console, also after it is gone."""
        known = self._instances.get(instance)
        return known.machine.console() if known is not None and known.machine is not None else b""

    def user_data(self, instance: str) -> bytes:
        """Empty of an instance that never was, whatever an implementation says."""
        known = self._instances.get(instance)
        return known.user_data if known is not None else b""

    def role(self, instance: str) -> str | None:
        """The name of the role that its credentials are of."""
        return self._instances[instance].role

    def volume(self, volume: str) -> Volume:
        return self._volumes[volume]

    def snapshot(self, snapshot: str) -> Volume:
        return self._snapshots[snapshot]

    @contextmanager
    def next_machine(self, conditions: Conditions, *, volume: str | None = None) -> Iterator[Trial]:
        """Within the block, the next start of a machine of the volume (None: of any) is under these conditions.

        A fault is at work before the machine knows what it is to do, and until the end of the block. All else is of a
        machine that is newly made, so that one that is merely started again does not count. Raises NotSupported.
        """
        self._runtime.require(conditions)
        trial = Trial(conditions, volume)
        with self._trials_lock:
            self._trials.append(trial)
        try:
            yield trial
        finally:
            with self._trials_lock:
                if trial in self._trials:
                    self._trials.remove(trial)
            if trial.injection is not None:
                trial.injection.close()
        if trial.refusal is not None:
            raise trial.refusal

    def mark(self) -> int:
        """Now, to ask later what was made since."""
        return len(self._made)

    def launched_since(self, mark: int) -> list[str]:
        """The instances that were launched since, whatever became of them."""
        return [name for name in self._made[mark:] if name in self._instances]

    def start_seconds_since(self, mark: int) -> float:
        """What the machines launched since took to start, one after another."""
        return sum(self._instances[name].start_seconds for name in self.launched_since(mark))

    def machines_since(self, mark: int) -> list[str]:
        """The instances that were launched since and are not terminated."""
        return [name for name in self.launched_since(mark) if not self._instances[name].terminated]

    def machines_on(self, volume: str) -> list[str]:
        """The instances that a volume is attached to and that are powered on."""
        return [each.id for each in self._instances.values() if each.volume == volume and each.powered]

    def maker(self, thing: str) -> Call | None:
        """The call that made an instance, a volume or a snapshot, also of one that is gone."""
        return self._makers.get(thing)

    def volumes_since(self, mark: int) -> list[str]:
        """The volumes that were made since and are not deleted."""
        return [name for name in self._made[mark:] if name in self._volumes]

    def snapshots_since(self, mark: int) -> list[str]:
        """The snapshots that were made since and are not deleted."""
        return [name for name in self._made[mark:] if name in self._snapshots]

    def exists(self, volume: str) -> bool:
        """Whether a volume was made and is not deleted."""
        return volume in self._volumes

    def discard(
        self, instances: Iterable[str], volumes: Iterable[str], snapshots: Iterable[str] = ()
    ) -> None:
        """Remove what a scenario left, whatever AWS was told about it."""
        for name in instances:
            if name in self._instances:
                self._terminate(self._instances[name])
        for name in volumes:
            if volume := self._volumes.pop(name, None):
                self._remove_volume(name, volume)
        for name in snapshots:
            if copy := self._snapshots.pop(name, None):
                self._remove_volume(name, copy)

    def gone_since(self, mark: int) -> set[str]:
        """The instances, volumes and snapshots that were made since and are no more."""
        left = {*self.machines_since(mark), *self._volumes, *self._snapshots}
        return {name for name in self._made[mark:] if name not in left}

    def close(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)

    # What the gateway tells

    def _create_volume(self, call: Call) -> None:
        name = _result(call)["VolumeId"]
        if name in self._volumes:
            return  # the same ClientToken again
        self._makers[name] = call
        self._make_volume(name, call.parameters.get("SnapshotId"))

    def _make_volume(self, name: str, snapshot: str | None) -> None:
        self._made.append(name)
        self._volumes[name] = self._filled_volume(name, snapshot)

    def _filled_volume(self, name: str, snapshot: str | None) -> Volume:
        if snapshot:
            return self._runtime.copy_volume(self._snapshots[snapshot], name)
        return self._runtime.create_volume(name)

    def _delete_volume(self, call: Call) -> None:
        name = call.parameters["VolumeId"]
        if volume := self._volumes.pop(name, None):
            self._remove_volume(name, volume)

    def _remove_volume(self, name: str, volume: Volume) -> None:
        """In the background, behind the removal of the machines that it was attached to."""
        removals = self._removals.pop(name, [])

        def remove() -> None:
            for removal in removals:
                removal.result()
            self._runtime.remove_volume(volume)

        self._in_background(f"the volume {name} could not be removed", remove)

    def _await_removals(self) -> None:
        """An address is given back by the removal of its machine."""
        for removals in list(self._removals.values()):
            for removal in list(removals):
                removal.result()

    def _in_background(self, failure: str, act: Callable[[], None]) -> Future[None]:
        """What goes wrong is a defect of the harness, since EC2 has said yes already."""

        def run() -> None:
            try:
                act()
            except Exception as broken:
                log.exception(failure)
                self.defects.append(f"{failure}: {broken}")

        return self._workers.submit(run)

    def _create_snapshot(self, call: Call) -> None:
        name = _result(call)["SnapshotId"]
        self._made.append(name)
        self._makers[name] = call
        self._snapshots[name] = self._runtime.copy_volume(self._volumes[call.parameters["VolumeId"]], name)

    def _delete_snapshot(self, call: Call) -> None:
        name = call.parameters["SnapshotId"]
        if copy := self._snapshots.pop(name, None):
            self._remove_volume(name, copy)

    def _run(self, call: Call) -> None:
        user_data = base64.b64decode(call.parameters.get("UserData") or "")
        profile = call.parameters.get("IamInstanceProfile") or {}
        named = profile.get("Name") or profile.get("Arn")
        role = self._gateway.role_of_profile(named) if named else None
        for described in _result(call)["Instances"]:
            name = described["InstanceId"]
            if name in self._instances:
                continue  # the same ClientToken again
            image = self._images.get(described["ImageId"])
            if image is None:
                raise LookupError(f"no machine image stands behind {described['ImageId']}")
            self._made.append(name)
            self._makers[name] = call
            instance = self._instances[name] = Instance(
                id=name,
                ami=described["ImageId"],
                zone=described["Placement"]["AvailabilityZone"],
                image=image,
                role=role,
                user_data=user_data,
            )
            snapshots = {
                mapping["DeviceName"]: mapping.get("Ebs", {}).get("SnapshotId")
                for mapping in call.parameters.get("BlockDeviceMappings") or []
            }
            for mapping in described.get("BlockDeviceMappings", []):
                if mapping["DeviceName"] in snapshots and mapping["DeviceName"] != described.get(
                    "RootDeviceName"
                ):
                    instance.volume = mapping["Ebs"]["VolumeId"]
                    self._make_volume(instance.volume, snapshots[mapping["DeviceName"]])
                    self._power_on(instance)

    def _attach(self, call: Call) -> None:
        instance = self._instances[call.parameters["InstanceId"]]
        with instance.lock:
            instance.volume = call.parameters["VolumeId"]
            if instance.powered:
                self._power_on(instance)

    def _detach(self, call: Call) -> None:
        """A running machine whose disk is pulled is cut off at once: a container cannot lose a mount."""
        for instance in self._instances.values():
            if instance.volume == call.parameters["VolumeId"]:
                with instance.lock:
                    self._settle(instance)
                    if instance.machine is not None:
                        instance.machine.kill()
                    instance.volume = None

    def _each(self, act: Callable[[Instance], None]) -> Callable[[Call], None]:
        def handle(call: Call) -> None:
            named = [
                self._instances[name] for name in call.parameters["InstanceIds"] if name in self._instances
            ]
            for done in [self._workers.submit(act, instance) for instance in named]:
                done.result()

        return handle

    def _power_on(self, instance: Instance) -> None:
        """Start it in the background: EC2 answers before a machine is up, too."""
        with instance.lock:
            if instance.volume is not None and not instance.terminated:
                self._settle(instance)
                self._starting[instance.id] = self._in_background(
                    f"the machine of {instance.id} could not be started", partial(self._start, instance)
                )
            instance.powered = True

    def _start(self, instance: Instance) -> None:
        volume = instance.volume or ""
        if before := self._left_behind.pop(volume, None):
            before.left = self._volumes[volume].entries()
        trial = self._trial_of(instance)
        if trial is not None:
            self._left_behind[volume] = trial
        conditions = trial.conditions if trial is not None else Conditions()
        began = time.monotonic()
        if instance.machine is None:
            if conditions.at is not None:
                self._await_removals()
            instance.machine = self._make_machine(instance, conditions)
        if trial is not None and conditions.fault is not None:
            self._start_with(conditions.fault, instance, instance.machine, trial)
        else:
            instance.machine.start()
        instance.start_seconds += time.monotonic() - began

    def _start_with(self, fault: InjectedFault, instance: Instance, machine: Machine, trial: Trial) -> None:
        with self._metadata.holding(instance.id) as held:
            machine.start()
            asked_by = time.monotonic() + AWAITED
            while not held.asked.wait(0.5) and machine.running() and time.monotonic() < asked_by:
                pass
            try:
                trial.injection = machine.inject(fault)
            except NotSupported as refusal:
                trial.refusal = refusal
            except MachineError as off:
                log.warning("%s ended before a fault could be injected: %s", instance.id, off)

    def _trial_of(self, instance: Instance) -> Trial | None:
        with self._trials_lock:
            for trial in self._trials:
                of_new_ones = replace(trial.conditions, fault=None) != Conditions()
                if trial.volume in (None, instance.volume) and not (of_new_ones and instance.machine):
                    self._trials.remove(trial)
                    trial.instance = instance.id
                    return trial
        return None

    def _make_machine(self, instance: Instance, conditions: Conditions) -> Machine:
        def address() -> str:
            return instance.machine.address() if instance.machine is not None else ""

        endpoint = self._metadata.add(
            MachineIdentity(
                instance_id=instance.id,
                role_name=instance.role,
                user_data=instance.user_data,
                address=address,
                image_id=instance.ami,
                zone=instance.zone,
            )
        )
        image = instance.image
        spec = MachineSpec(
            name=instance.id,
            image=image.image,
            command=image.command,
            environment={
                **image.environment,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint,
                "AWS_ENDPOINT_URL": self._gateway.url,
                "AWS_REGION": self._gateway.region,
                "AWS_DEFAULT_REGION": self._gateway.region,
            },
            port=image.port,
            home=image.home,
            memory=conditions.memory,
            read_only=conditions.read_only,
            at=conditions.at,
            salvage=image.salvage,
        )
        return self._runtime.create_machine(spec, self._volumes[instance.volume or ""])

    def _settle(self, instance: Instance) -> None:
        """Wait for a start that is under way."""
        if starting := self._starting.pop(instance.id, None):
            starting.result()

    def _stop(self, instance: Instance) -> None:
        with instance.lock:
            self._settle(instance)
            instance.powered = False
            if instance.machine is not None:
                instance.machine.stop(SHUTDOWN_GRACE)

    def _reboot(self, instance: Instance) -> None:
        self._stop(instance)
        self._power_on(instance)

    def _terminate(self, instance: Instance) -> None:
        with instance.lock:
            self._settle(instance)
            if instance.terminated:
                return
            volume, instance.volume = instance.volume, None
            instance.terminated, instance.powered = True, False
            if instance.machine is not None:
                instance.machine.stop(SHUTDOWN_GRACE)
                removal = self._in_background(f"{instance.id} could not be removed", instance.machine.remove)
                self._removals.setdefault(volume or "", []).append(removal)
            self._metadata.remove(instance.id)

    def _console_output(self, call: Call) -> Mapping[str, Any]:
        name = call.parameters["InstanceId"]
        tail = self.console(name)[-CONSOLE_LIMIT:]
        return {
            "InstanceId": name,
            "Timestamp": datetime.now(UTC),
            "Output": base64.b64encode(tail).decode(),
        }

    def _statuses(self, call: Call) -> Mapping[str, Any]:
        """moto takes every running instance for one that EC2's checks reach."""
        if any("-status." in each["Name"] for each in call.parameters.get("Filters", [])):
            raise AwsError("NotImplemented", "this cloud does not filter instances by their checks", 501)
        result = _result(call)
        return {
            **result,
            "InstanceStatuses": [self._checked(described) for described in result["InstanceStatuses"]],
        }

    def _checked(self, described: Mapping[str, Any]) -> Mapping[str, Any]:
        instance = self._instances.get(described["InstanceId"])
        if instance is None or described["InstanceState"]["Name"] != "running":
            return described
        status, reachability = _REACHABLE[self._reached(instance)]
        details = [{"Name": "reachability", "Status": reachability}]
        return {**described, "InstanceStatus": {"Status": status, "Details": details}}

    def _reached(self, instance: Instance) -> bool | None:
        """Whether its machine runs; None while it is off, being started, or waiting for its volume."""
        starting, machine = self._starting.get(instance.id), instance.machine
        if machine is None or not instance.powered or (starting is not None and not starting.done()):
            return None
        return machine.running()


def _result(call: Call) -> Mapping[str, Any]:
    """What boto3 would return; the gateway gives it to every callback."""
    if call.result is None:
        raise ValueError(f"{call.action} came with no result")
    return call.result
