"""Machines and volumes on EC2. Everything made is found again by its tags, so no id is ever lost with a process."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from .cloud import error_code, error_message
from .problems import FaultError, bounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceTypeDef,
        RunInstancesRequestTypeDef,
        TagTypeDef,
        VolumeTypeDef,
    )

    from .cloud import Cloud
    from .settings import MachineSettings

log = logging.getLogger(__name__)

T = TypeVar("T")

DEVICE = "/dev/sdf"
MAX_USER_DATA = 16 * 1024
"""Bytes that EC2 takes, before base64."""
GONE = frozenset({"shutting-down", "terminated"})
DEAD = GONE | {"stopping", "stopped"}

_NO_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InstanceLimitExceeded",
        "VcpuLimitExceeded",
        "RequestLimitExceeded",
        "ServerInternal",
        "InternalError",
        "Unavailable",
    }
)
_MISSING_MACHINE = "InvalidInstanceID.NotFound"
_MISSING_VOLUME = "InvalidVolume.NotFound"


class Interrupted(Exception):
    """The provisioner is closing; the work goes on when it comes back."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One machine to make: for this boot of this workspace, and for no other."""

    workspace: str
    tenant: str
    boot_sequence: int
    profile: str
    volume: str
    user_data: dict[str, Any]

    @property
    def token(self) -> str:
        """EC2 makes one machine a token, however often it is asked."""
        return f"{self.workspace}.{self.boot_sequence}"


@dataclass(frozen=True, slots=True)
class Machine:
    id: str
    workspace: str
    boot: str
    state: str


class Machines:
    """EC2, as far as the provisioner needs it. Every method raises Interrupted once `closing` is set in a wait."""

    def __init__(self, cloud: Cloud, settings: MachineSettings, closing: Event) -> None:
        self._cloud = cloud
        self._settings = settings
        self._closing = closing
        self._zone = settings.zone
        self._zone_lock = Lock()

    # machines

    def of(self, workspace: str) -> list[Machine]:
        """Those that are not gone."""
        return self._machines([{"Name": "tag:molecule:workspace", "Values": [workspace]}])

    def all(self) -> list[Machine]:
        """Every machine of any workspace that is not gone, another provisioner's too."""
        return self._machines([{"Name": "tag-key", "Values": ["molecule:workspace"]}])

    def state(self, machine: str) -> str:
        """EC2's name of it; `terminated` for one that EC2 has forgotten."""
        try:
            answer = self._cloud.ec2.describe_instances(InstanceIds=[machine])
        except ClientError as error:
            if error_code(error) == _MISSING_MACHINE:
                return "terminated"
            raise
        found = [instance for group in answer["Reservations"] for instance in group.get("Instances", [])]
        return str(found[0]["State"]["Name"]) if found else "terminated"

    def launch(self, launch: Launch, delayed: Callable[[FaultError], None]) -> str:
        """Make the machine, trying again within the bound while EC2 has no room or does not know the role yet.

        `delayed` is told before each further try; it may raise to give up. Raises FaultError.
        """
        request = self._request(launch)

        def tell(attempt: RetryCallState) -> None:
            error = attempt.outcome and attempt.outcome.exception()
            if isinstance(error, ClientError):
                delayed(_launch_fault(error))

        try:
            answer = self._patiently(
                lambda: self._cloud.ec2.run_instances(**request),
                seconds=self._settings.launch_seconds,
                again_on=_worth_another_launch,
                before_sleep=tell,
            )
        except ClientError as error:
            raise _launch_fault(error) from error
        return answer["Instances"][0]["InstanceId"]

    def retire(self, machines: list[Machine]) -> None:
        """Terminate them and wait until they are gone: no two machines ever have one volume."""
        waiting = {machine.id for machine in machines}
        if not waiting:
            return
        self._terminate(sorted(waiting))
        workspace = machines[0].workspace

        def left() -> set[str]:
            answer = self._cloud.ec2.describe_instances(
                Filters=[{"Name": "tag:molecule:workspace", "Values": [workspace]}]
            )
            return {
                instance["InstanceId"]
                for group in answer["Reservations"]
                for instance in group.get("Instances", [])
                if instance["InstanceId"] in waiting and instance["State"]["Name"] != "terminated"
            }

        stuck = self._until(left, lambda ids: not ids)
        if stuck:
            raise FaultError(
                "machine-not-terminated",
                f"machine {', '.join(sorted(stuck))} did not end within {self._settings.change_seconds:g} s",
                "restart the workspace once EC2 has ended the machine",
            )

    def console_tail(self, machine: str) -> str:
        """The end of what the machine wrote to its console, not yet redacted; empty if EC2 has none."""
        try:
            output = self._cloud.ec2.get_console_output(InstanceId=machine).get("Output", "")
        except ClientError:
            return ""
        try:
            return base64.b64decode(output, validate=True).decode(errors="replace")[-4000:]
        except ValueError:
            return output[-4000:]

    # volumes

    def volume_of(self, workspace: str) -> str | None:
        """Found by its tag."""
        answer = self._cloud.ec2.describe_volumes(
            Filters=[{"Name": "tag:molecule:workspace", "Values": [workspace]}]
        )
        living = [v for v in answer["Volumes"] if v.get("State") in {"creating", "available", "in-use"}]
        return living[0]["VolumeId"] if living else None

    def create_volume(self, workspace: str, tenant: str, boot_sequence: int) -> str:
        """EC2 answers every further call for the same boot with the same volume."""
        answer = self._cloud.ec2.create_volume(
            AvailabilityZone=self._choose_zone(),
            Size=self._settings.volume_gib,
            VolumeType="gp3",
            Encrypted=True,
            ClientToken=f"{workspace}.{boot_sequence}.volume",
            TagSpecifications=[{"ResourceType": "volume", "Tags": _tags(workspace, tenant, "data")}],
        )
        return answer["VolumeId"]

    def free_volume(self, volume: str) -> None:
        """Take the volume from whatever holds it, and wait until it is available. Raises FaultError."""
        detached = False

        def look() -> str:
            nonlocal detached
            found = self._describe_volume(volume)
            if found is None:
                return "missing"
            attachments = found.get("Attachments", [])
            holders = {str(a["InstanceId"]) for a in attachments if a.get("State") != "detached"}
            if holders and not detached:
                detached = True
                for holder in sorted(holders):
                    self._detach(volume, holder)
                return "detaching"
            return str(found["State"])

        state = self._until(look, lambda state: state in {"available", "missing", "error"})
        if state == "missing":
            raise FaultError(
                "volume-missing",
                f"volume {volume} does not exist any more",
                "delete the workspace and make a new one, or restore the volume from a snapshot",
            )
        if state != "available":
            raise FaultError(
                "volume-error",
                f"volume {volume} is still {state} after {self._settings.change_seconds:g} s",
                "restart the workspace once the volume is available",
            )

    def attach(self, volume: str, machine: str, delayed: Callable[[FaultError], None]) -> None:
        """Attach it, trying again within the bound while EC2 refuses. Raises FaultError."""
        state = self._until(lambda: self.state(machine), lambda s: s == "running" or s in DEAD)
        if state != "running":
            raise FaultError(
                "machine-terminated" if state in DEAD else "launch-timeout",
                f"machine {machine} is {state}, not running",
                "restart the workspace; EC2's state reason of the machine says why it ended",
            )

        def once() -> None:
            try:
                self._cloud.ec2.attach_volume(VolumeId=volume, InstanceId=machine, Device=DEVICE)
            except ClientError as error:
                if error_code(error) != "VolumeInUse" or not self._holds(machine, volume):
                    raise

        def tell(attempt: RetryCallState) -> None:
            error = attempt.outcome and attempt.outcome.exception()
            if isinstance(error, ClientError):
                delayed(_attach_fault(volume, machine, error))

        try:
            self._patiently(
                once,
                seconds=self._settings.launch_seconds,
                again_on=lambda error: isinstance(error, ClientError),
                before_sleep=tell,
            )
        except ClientError as error:
            raise _attach_fault(volume, machine, error) from error

    def delete_volume(self, volume: str) -> None:
        """Does nothing if it is gone."""
        try:
            self.free_volume(volume)
            self._cloud.ec2.delete_volume(VolumeId=volume)
        except FaultError as error:
            if error.fault.code != "volume-missing":
                raise
        except ClientError as error:
            if error_code(error) != _MISSING_VOLUME:
                raise

    # how it is done

    def _machines(self, filters: list[FilterTypeDef]) -> list[Machine]:
        found = []
        for page in self._cloud.ec2.get_paginator("describe_instances").paginate(Filters=filters):
            for group in page["Reservations"]:
                found += [_machine(instance) for instance in group.get("Instances", [])]
        return [machine for machine in found if machine.state not in GONE]

    def _terminate(self, machines: list[str]) -> None:
        try:
            self._cloud.ec2.terminate_instances(InstanceIds=machines)
        except ClientError as error:
            if error_code(error) != _MISSING_MACHINE:
                raise

    def _describe_volume(self, volume: str) -> VolumeTypeDef | None:
        try:
            return self._cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
        except ClientError as error:
            if error_code(error) == _MISSING_VOLUME:
                return None
            raise

    def _holds(self, machine: str, volume: str) -> bool:
        found = self._describe_volume(volume)
        return found is not None and any(a["InstanceId"] == machine for a in found.get("Attachments", []))

    def _detach(self, volume: str, machine: str) -> None:
        try:
            self._cloud.ec2.detach_volume(VolumeId=volume, InstanceId=machine)
        except ClientError as error:
            # It let go meanwhile; the next look tells.
            if error_code(error) != "IncorrectState":
                raise

    def _choose_zone(self) -> str:
        with self._zone_lock:
            if self._zone is None:
                ec2 = self._cloud.ec2
                if self._settings.subnet is not None:
                    subnets = ec2.describe_subnets(SubnetIds=[self._settings.subnet])
                    self._zone = subnets["Subnets"][0]["AvailabilityZone"]
                else:
                    zones = ec2.describe_availability_zones(
                        Filters=[{"Name": "state", "Values": ["available"]}]
                    )
                    self._zone = min(zone["ZoneName"] for zone in zones["AvailabilityZones"])
            return self._zone

    def _request(self, launch: Launch) -> RunInstancesRequestTypeDef:
        user_data = json.dumps(launch.user_data, separators=(",", ":"), ensure_ascii=False)
        if len(user_data.encode()) >= MAX_USER_DATA:
            raise FaultError(
                "user-data-too-large",
                f"the machine's user-data has {len(user_data.encode())} bytes, and EC2 takes {MAX_USER_DATA}",
                "shorten the template's identity or FETCH_LIMITS",
            )
        volume = self._describe_volume(launch.volume)
        tags = _tags(launch.workspace, launch.tenant, str(launch.boot_sequence))
        request: RunInstancesRequestTypeDef = {
            "ImageId": self._settings.image,
            "InstanceType": self._settings.instance_type,  # type: ignore[typeddict-item] # any that EC2 knows
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": launch.token,
            "UserData": user_data,
            "IamInstanceProfile": {"Name": launch.profile},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        if volume is not None and volume.get("AvailabilityZone"):
            request["Placement"] = {"AvailabilityZone": volume["AvailabilityZone"]}
        if self._settings.subnet is not None:
            request["SubnetId"] = self._settings.subnet
        if self._settings.security_groups:
            request["SecurityGroupIds"] = self._settings.security_groups
        return request

    def _until(self, look: Callable[[], T], settled: Callable[[T], bool]) -> T:
        """What `look` last saw: settled, or as it was when the bound was reached. EC2 tells of no change by itself."""
        retrying = Retrying(
            sleep=sleep_using_event(self._closing),
            stop=stop_after_delay(self._settings.change_seconds) | stop_when_event_set(self._closing),
            wait=wait_exponential(multiplier=0.05, max=5),
            retry=retry_if_result(lambda seen: not settled(seen)),
            retry_error_callback=_last_result,
        )
        seen: T = retrying(look)
        if not settled(seen) and self._closing.is_set():
            raise Interrupted
        return seen

    def _patiently(
        self,
        act: Callable[[], T],
        *,
        seconds: float,
        again_on: Callable[[BaseException], bool],
        before_sleep: Callable[[RetryCallState], None],
    ) -> T:
        retrying = Retrying(
            sleep=sleep_using_event(self._closing),
            stop=stop_after_delay(seconds) | stop_when_event_set(self._closing),
            wait=wait_exponential(multiplier=0.1, max=15),
            retry=retry_if_exception(again_on),
            before_sleep=before_sleep,
            reraise=True,
        )
        try:
            return retrying(act)
        except ClientError as error:
            if self._closing.is_set() and again_on(error):
                raise Interrupted from error
            raise


def _last_result(attempt: RetryCallState) -> Any:
    return attempt.outcome.result() if attempt.outcome else None


def _tags(workspace: str, tenant: str, boot: str) -> list[TagTypeDef]:
    return [
        {"Key": "Name", "Value": workspace},
        {"Key": "molecule:workspace", "Value": workspace},
        {"Key": "molecule:tenant", "Value": tenant},
        {"Key": "molecule:boot", "Value": boot},
    ]


def _machine(instance: InstanceTypeDef) -> Machine:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    return Machine(
        id=instance["InstanceId"],
        workspace=tags.get("molecule:workspace", ""),
        boot=tags.get("molecule:boot", ""),
        state=instance["State"]["Name"],
    )


def _unknown_profile(error: ClientError) -> bool:
    """A role that was just made: IAM tells EC2 of it some seconds later."""
    return error_code(error) == "InvalidParameterValue" and "profile" in error_message(error).lower()


def _worth_another_launch(error: BaseException) -> bool:
    return isinstance(error, ClientError) and (error_code(error) in _NO_CAPACITY or _unknown_profile(error))


def _launch_fault(error: ClientError) -> FaultError:
    said = bounded(f"{error_code(error)}: {error_message(error)}")
    if error_code(error) in _NO_CAPACITY:
        return FaultError(
            "launch-capacity",
            f"EC2 has no room for the machine ({said})",
            "it is tried again for a while; after that, restart the workspace when EC2 has capacity",
        )
    if _unknown_profile(error):
        return FaultError(
            "launch-profile",
            f"EC2 does not know the machine's role ({said})",
            "put the tenant again, which makes its role, then restart the workspace",
        )
    return FaultError("launch-refused", f"EC2 refused to launch the machine ({said})", "see EC2's error code")


def _attach_fault(volume: str, machine: str, error: ClientError) -> FaultError:
    said = bounded(f"{error_code(error)}: {error_message(error)}")
    return FaultError(
        "volume-attach",
        f"EC2 refused to attach volume {volume} to machine {machine} ({said})",
        "it is tried again for a while; after that, restart the workspace when the volume is free",
    )
