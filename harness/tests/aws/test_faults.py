from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from harness.tests.aws.stranger import Stranger, refused, unique
from harness.world.aws import AwsGateway


def test_a_throttled_call_succeeds_when_retried(gateway: AwsGateway, stranger: Stranger) -> None:
    name, secret = unique("caller"), unique("secret")
    gateway.client("secretsmanager").create_secret(Name=secret, SecretString="a")
    fault = gateway.faults.throttle("secretsmanager:GetSecretValue", principal=name, times=2)
    client = stranger.administrator("secretsmanager", name=name, attempts=5)
    assert client.get_secret_value(SecretId=secret)["SecretString"] == "a"
    assert fault.hits == 2
    codes = [call.error_code for call in gateway.calls.find(principal=name)]
    assert codes == ["ThrottlingException", "ThrottlingException", None]


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("secretsmanager", "ThrottlingException", 400),
        ("s3", "SlowDown", 503),
        ("ec2", "RequestLimitExceeded", 503),
        ("iam", "Throttling", 400),
    ],
)
def test_each_service_throttles_in_its_own_words(
    gateway: AwsGateway, stranger: Stranger, service: str, code: str, status: int
) -> None:
    name = unique("caller")
    client = stranger.administrator(service, name=name)
    ask = {
        "secretsmanager": "list_secrets",
        "s3": "list_buckets",
        "ec2": "describe_instances",
        "iam": "list_roles",
    }
    with gateway.faults.throttle("*", principal=name), refused(code, status=status):
        getattr(client, ask[service])()


def test_a_fault_strikes_only_its_principal_and_its_resource(gateway: AwsGateway, stranger: Stranger) -> None:
    hurt, spared, name = unique("hurt"), unique("spared"), unique("caller")
    for secret in (hurt, spared):
        gateway.client("secretsmanager").create_secret(Name=secret, SecretString="a")
    client = stranger.administrator("secretsmanager", name=name)
    fault = gateway.faults.fail(
        "secretsmanager:Get*",
        "InternalServiceError",
        status=500,
        principal=name,
        resource=f"*:secret:{hurt}-*",
    )
    client.get_secret_value(SecretId=spared)
    gateway.client("secretsmanager").get_secret_value(SecretId=hurt)
    assert fault.hits == 0
    with refused("InternalServiceError", status=500):
        client.get_secret_value(SecretId=hurt)
    assert fault.hits == 1
    fault.clear()
    client.get_secret_value(SecretId=hurt)
    assert fault.hits == 1


def test_a_denial_comes_in_the_services_own_words(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("caller")
    with gateway.faults.deny("*", principal=name):
        with refused("AccessDeniedException", match="service control policy"):
            stranger.administrator("secretsmanager", name=name).list_secrets()
        with refused("UnauthorizedOperation"):
            stranger.administrator("ec2", name=name).describe_instances()


def test_no_capacity_for_a_while(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("caller")
    image = gateway.register_image("boot")
    fault = gateway.faults.out_of_capacity(principal=name, times=1)
    ec2 = stranger.administrator("ec2", name=name)
    with refused("InsufficientInstanceCapacity", status=500):
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    assert fault.hits == 1


def test_a_lost_answer_leaves_its_effect(gateway: AwsGateway, stranger: Stranger) -> None:
    name, secret = unique("caller"), unique("secret")
    client = stranger.administrator("secretsmanager", name=name)
    gateway.faults.fail(
        "secretsmanager:CreateSecret",
        "InternalServiceError",
        status=500,
        principal=name,
        times=1,
        moment="after",
    )
    with refused("InternalServiceError"):
        client.create_secret(Name=secret, SecretString="a")
    assert gateway.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"] == "a"


def test_a_launch_whose_answer_was_lost_is_not_repeated_by_a_retry(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    name = unique("caller")
    launched: list[Any] = []
    gateway.after("ec2:RunInstances", launched.append)
    ec2 = stranger.administrator("ec2", name=name, attempts=3)
    fault = gateway.faults.fail(
        "ec2:RunInstances", "InternalError", status=500, principal=name, times=1, moment="after"
    )
    image = gateway.register_image("boot")
    answer = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    assert fault.hits == 1
    assert [call.result["Instances"] for call in launched] == [answer["Instances"]]
    token = unique("token")
    first = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, ClientToken=token)["VolumeId"]
    again = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, ClientToken=token)["VolumeId"]
    assert first == again
    with refused("IdempotentParameterMismatch"):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, ClientToken=token)


def test_a_delay_makes_the_answer_late(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("caller")
    client = stranger.administrator("secretsmanager", name=name)
    client.list_secrets()
    gateway.faults.delay("secretsmanager:ListSecrets", 0.3, principal=name, times=1)
    started = monotonic()
    client.list_secrets()
    assert monotonic() - started >= 0.3


def test_a_held_call_waits_until_it_is_released(gateway: AwsGateway, stranger: Stranger) -> None:
    name, secret = unique("caller"), unique("secret")
    client = stranger.administrator("secretsmanager", name=name)
    with (
        ThreadPoolExecutor(1) as pool,
        gateway.faults.hold("secretsmanager:CreateSecret", principal=name) as fault,
    ):
        answer = pool.submit(client.create_secret, Name=secret, SecretString="a")
        fault.wait(10)
        assert not answer.done()
        with refused("ResourceNotFoundException"):
            stranger.administrator("secretsmanager").describe_secret(SecretId=secret)
        fault.release()
        assert answer.result(10)["Name"] == secret
    with pytest.raises(TimeoutError):
        fault.wait(0.01, hits=2)


def test_closing_lets_held_and_delayed_calls_go() -> None:
    gateway = AwsGateway()
    client = Stranger(gateway).administrator("secretsmanager")
    fault = gateway.faults.hold("secretsmanager:ListSecrets")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.list_secrets)
        fault.wait(10)
        gateway.close()
        answer.exception(10)


def test_a_fault_can_be_narrowed_by_what_a_call_says(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("caller")
    client = stranger.administrator("ec2", name=name)
    with gateway.faults.fail(
        "ec2:DescribeVolumes", "Unavailable", principal=name, only=lambda call: b"vol-0bad" in call.body
    ) as fault:
        client.describe_volumes()
        with refused("Unavailable"):
            client.describe_volumes(VolumeIds=["vol-0bad"])
    assert fault.hits == 1


def test_a_call_whose_caller_is_gone_has_no_effect(gateway: AwsGateway, stranger: Stranger) -> None:
    name, held, spared = unique("caller"), unique("held"), unique("spared")
    client = stranger.administrator("secretsmanager", name=name)
    with (
        gateway.faults.hold("secretsmanager:CreateSecret", principal=name, skip=1) as fault,
        ThreadPoolExecutor() as pool,
    ):
        client.create_secret(Name=spared, SecretString="a")
        made = pool.submit(client.create_secret, Name=held, SecretString="a")
        fault.wait(10)
        fault.abandon()
        with refused("ServiceUnavailable", status=503):
            made.result()
    names = [each["Name"] for each in client.list_secrets()["SecretList"]]
    assert spared in names
    assert held not in names
