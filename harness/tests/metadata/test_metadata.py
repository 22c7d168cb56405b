from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
from botocore.config import Config
from botocore.credentials import InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher

from harness.tests.aws.stranger import Stranger, allow, refused, unique
from harness.world.aws import AwsGateway, Credentials
from harness.world.metadata import MachineIdentity, Metadata

TTL = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture(scope="module")
def gateway() -> Iterator[AwsGateway]:
    with AwsGateway(account="123456789012") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def metadata(gateway: AwsGateway) -> Iterator[Metadata]:
    with Metadata(gateway) as metadata:
        yield metadata


@pytest.fixture(scope="module")
def role(gateway: AwsGateway) -> str:
    return Stranger(gateway).new_role(allow("secretsmanager:*"))


def machine(role: str | None = None, user_data: bytes = b"") -> MachineIdentity:
    return MachineIdentity(unique("i"), role, user_data, lambda: "10.0.0.7", "ami-1", "us-east-1a")


def token(url: str, seconds: str = "60") -> str:
    answer = httpx.put(f"{url}latest/api/token", headers={TTL: seconds})
    assert (answer.status_code, answer.headers[TTL]) == (200, seconds)
    return answer.text


def get(url: str, path: str, session: str | None = None) -> httpx.Response:
    return httpx.get(f"{url}latest/{path}", headers={"X-aws-ec2-metadata-token": session or token(url)})


def test_nothing_is_told_without_a_session_token(metadata: Metadata) -> None:
    url = metadata.add(machine())
    assert httpx.get(f"{url}latest/meta-data/instance-id").status_code == 401
    assert get(url, "meta-data/instance-id", "guessed").status_code == 401
    other = metadata.add(machine())
    assert get(url, "meta-data/instance-id", token(other)).status_code == 401


@pytest.mark.parametrize("headers", [{}, {TTL: "0"}, {TTL: "21601"}, {TTL: "soon"}])
def test_a_session_token_needs_a_lifetime_of_1_to_21600_seconds(
    metadata: Metadata, headers: dict[str, str]
) -> None:
    url = metadata.add(machine())
    assert httpx.put(f"{url}latest/api/token", headers=headers).status_code == 400
    assert httpx.get(f"{url}latest/api/token", headers=headers).status_code == 405


def test_a_session_token_ends_with_its_lifetime(metadata: Metadata) -> None:
    url = metadata.add(machine())
    session = token(url, "1")
    assert get(url, "meta-data/instance-id", session).status_code == 200
    sleep(1.05)
    assert get(url, "meta-data/instance-id", session).status_code == 401


def test_user_data_comes_back_byte_for_byte_or_is_not_there(metadata: Metadata) -> None:
    content = bytes(range(256))
    answer = get(metadata.add(machine(user_data=content)), "user-data")
    assert (answer.status_code, answer.content) == (200, content)
    assert get(metadata.add(machine()), "user-data").status_code == 404


def test_a_machine_learns_who_and_where_it_is(metadata: Metadata, role: str) -> None:
    identity = machine(role)
    url = metadata.add(identity)
    told = {
        path: get(url, f"meta-data/{path}").text
        for path in ("instance-id", "local-ipv4", "ami-id", "placement/region", "placement/availability-zone")
    }
    assert told == {
        "instance-id": identity.instance_id,
        "local-ipv4": "10.0.0.7",
        "ami-id": "ami-1",
        "placement/region": "us-east-1",
        "placement/availability-zone": "us-east-1a",
    }
    document = get(url, "dynamic/instance-identity/document").json()
    assert document["instanceId"] == identity.instance_id
    assert (document["accountId"], document["region"]) == ("123456789012", "us-east-1")


def test_directories_are_listed_as_ec2_lists_them(metadata: Metadata, role: str) -> None:
    url = metadata.add(machine(role))
    assert get(url, "meta-data/").text.split("\n") == [
        "ami-id",
        "iam/",
        "instance-id",
        "local-ipv4",
        "placement/",
    ]
    assert get(url, "meta-data/placement").text.split("\n") == ["availability-zone", "region"]
    assert get(url, "meta-data/iam/security-credentials/").text == role
    assert get(url, "meta-data/nothing").status_code == 404


def test_a_machine_without_a_role_has_no_credentials(metadata: Metadata) -> None:
    url = metadata.add(machine())
    assert get(url, "meta-data/iam/security-credentials/").status_code == 404


def test_role_credentials_are_shaped_as_ec2s(metadata: Metadata, role: str) -> None:
    url = metadata.add(machine(role))
    answer = get(url, f"meta-data/iam/security-credentials/{role}").json()
    assert set(answer) == {
        *("Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"),
    }
    assert (answer["Code"], answer["Type"]) == ("Success", "AWS-HMAC")
    expiration = datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(hours=5, minutes=59) < expiration - datetime.now(UTC) <= timedelta(hours=6)
    assert get(url, f"meta-data/iam/security-credentials/{role}").json() == answer
    assert get(url, "meta-data/iam/security-credentials/another").status_code == 404


def test_a_role_that_is_gone_is_told_as_ec2_tells_it(metadata: Metadata) -> None:
    gone = unique("gone")
    answer = get(metadata.add(machine(gone)), f"meta-data/iam/security-credentials/{gone}").json()
    assert answer["Code"] == "AssumeRoleUnauthorizedAccess"


def test_a_removed_machine_is_no_longer_answered(metadata: Metadata) -> None:
    identity = machine()
    url = metadata.add(identity)
    session = token(url)
    metadata.remove(identity.instance_id)
    assert get(url, "meta-data/instance-id", session).status_code == 404
    metadata.remove(identity.instance_id)


def test_requests_are_recorded_and_can_be_awaited(metadata: Metadata) -> None:
    identity = machine(user_data=b"x")
    url = metadata.add(identity)
    with ThreadPoolExecutor(1) as pool:
        awaited = pool.submit(metadata.wait, identity.instance_id, "latest/user-data", 10)
        get(url, "user-data")
        assert awaited.result().status == 200
    assert [(each.method, each.path) for each in metadata.requests(identity.instance_id)] == [
        ("PUT", "latest/api/token"),
        ("GET", "latest/user-data"),
    ]
    with pytest.raises(TimeoutError):
        metadata.wait(identity.instance_id, "latest/never", 0.01)


PROGRAM = """
import boto3, json
client = boto3.client("sts")
print(json.dumps({"arn": client.get_caller_identity()["Arn"], "region": client.meta.region_name}))
"""


def test_boto3_in_a_machine_finds_its_role_with_no_other_configuration(
    gateway: AwsGateway, metadata: Metadata, role: str
) -> None:
    identity = machine(role)
    environment = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.add(identity),
        "AWS_ENDPOINT_URL": gateway.url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {
        "arn": f"arn:aws:sts::123456789012:assumed-role/{role}/{identity.instance_id}",
        "region": "us-east-1",
    }


def test_credentials_are_rotated_while_a_third_of_their_lifetime_is_left(
    gateway: AwsGateway, role: str
) -> None:
    lifetime = timedelta(seconds=6)
    stranger = Stranger(gateway)
    with Metadata(gateway, credential_lifetime=lifetime) as metadata:
        url = metadata.add(machine(role))
        seen: set[str] = set()
        deadline = monotonic() + 30
        while len(seen) < 2 and monotonic() < deadline:
            answer = get(url, f"meta-data/iam/security-credentials/{role}").json()
            given = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"])
            stranger.client("secretsmanager", given).list_secrets()
            ends = datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            assert ends - datetime.now(UTC) > timedelta(
                seconds=0.5
            )  # 2 s, less what was cut off and what it took
            seen.add(given.access_key_id)
            sleep(0.2)
    assert len(seen) == 2


def test_credentials_that_were_ended_early_are_replaced(
    gateway: AwsGateway, metadata: Metadata, role: str
) -> None:
    identity = machine(role)
    url = metadata.add(identity)
    path = f"meta-data/iam/security-credentials/{role}"
    first = get(url, path).json()["AccessKeyId"]
    assert gateway.principals.expire(f"assumed-role/*/{identity.instance_id}") == 1
    second = get(url, path).json()["AccessKeyId"]
    assert first != second
    assert get(url, path).json()["AccessKeyId"] == second


def test_a_boto3_client_survives_the_expiry_of_its_credentials(
    gateway: AwsGateway, metadata: Metadata, role: str
) -> None:
    identity = machine(role)
    fetcher = InstanceMetadataFetcher(base_url=metadata.add(identity), env={}, config={})
    core: Any = botocore.session.Session()
    credentials: Any = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    core._credentials = credentials
    session: Any = boto3.session.Session(botocore_session=core, region_name="us-east-1")
    client = session.client("secretsmanager", endpoint_url=gateway.url, config=Config(proxies={}))
    client.list_secrets()
    first = credentials.access_key
    gateway.principals.expire(f"assumed-role/*/{identity.instance_id}")
    with refused("ExpiredTokenException"):
        client.list_secrets()
    in_six_hours = datetime.now(UTC) + timedelta(hours=5, minutes=55)
    credentials._time_fetcher = lambda: (
        in_six_hours
    )  # the machine's clock, when the credentials are about to end
    client.list_secrets()
    assert credentials.access_key != first


def test_a_machine_that_is_held_is_answered_once_it_is_let_go(metadata: Metadata) -> None:
    identity, other = machine(), machine()
    url = metadata.add(identity)
    with ThreadPoolExecutor(1) as asking:
        with metadata.holding(identity.instance_id) as held:
            answer = asking.submit(token, url)
            assert held.asked.wait(10)
            assert token(metadata.add(other))
            assert not answer.done()

        assert answer.result(10)
    assert token(url)
