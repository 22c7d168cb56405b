from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from harness.tests.aws.stranger import Stranger, allow, refused, unique
from harness.world.aws import AwsError, AwsGateway, Call


def test_every_call_is_recorded_with_who_what_and_how_much(gateway: AwsGateway, stranger: Stranger) -> None:
    name, secret = unique("provisioner"), unique("secret")
    client = stranger.administrator("secretsmanager", name=name)
    client.create_secret(Name=secret, SecretString="crème")
    with refused("ResourceNotFoundException"):
        client.get_secret_value(SecretId=unique("absent"))
    created, missed = gateway.calls.find(principal=name)
    assert (created.action, created.status, created.error_code) == ("secretsmanager:CreateSecret", 200, None)
    assert created.parameters["Name"] == secret
    assert created.resources == (f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{secret}-??????",)
    assert created.secret_bytes == 6
    assert created.request_bytes == len(created.body)
    assert rb"cr\u00e8me" in created.body or "crème".encode() in created.body
    assert (missed.action, missed.error_code) == (
        "secretsmanager:GetSecretValue",
        "ResourceNotFoundException",
    )
    assert missed.secret_bytes is None
    assert created.at <= missed.at


def test_the_repr_of_a_call_does_not_show_what_it_carried(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("provisioner")
    stranger.administrator("secretsmanager", name=name).create_secret(
        Name=unique("secret"), SecretString="do not show this"
    )
    [call] = gateway.calls.find(principal=name)
    assert "do not show this" not in repr(call)
    assert "do not show this" in call.parameters["SecretString"]


def test_the_harness_own_calls_are_recorded_as_its_own_and_without_body(gateway: AwsGateway) -> None:
    mark = gateway.calls.mark()
    gateway.client("secretsmanager").create_secret(Name=unique("secret"), SecretString="a")
    [call] = gateway.calls.find("secretsmanager:CreateSecret", since=mark)
    assert (call.principal, call.body) == ("harness", b"")
    assert call.request_bytes > 0


def test_objects_are_recorded_by_bucket_and_key(gateway: AwsGateway, stranger: Stranger) -> None:
    name, bucket = unique("provisioner"), unique("bucket")
    s3 = stranger.administrator("s3", name=name)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"12345")
    [put] = gateway.calls.find("s3:PutObject", principal=name)
    assert put.resources == (f"arn:aws:s3:::{bucket}/a/b c",)
    assert b"12345" in put.body
    with refused("NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="absent")
    [get] = gateway.calls.find("s3:GetObject", principal=name)
    assert (get.status, get.error_code, get.succeeded) == (404, "NoSuchKey", False)


def test_calls_are_found_by_glob_predicate_and_since(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("provisioner")
    client = stranger.administrator("secretsmanager", name=name)
    client.list_secrets()
    mark = gateway.calls.mark()
    client.create_secret(Name=unique("x"), SecretString="aa")
    client.create_secret(Name=unique("x"), SecretString="aaaa")
    assert len(gateway.calls.find("secretsmanager:*", principal=name)) == 3
    assert len(gateway.calls.find("*:CreateSecret", principal=name, since=mark)) == 2
    assert len(gateway.calls.find(principal=name, where=lambda call: (call.secret_bytes or 0) > 2)) == 1
    assert gateway.calls.find(principal=name, service="ec2") == []


def test_a_call_can_be_awaited(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("provisioner")
    client = stranger.administrator("secretsmanager", name=name)
    with ThreadPoolExecutor(1) as pool:
        awaited = pool.submit(gateway.calls.wait, "secretsmanager:ListSecrets", principal=name, timeout=10)
        client.list_secrets()
        assert awaited.result().principal == name
    with pytest.raises(TimeoutError):
        gateway.calls.wait("ec2:RunInstances", principal=name, timeout=0.01)


def test_a_callback_sees_parameters_and_result_before_the_caller_has_the_answer(stranger: Stranger) -> None:
    gateway = stranger.gateway
    seen: list[Call] = []
    gateway.after("ec2:CreateVolume", seen.append)
    volume = stranger.administrator("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    [call] = [call for call in seen if call.result and call.result["VolumeId"] == volume]
    assert call.parameters["Size"] == 1
    instance = gateway.client("ec2").run_instances(
        ImageId=gateway.register_image("boot"), MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    stopped: list[Call] = []
    gateway.after("ec2:StopInstances", stopped.append)
    stranger.administrator("ec2").stop_instances(InstanceIds=[instance])
    [stop] = stopped
    assert stop.parameters["InstanceIds"] == [instance]
    assert stop.result is not None
    assert stop.result["StoppingInstances"][0]["InstanceId"] == instance


def test_no_callback_is_called_for_a_call_that_failed(gateway: AwsGateway, stranger: Stranger) -> None:
    seen: list[Call] = []
    gateway.after("ec2:DeleteSnapshot", seen.append)
    with refused("InvalidSnapshot.NotFound"):
        stranger.administrator("ec2").delete_snapshot(SnapshotId="snap-0badbadbadbadbad0")
    assert seen == []


def test_a_callback_that_raises_is_a_defect_of_the_harness(stranger: Stranger) -> None:
    with AwsGateway() as gateway:
        defect = RuntimeError("no engine")

        def broken(call: Call) -> None:
            raise defect

        gateway.after("secretsmanager:CreateSecret", broken)
        with refused("InternalError", status=500):
            Stranger(gateway).administrator("secretsmanager").create_secret(Name="a", SecretString="a")
        assert gateway.defects == [defect]
        assert gateway.calls.find("secretsmanager:CreateSecret")[0].error_code == "InternalError"


def test_a_handler_answers_in_place_of_the_simulator(gateway: AwsGateway, stranger: Stranger) -> None:
    import base64

    def console(call: Call) -> dict[str, Any] | None:
        if call.parameters["InstanceId"] == "i-0badbadbadbadbad0":
            raise AwsError("InvalidInstanceID.NotFound", "no such machine")
        output = base64.b64encode(b"kernel: hello").decode()
        return {"InstanceId": call.parameters["InstanceId"], "Output": output}

    gateway.answer("ec2:GetConsoleOutput", console)
    ec2 = stranger.administrator("ec2")
    assert ec2.get_console_output(InstanceId="i-0123456789abcdef0")["Output"] == "kernel: hello"
    with refused("InvalidInstanceID.NotFound"):
        ec2.get_console_output(InstanceId="i-0badbadbadbadbad0")


def test_an_answer_of_the_simulator_can_be_amended(gateway: AwsGateway, stranger: Stranger) -> None:
    gateway.amend(
        "sts:GetSessionToken", lambda call: {**(call.result or {}), "Credentials": {"AccessKeyId": "A"}}
    )

    answer = stranger.administrator("sts").get_session_token()

    assert answer["Credentials"] == {"AccessKeyId": "A"}


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads change hands as often as they can, so that what is not guarded breaks."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_calls_at_once_do_not_disturb_each_other(gateway: AwsGateway, stranger: Stranger) -> None:
    client = stranger.administrator("secretsmanager", name=unique("many"))
    machine = stranger.client("secretsmanager", stranger.role(allow("secretsmanager:*")))

    def one(number: int) -> bool:
        name = unique(f"many-{number}")
        client.create_secret(Name=name, SecretString=str(number))
        client.list_secrets()
        return bool(machine.get_secret_value(SecretId=name)["SecretString"] == str(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(100)))


def test_an_operation_or_service_that_does_not_exist_is_refused(gateway: AwsGateway) -> None:
    key = gateway.administrator("curl").access_key_id

    def signed(service: str) -> dict[str, str]:
        scope = f"{key}/20260101/us-east-1/{service}/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}

    target = {"X-Amz-Target": "secretsmanager.StealSecret", "Content-Type": "application/x-amz-json-1.1"}
    answer = httpx.post(gateway.url, json={}, headers=signed("secretsmanager") | target)
    assert (answer.status_code, answer.json()["__type"]) == (400, "UnknownOperationException")
    answer = httpx.post(gateway.url, json={}, headers=signed("nosuchservice"))
    assert answer.status_code == 501
    assert "nosuchservice" in answer.text


def test_a_gateway_forgets_its_account_when_it_closes() -> None:
    with AwsGateway() as first:
        first.client("secretsmanager").create_secret(Name="forgotten", SecretString="a")
        first.client("s3").create_bucket(Bucket="forgotten")
    with AwsGateway() as second:
        assert second.client("secretsmanager").list_secrets()["SecretList"] == []
        assert second.client("s3").list_buckets()["Buckets"] == []
        second.client("s3").create_bucket(Bucket="forgotten")
