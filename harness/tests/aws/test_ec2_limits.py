from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness.tests.aws.stranger import Stranger, refused, unique
from harness.world.aws import AwsGateway


@pytest.fixture(scope="module")
def ec2(stranger: Stranger) -> Any:
    return stranger.administrator("ec2")


@pytest.fixture(scope="module")
def image(gateway: AwsGateway) -> str:
    return gateway.register_image("boot")


def run(ec2: Any, image: str, **more: Any) -> str:
    return str(ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **more)["Instances"][0]["InstanceId"])


def test_user_data_of_16384_bytes_is_accepted_and_of_16385_is_refused(
    gateway: AwsGateway, ec2: Any, image: str
) -> None:
    instance = run(ec2, image, UserData="x" * 16_384)
    [call] = gateway.calls.find("ec2:RunInstances", where=lambda call: call.user_data_bytes == 16_384)
    assert call.succeeded
    attribute = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    assert len(attribute["UserData"]["Value"]) == 21_848  # base64
    with refused("InvalidParameterValue", match="16384"):
        run(ec2, image, UserData="x" * 16_385)


def test_user_data_in_a_launch_template_has_the_same_limit(ec2: Any, image: str) -> None:
    import base64

    def data(size: int) -> dict[str, str]:
        return {"ImageId": image, "UserData": base64.b64encode(b"x" * size).decode()}

    ec2.create_launch_template(LaunchTemplateName=unique("lt"), LaunchTemplateData=data(16_384))
    with refused("InvalidParameterValue"):
        ec2.create_launch_template(LaunchTemplateName=unique("lt"), LaunchTemplateData=data(16_385))


def test_user_data_that_is_not_base64_on_the_wire_is_refused(gateway: AwsGateway, image: str) -> None:
    key = gateway.administrator("curl").access_key_id
    answer = httpx.post(
        gateway.url,
        data={
            "Action": "RunInstances",
            "Version": "2016-11-15",
            "ImageId": image,
            "MinCount": "1",
            "MaxCount": "1",
            "UserData": "%%%",
        },
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/ec2/aws4_request, "
            "SignedHeaders=host, Signature=0"
        },
    )
    assert answer.status_code == 400
    assert "<Code>InvalidParameterValue</Code>" in answer.text


def test_an_unknown_image_is_refused(ec2: Any) -> None:
    with refused("InvalidAMIID.NotFound", match="ami-0badbadbadbadbad0"):
        run(ec2, "ami-0badbadbadbadbad0")
    with refused("InvalidAMIID.Malformed"):
        run(ec2, "python:3.12")


def test_a_registered_image_is_described_by_name(gateway: AwsGateway, ec2: Any) -> None:
    name = unique("image")
    image = gateway.register_image(name)
    [described] = ec2.describe_images(ImageIds=[image])["Images"]
    assert described["Name"] == name
    assert ec2.describe_images()["Images"] != []


def test_an_unknown_or_empty_instance_profile_is_refused(gateway: AwsGateway, ec2: Any, image: str) -> None:
    with refused("InvalidParameterValue", match="iamInstanceProfile.name is invalid"):
        run(ec2, image, IamInstanceProfile={"Name": unique("absent")})
    name = unique("empty")
    gateway.client("iam").create_instance_profile(InstanceProfileName=name)
    with refused("InvalidParameterValue", match="no associated IAM role"):
        run(ec2, image, IamInstanceProfile={"Name": name})


def test_the_role_of_an_instance_profile_is_found_by_name_and_by_arn(
    gateway: AwsGateway, stranger: Stranger, ec2: Any, image: str
) -> None:
    iam = gateway.client("iam")
    role, name = stranger.new_role(), unique("profile")
    arn = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]
    assert gateway.role_of_profile(name) is None
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    assert gateway.role_of_profile(name) == gateway.role_of_profile(arn) == role
    run(ec2, image, IamInstanceProfile={"Arn": arn})
    with pytest.raises(KeyError):
        gateway.role_of_profile(unique("absent"))


def test_a_volume_is_attached_to_one_instance_at_a_time(ec2: Any, image: str) -> None:
    first, second = run(ec2, image), run(ec2, image)
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=first, Device="/dev/sdf")
    for instance in (first, second):
        with refused("VolumeInUse", match=volume):
            ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    ec2.terminate_instances(InstanceIds=[first])
    ec2.attach_volume(VolumeId=volume, InstanceId=second, Device="/dev/sdf")


def test_what_is_terminated_or_deleted_can_be_forgotten(gateway: AwsGateway) -> None:
    ec2, image = gateway.client("ec2"), gateway.register_image("boot")
    tags = [{"Key": "of", "Value": "this test"}]
    launched = ec2.run_instances(
        ImageId=image,
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]
    gone, kept = (each["InstanceId"] for each in launched)
    ec2.terminate_instances(InstanceIds=[gone])

    gateway.forget({gone})

    found = ec2.describe_instances(Filters=[{"Name": "tag:of", "Values": ["this test"]}])["Reservations"]
    assert [each["InstanceId"] for group in found for each in group["Instances"]] == [kept]
    with refused("InvalidInstanceID.NotFound"):
        ec2.describe_instances(InstanceIds=[gone])
