from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from harness.tests.aws.stranger import Stranger, refused, unique
from harness.world.aws import AwsGateway


@pytest.fixture(scope="module")
def s3(stranger: Stranger) -> Any:
    return stranger.administrator("s3")


@pytest.fixture(scope="module")
def bucket(gateway: AwsGateway) -> str:
    name = unique("bucket")
    gateway.client("s3").create_bucket(Bucket=name)
    return name


def test_an_object_comes_back_byte_for_byte_and_in_ranges(s3: Any, bucket: str) -> None:
    content = bytes(range(256)) * 20_000
    s3.put_object(Bucket=bucket, Key="big", Body=content, Metadata={"commit": "abc"})
    answer = s3.get_object(Bucket=bucket, Key="big")
    assert answer["Body"].read() == content
    assert answer["Metadata"] == {"commit": "abc"}
    assert s3.get_object(Bucket=bucket, Key="big", Range="bytes=256-511")["Body"].read() == bytes(range(256))
    assert s3.head_object(Bucket=bucket, Key="big")["ContentLength"] == len(content)


def test_a_multipart_upload_is_joined(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    parts = []
    for number, part in enumerate((b"a" * 5_242_880, b"b"), 1):
        etag = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=part)[
            "ETag"
        ]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert s3.head_object(Bucket=bucket, Key="parts")["ContentLength"] == 5_242_881


def test_a_wrong_checksum_is_refused(s3: Any, bucket: str) -> None:
    right = base64.b64encode(hashlib.sha256(b"right").digest()).decode()
    s3.put_object(Bucket=bucket, Key="sum", Body=b"right", ChecksumSHA256=right)
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="sum", Body=b"wrong", ChecksumSHA256=right)
    with refused("BadDigest"):
        s3.put_object(
            Bucket=bucket,
            Key="sum",
            Body=b"wrong",
            ContentMD5=base64.b64encode(hashlib.md5(b"right").digest()).decode(),
        )
    assert s3.get_object(Bucket=bucket, Key="sum")["Body"].read() == b"right"


def test_a_key_of_1024_bytes_is_accepted_and_of_1025_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k" * 1024, Body=b"")
    with refused("KeyTooLongError"):
        s3.put_object(Bucket=bucket, Key="k" * 1025, Body=b"")
