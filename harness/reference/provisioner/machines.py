"""Machines and volumes on EC2. Everything made is found again by its tags, so no id is ever lost with a process."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
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
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from threading import Event

    from mypy_boto3_ec2.type_defs import (
        CreateVolumeRequestTypeDef,
        FilterTypeDef,
        InstanceTypeDef,
        RunInstancesRequestTypeDef,
        SnapshotTypeDef,
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
LIVING = ("pending", "running", "stopping", "stopped")
DEAD = frozenset({"stopping", "stopped", "shutting-down", "terminated"})
IMPAIRED = "impaired"

_OF_ANY: FilterTypeDef = {"Name": "tag-key", "Values": ["molecule:workspace"]}
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
_NO_ANSWER = (HTTPClientError, NoConnection)
_MISSING_MACHINE = "InvalidInstanceID.NotFound"
_MISSING_VOLUME = "InvalidVolume.NotFound"
_MALFORMED_VOLUME = "InvalidVolumeID.Malformed"
_MISSING_SNAPSHOT = "InvalidSnapshot.NotFound"


class Interrupted(Exception):
    """The provisioner is closing; the work goes on when it comes back."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One machine to make: for this boot of this workspace, and for no other."""

    workspace: str
    tenant: str
    boot_sequence: int
    profile: str
    zone: str
    """Its volume's: EC2 attaches across none."""
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


@dataclass(frozen=True, slots=True)
class Disk:
    """A data volume."""

    id: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: str
    workspace: str
    created_at: datetime


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
        return self._machines(_of(workspace), *LIVING)

    def all(self) -> list[Machine]:
        """Every machine of any workspace that is not gone, another provisioner's too."""
        return self._machines(_OF_ANY, *LIVING)

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

    def condition(self, machine: str) -> str:
        """Its state, or `impaired` where it runs and does not pass EC2's check of it."""
        try:
            answer = self._cloud.ec2.describe_instance_status(InstanceIds=[machine], IncludeAllInstances=True)
        except ClientError as error:
            if error_code(error) == _MISSING_MACHINE:
                return "terminated"
            raise
        if not answer["InstanceStatuses"]:
            return "terminated"
        (found,) = answer["InstanceStatuses"]
        return (
            IMPAIRED if found["InstanceStatus"]["Status"] == IMPAIRED else str(found["InstanceState"]["Name"])
        )

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
                lambda: self._cloud.ec2_at_once.run_instances(**request),
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
            found = self._machines(_of(workspace), "shutting-down", *LIVING)
            return waiting & {machine.id for machine in found}

        stuck = self._until(left, lambda ids: not ids)
        if stuck:
            raise FaultError(
                "machine-not-terminated",
                f"machine {', '.join(sorted(stuck))} did not end within {self._settings.change_seconds:g} s",
                "restart the workspace once EC2 has ended the machine",
            )

    def console(self, machine: str) -> str:
        """What the machine wrote to its console, not yet redacted, as botocore decodes it; empty if EC2 has nothing."""
        return self._cloud.ec2.get_console_output(InstanceId=machine).get("Output", "")

    # volumes

    def volume_of(self, workspace: str) -> str | None:
        """Found by its tag."""
        return next(iter(self.volumes_of(workspace)), None)

    def owner_of(self, volume: str) -> str | None:
        """The workspace that a volume is tagged as one of. Raises LookupError where EC2 has no such volume."""
        found = self._describe_volume(volume)
        if found is None or found.get("State") not in {"creating", "available", "in-use"}:
            raise LookupError(volume)
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
        return tags.get("molecule:workspace")

    def claim_volume(self, volume: str, workspace: str, tenant: str) -> None:
        """Tag a volume that somebody else made as the workspace's."""
        tags = [tag for tag in _tags(workspace, tenant, "data") if tag["Key"] != "Name"]
        self._cloud.ec2.create_tags(Resources=[volume], Tags=tags)

    def volumes_of(self, workspace: str) -> list[str]:
        """Found by their tag: while a workspace is restored it has two."""
        return [disk.id for disk in self._disks(_of(workspace))]

    def all_volumes(self) -> list[Disk]:
        """Every data volume of any workspace, another provisioner's too."""
        return self._disks(_OF_ANY)

    def create_volume(
        self, workspace: str, tenant: str, boot_sequence: int, snapshot: str | None = None
    ) -> str:
        """Blank, or as the snapshot is. EC2 answers every further call for the same boot with the same volume.

        Raises FaultError for a snapshot that is gone, or not complete within the bound.
        """
        request: CreateVolumeRequestTypeDef = {
            "AvailabilityZone": self._choose_zone(),
            "Size": self._settings.volume_gib,
            "VolumeType": "gp3",
            "Encrypted": True,
            "ClientToken": f"{workspace}.{boot_sequence}.volume",
            "TagSpecifications": [{"ResourceType": "volume", "Tags": _tags(workspace, tenant, "data")}],
        }
        if snapshot is not None:
            # EC2 makes no volume that is smaller than its snapshot.
            size = max(self._settings.volume_gib, self._await_snapshot(workspace, snapshot))
            request |= {"SnapshotId": snapshot, "Size": size}
        return self._cloud.ec2.create_volume(**request)["VolumeId"]

    def free_volume(self, volume: str) -> str:
        """Take the volume from whatever holds it, and wait until it is available; its zone. Raises FaultError."""
        detached = False

        def look() -> VolumeTypeDef | None:
            nonlocal detached
            found = self._describe_volume(volume)
            attachments = found.get("Attachments", []) if found else []
            holders = {str(a["InstanceId"]) for a in attachments if a.get("State") != "detached"}
            if holders and not detached:
                detached = True
                for holder in sorted(holders):
                    self._detach(volume, holder)
            return found

        found = self._until(look, lambda seen: seen is None or seen["State"] in {"available", "error"})
        if found is None:
            raise FaultError(
                "volume-missing",
                f"volume {volume} does not exist any more",
                "delete the workspace and make a new one, or restore the volume from a snapshot",
            )
        if found["State"] != "available":
            raise FaultError(
                "volume-error",
                f"volume {volume} is still {found['State']} after {self._settings.change_seconds:g} s",
                "restart the workspace once the volume is available",
            )
        return found["AvailabilityZone"]

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

    # snapshots: EC2 is their only record

    def create_snapshot(self, workspace: str, tenant: str, volume: str) -> Snapshot:
        """What a power cut at this moment would leave; it is completed in the background."""
        answer = self._cloud.ec2.create_snapshot(
            VolumeId=volume,
            Description=f"workspace {workspace}",
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": _tags(workspace, tenant, "data")}],
        )
        return Snapshot(answer["SnapshotId"], workspace, answer["StartTime"])

    def snapshots_of(self, workspace: str) -> list[Snapshot]:
        """Oldest first."""
        found = [
            Snapshot(described["SnapshotId"], workspace, described["StartTime"])
            for described in self._describe_snapshots(workspace)
        ]
        return sorted(found, key=lambda snapshot: (snapshot.created_at, snapshot.id))

    def delete_snapshots(self, snapshots: Iterable[str]) -> None:
        """Does nothing for those that are gone."""
        for snapshot in snapshots:
            try:
                self._cloud.ec2.delete_snapshot(SnapshotId=snapshot)
            except ClientError as error:
                if error_code(error) != _MISSING_SNAPSHOT:
                    raise

    # how it is done

    def _disks(self, whose: FilterTypeDef) -> list[Disk]:
        pages = self._cloud.ec2.get_paginator("describe_volumes").paginate(Filters=[whose])
        return [
            Disk(volume["VolumeId"], _tag(volume.get("Tags", []), "molecule:workspace"))
            for page in pages
            for volume in page["Volumes"]
            if volume.get("State") in {"creating", "available", "in-use"}
        ]

    def _describe_snapshots(self, workspace: str, snapshot: str | None = None) -> list[SnapshotTypeDef]:
        filters = [_of(workspace)]
        if snapshot is not None:
            filters.append({"Name": "snapshot-id", "Values": [snapshot]})
        pages = self._cloud.ec2.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=filters
        )
        return [described for page in pages for described in page["Snapshots"]]

    def _await_snapshot(self, workspace: str, snapshot: str) -> int:
        """Its size in GiB, once it is complete: EC2 makes no volume of one that is not."""

        def look() -> tuple[str, int]:
            found = self._describe_snapshots(workspace, snapshot)
            return (found[0]["State"], found[0]["VolumeSize"]) if found else ("gone", 0)

        state, size = self._until(look, lambda seen: seen[0] != "pending")
        if state == "completed":
            return size
        if state == "gone":
            raise FaultError(
                "snapshot-unknown",
                f"snapshot {snapshot} does not exist any more",
                "restore another one; a restart boots the volume that there is",
            )
        raise FaultError(
            "snapshot-incomplete",
            f"snapshot {snapshot} is {state} after {self._settings.change_seconds:g} s",
            "restore it again once EC2 has completed it; a restart boots the volume that there is",
        )

    def _machines(self, whose: FilterTypeDef, *states: str) -> list[Machine]:
        """EC2 is asked by state, because it tells of a terminated machine for an hour: every earlier boot's."""
        filters: list[FilterTypeDef] = [whose, {"Name": "instance-state-name", "Values": states}]
        return [
            _machine(instance)
            for page in self._cloud.ec2.get_paginator("describe_instances").paginate(Filters=filters)
            for group in page["Reservations"]
            for instance in group.get("Instances", [])
        ]

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
            if error_code(error) in {_MISSING_VOLUME, _MALFORMED_VOLUME}:
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
            "Placement": {"AvailabilityZone": launch.zone},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
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
        except (ClientError, *_NO_ANSWER) as error:
            if self._closing.is_set() and again_on(error):
                raise Interrupted from error
            raise


def _last_result(attempt: RetryCallState) -> Any:
    return attempt.outcome.result() if attempt.outcome else None


def _of(workspace: str) -> FilterTypeDef:
    return {"Name": "tag:molecule:workspace", "Values": [workspace]}


def _tags(workspace: str, tenant: str, boot: str) -> list[TagTypeDef]:
    return [
        {"Key": "Name", "Value": workspace},
        {"Key": "molecule:workspace", "Value": workspace},
        {"Key": "molecule:tenant", "Value": tenant},
        {"Key": "molecule:boot", "Value": boot},
    ]


def _tag(tags: list[TagTypeDef], key: str) -> str:
    return next((tag["Value"] for tag in tags if tag["Key"] == key), "")


def _machine(instance: InstanceTypeDef) -> Machine:
    tags = instance.get("Tags", [])
    return Machine(
        id=instance["InstanceId"],
        workspace=_tag(tags, "molecule:workspace"),
        boot=_tag(tags, "molecule:boot"),
    )


def _unknown_profile(error: ClientError) -> bool:
    """A role that was just made: IAM tells EC2 of it some seconds later."""
    return error_code(error) == "InvalidParameterValue" and "profile" in error_message(error).lower()


def _worth_another_launch(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in _NO_CAPACITY or _unknown_profile(error) or status >= 500
    return isinstance(error, _NO_ANSWER)


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
