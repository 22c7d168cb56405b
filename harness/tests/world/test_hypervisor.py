"""Instances, volumes and snapshots behave as on EC2, with machines and disks that really exist."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness.runtime.base import Conditions, InjectedFault, Machine, NotSupported
from harness.runtime.ownership import Owner
from harness.runtime.process import ProcessRuntime
from harness.world.aws.gateway import AwsGateway
from harness.world.hypervisor import Hypervisor, MachineImage
from harness.world.metadata import Metadata

# Boots, counts its boots on the volume, says its user-data, and stays until told to end.
PROGRAM = """
import json, os, pathlib, signal, sys, urllib.request
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
def ask(path, method="GET", **headers):
    return urllib.request.urlopen(urllib.request.Request(base + path, headers=headers, method=method)).read().decode()
token = ask("latest/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
words = ask("latest/user-data", **{"X-aws-ec2-metadata-token": token})
boots = pathlib.Path(sys.argv[1]) / "boots"
boots.write_text((boots.read_text() if boots.exists() else "") + words + "\\n")
print("booted with", words, flush=True)
signal.pause()
"""


@dataclass(frozen=True)
class Lab:
    """A small cloud with one kind of machine."""

    hypervisor: Hypervisor
    ec2: Any
    image: str

    def launch(self, words: str, volume: str | None = None) -> tuple[str, str]:
        """An instance with a data volume: (instance, volume)."""
        zone = "us-east-1a"
        volume = volume or self.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
        launched = self.ec2.run_instances(
            ImageId=self.image, MinCount=1, MaxCount=1, UserData=words, Placement={"AvailabilityZone": zone}
        )
        instance = launched["Instances"][0]["InstanceId"]
        self.ec2.attach_volume(InstanceId=instance, VolumeId=volume, Device="/dev/sdf")
        return instance, volume

    def boots(self, volume: str) -> list[str]:
        try:
            return self.hypervisor.volume(volume).read("boots").decode().split()
        except FileNotFoundError:
            return []

    def check(self, instance: str) -> str:
        answer = self.ec2.describe_instance_status(InstanceIds=[instance], IncludeAllInstances=True)
        return str(answer["InstanceStatuses"][0]["InstanceStatus"]["Status"])

    def state(self, instance: str) -> str:
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    runtime = ProcessRuntime(Owner.current())
    try:
        with AwsGateway() as gateway, Metadata(gateway) as metadata:
            hypervisor = Hypervisor(gateway, metadata, runtime)
            image = MachineImage(None, ("{python}", "-c", PROGRAM, "{data}"), {}, 8080, ".")
            yield Lab(hypervisor, gateway.client("ec2"), hypervisor.register("lab", image))
            hypervisor.close()
            assert hypervisor.defects == []
            assert gateway.defects == []
    finally:
        runtime.close()
    assert runtime.leftovers() == []


def eventually(holds: Callable[[], bool], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_an_instance_becomes_a_machine_once_its_volume_is_attached(lab: Lab) -> None:
    volume = lab.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    launched = lab.ec2.run_instances(ImageId=lab.image, MinCount=1, MaxCount=1, UserData="one")
    instance = launched["Instances"][0]["InstanceId"]
    assert lab.hypervisor.find_machine(instance) is None

    lab.ec2.attach_volume(InstanceId=instance, VolumeId=volume, Device="/dev/sdf")

    eventually(lambda: lab.boots(volume) == ["one"])
    assert lab.state(instance) == "running"


def test_a_machine_that_dies_by_itself_leaves_its_instance_running(lab: Lab) -> None:
    instance, volume = lab.launch("dies")
    eventually(lambda: lab.boots(volume) == ["dies"])

    lab.hypervisor.machine(instance).kill()

    assert not lab.hypervisor.machine(instance).running()
    assert lab.state(instance) == "running"
    assert lab.check(instance) == "impaired"


def test_the_check_of_an_instance_passes_while_its_machine_runs(lab: Lab) -> None:
    launched = lab.ec2.run_instances(ImageId=lab.image, MinCount=1, MaxCount=1, UserData="checked")
    instance = launched["Instances"][0]["InstanceId"]
    assert lab.check(instance) == "initializing"  # it has no volume, and so no machine yet
    volume = lab.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    lab.ec2.attach_volume(InstanceId=instance, VolumeId=volume, Device="/dev/sdf")

    eventually(lambda: lab.check(instance) == "ok")
    lab.ec2.stop_instances(InstanceIds=[instance])

    assert lab.check(instance) != "impaired"


def test_the_next_machine_of_a_volume_is_under_the_conditions_that_were_asked_for(lab: Lab) -> None:
    closed = InjectedFault({"openat": 1}, "EACCES")
    undisturbed, other = lab.launch("undisturbed")
    eventually(lambda: lab.boots(other) == ["undisturbed"])
    lab.ec2.terminate_instances(InstanceIds=[undisturbed])
    volume = lab.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]

    with lab.hypervisor.next_machine(Conditions(fault=closed), volume=volume) as trial:
        lab.launch("elsewhere", other)
        disturbed, _ = lab.launch("disturbed", volume)
        lab.hypervisor.machine(disturbed)
        if trial.refusal is not None:
            pytest.skip(f"could not run: {trial.refusal}")
        assert lab.hypervisor.machine(disturbed).wait(20) != 0

        assert trial.instance == disturbed
        eventually(lambda: trial.hits > 0)
        lab.ec2.terminate_instances(InstanceIds=[disturbed])
        lab.launch("replaced", volume)
        eventually(lambda: lab.boots(volume) == ["replaced"])

    eventually(lambda: lab.boots(other) == ["undisturbed", "elsewhere"])
    assert trial.hits > 0


def test_conditions_that_no_machine_comes_under_leave_nothing_behind(lab: Lab) -> None:
    with lab.hypervisor.next_machine(Conditions(fault=InjectedFault({"rename": 1}, "EIO"))) as trial:
        pass

    _, volume = lab.launch("later")

    eventually(lambda: lab.boots(volume) == ["later"])
    assert (trial.instance, trial.hits) == (None, 0)


def test_conditions_that_the_runtime_has_not_are_refused_at_once(lab: Lab) -> None:
    with (
        pytest.raises(NotSupported, match="memory"),
        lab.hypervisor.next_machine(Conditions(memory=1 << 28)),
    ):
        pass


def test_stop_and_start_bring_the_same_machine_back_on_the_same_volume(lab: Lab) -> None:
    instance, volume = lab.launch("again")
    eventually(lambda: lab.boots(volume) == ["again"])
    machine: Machine = lab.hypervisor.machine(instance)

    lab.ec2.stop_instances(InstanceIds=[instance])
    assert (machine.running(), lab.state(instance)) == (False, "stopped")
    lab.ec2.start_instances(InstanceIds=[instance])

    eventually(lambda: lab.boots(volume) == ["again", "again"])
    assert lab.hypervisor.machine(instance) is machine
    assert lab.state(instance) == "running"


def test_a_reboot_is_a_second_boot(lab: Lab) -> None:
    instance, volume = lab.launch("reboot")
    eventually(lambda: lab.boots(volume) == ["reboot"])

    lab.ec2.reboot_instances(InstanceIds=[instance])

    eventually(lambda: lab.boots(volume) == ["reboot", "reboot"])


def test_a_terminated_machine_is_gone_and_its_volume_goes_to_the_next(lab: Lab) -> None:
    first, volume = lab.launch("first")
    eventually(lambda: lab.boots(volume) == ["first"])

    lab.ec2.terminate_instances(InstanceIds=[first])
    second, _ = lab.launch("second", volume)

    eventually(lambda: lab.boots(volume) == ["first", "second"])
    assert lab.hypervisor.find_machine(first) is None
    assert lab.state(first) == "terminated"
    assert lab.hypervisor.machines_on(volume) == [second]


def test_the_console_is_kept_after_the_machine_is_gone(lab: Lab) -> None:
    instance, volume = lab.launch("spoken")
    eventually(lambda: lab.boots(volume) == ["spoken"])
    lab.ec2.terminate_instances(InstanceIds=[instance])

    output = lab.ec2.get_console_output(InstanceId=instance)["Output"]

    assert "booted with spoken" in _decoded(output)


def test_a_snapshot_keeps_what_the_volume_was_and_a_volume_can_be_made_of_it(lab: Lab) -> None:
    _, volume = lab.launch("old")
    eventually(lambda: lab.boots(volume) == ["old"])
    snapshot = lab.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    lab.hypervisor.volume(volume).write("boots", b"overwritten\n")

    copy = lab.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)["VolumeId"]
    lab.launch("new", copy)

    eventually(lambda: lab.boots(copy) == ["old", "new"])
    assert lab.boots(volume) == ["overwritten"]


def test_a_snapshot_bears_its_tags_and_is_counted_until_it_is_deleted(lab: Lab) -> None:
    before = lab.hypervisor.mark()
    volume = lab.ec2.create_volume(AvailabilityZone="us-east-1a", Size=3)["VolumeId"]
    lab.hypervisor.volume(volume).write("notes", b"of today")
    tags = [{"Key": "molecule:workspace", "Value": "ws-1"}]
    taken = lab.ec2.create_snapshot(
        VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}]
    )["SnapshotId"]
    other = lab.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    (found,) = lab.ec2.describe_snapshots(
        OwnerIds=["self"], Filters=[{"Name": "tag:molecule:workspace", "Values": ["ws-1"]}]
    )["Snapshots"]

    assert (found["SnapshotId"], found["State"], found["VolumeSize"]) == (taken, "completed", 3)
    assert lab.hypervisor.snapshots_since(before) == [taken, other]
    assert lab.hypervisor.volumes_since(before) == [volume]
    lab.ec2.delete_volume(VolumeId=volume)
    assert lab.hypervisor.snapshot(taken).read("notes") == b"of today"
    lab.ec2.delete_snapshot(SnapshotId=taken)
    assert lab.hypervisor.snapshots_since(before) == [other]
    lab.hypervisor.discard([], [], [other])
    assert lab.hypervisor.snapshots_since(before) == []


def test_a_volume_made_of_a_snapshot_again_with_its_token_is_one_volume(lab: Lab) -> None:
    origin = lab.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    snapshot = lab.ec2.create_snapshot(VolumeId=origin)["SnapshotId"]
    before = lab.hypervisor.mark()

    made = {
        lab.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot, ClientToken="once")[
            "VolumeId"
        ]
        for _ in range(2)
    }

    assert lab.hypervisor.volumes_since(before) == [*made]
    assert lab.hypervisor.exists(*made)


def test_an_instance_can_bring_its_volume_from_a_snapshot_along(lab: Lab) -> None:
    _, volume = lab.launch("origin")
    eventually(lambda: lab.boots(volume) == ["origin"])
    snapshot = lab.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    launched = lab.ec2.run_instances(
        ImageId=lab.image,
        MinCount=1,
        MaxCount=1,
        UserData="restored",
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 1}}],
    )

    instance = launched["Instances"][0]["InstanceId"]
    eventually(lambda: lab.hypervisor.find_machine(instance) is not None)
    (made,) = [
        name for name in lab.hypervisor.volumes_since(0) if lab.hypervisor.machines_on(name) == [instance]
    ]
    eventually(lambda: lab.boots(made) == ["origin", "restored"])


def test_a_launch_repeated_with_its_token_makes_one_machine(lab: Lab) -> None:
    before = lab.hypervisor.mark()
    token = json.dumps({"boot": 1})
    launches = [
        lab.ec2.run_instances(ImageId=lab.image, MinCount=1, MaxCount=1, ClientToken=token)["Instances"][0][
            "InstanceId"
        ]
        for _ in range(2)
    ]

    assert lab.hypervisor.launched_since(before) == [launches[0]]
    assert launches[0] == launches[1]


def _decoded(output: str) -> str:
    """boto3 decodes it; other clients get base64."""
    try:
        return base64.b64decode(output, validate=True).decode()
    except ValueError:
        return output
