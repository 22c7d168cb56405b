"""Bodies that are altered or break off on their way from the AWS endpoint."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import IncompleteReadError, ResponseStreamingError

from harness.tests.aws.stranger import Stranger, refused, unique
from harness.world.aws import AwsGateway, Call

CONTENT = bytes(range(256)) * 4
GET = "s3:GetObject"


@pytest.fixture(scope="module")
def bucket(gateway: AwsGateway) -> str:
    name = unique("bucket")
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a/one", Body=CONTENT)
    s3.put_object(Bucket=name, Key="b/one", Body=CONTENT)
    return name


@pytest.fixture
def s3(gateway: AwsGateway, stranger: Stranger) -> Any:
    return stranger.client("s3", gateway.administrator("reader"), validate=False)


def body(s3: Any, bucket: str, key: str = "a/one", **more: Any) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return content


def test_a_body_is_altered_only_below_its_prefix(gateway: AwsGateway, s3: Any, bucket: str) -> None:
    with gateway.faults.alter(GET, lambda body: body[::-1] + b"!", resource=f"*:{bucket}/a/*") as fault:
        answer = s3.get_object(Bucket=bucket, Key="a/one", Range="bytes=0-3")
        assert (answer["ContentLength"], answer["Body"].read()) == (5, b"\3\2\1\0!")
        assert body(s3, bucket, "b/one") == CONTENT
    assert fault.hits == len(fault.happened) == 1
    assert body(s3, bucket, Range="bytes=0-3") == CONTENT[:4]


def test_a_fault_can_ask_of_each_call_whether_it_is_meant(gateway: AwsGateway, s3: Any, bucket: str) -> None:
    def only(call: Call) -> bool:
        return str(call.parameters["Key"]).startswith("b/")

    with gateway.faults.alter(GET, lambda _: b"x", only=only) as fault:
        assert body(s3, bucket, Range="bytes=0-3") == CONTENT[:4]
        assert body(s3, bucket, "b/one", Range="bytes=0-3") == b"x"
    assert fault.hits == 1
    with gateway.faults.throttle(GET, only=only), refused("SlowDown"):
        body(s3, bucket, "b/one")
    with gateway.faults.fail(GET, "NoSuchKey", status=404, only=only):
        body(s3, bucket)


def test_a_short_body_ends_in_good_order(gateway: AwsGateway, s3: Any, bucket: str) -> None:
    with gateway.faults.break_off(GET, "short", times=1) as fault:
        answer = s3.get_object(Bucket=bucket, Key="a/one")
        assert answer["ContentLength"] == len(CONTENT)
        with pytest.raises((IncompleteReadError, ResponseStreamingError), match="512"):
            answer["Body"].read()
    assert fault.hits == 1
    assert body(s3, bucket) == CONTENT


def test_a_body_is_reset_in_its_middle(gateway: AwsGateway, s3: Any, bucket: str) -> None:
    with (
        gateway.faults.break_off(GET, "reset", times=1),
        pytest.raises(ResponseStreamingError, match="reset"),
    ):
        body(s3, bucket)
    assert body(s3, bucket) == CONTENT


def test_half_of_a_close_delimited_body_is_taken_for_the_whole(
    gateway: AwsGateway, s3: Any, bucket: str
) -> None:
    address = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/one"}))
    with gateway.faults.break_off(GET, "close-delimited"):
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
        connection.request("GET", f"{address.path}?{address.query}")
        assert connection.getresponse().read() == CONTENT[: len(CONTENT) // 2]


def test_what_has_no_good_body_is_left_alone(gateway: AwsGateway, s3: Any, bucket: str) -> None:
    with gateway.faults.alter("s3:*", lambda _: b"x") as fault:
        with refused("NoSuchKey"):
            body(s3, bucket, "c/none")
        s3.head_object(Bucket=bucket, Key="a/one")
    assert fault.hits == 0


def test_the_content_of_an_object_is_judged_and_not_kept_twice(
    gateway: AwsGateway, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="big", Body=b"x" * (9 << 20))
    (call,) = gateway.calls.find("s3:PutObject", principal="reader")
    assert "Body" not in call.parameters
    assert call.parameters["Key"] == "big"
    assert (len(call.body), call.request_bytes) == (8 << 20, 9 << 20)
