from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from harness.tests.aws.stranger import HOUR, Stranger, allow, refused, unique
from harness.world.aws import AwsGateway, Credentials

NOBODY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")


def ask(stranger: Stranger, service: str, credentials: Credentials) -> None:
    client = stranger.client(service, credentials)
    match service:
        case "secretsmanager":
            client.list_secrets()
        case "s3":
            client.list_buckets()
        case "ec2":
            client.describe_instances()
        case "iam":
            client.list_roles()
        case "sts":
            client.get_caller_identity()


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("secretsmanager", "UnrecognizedClientException"),
        ("s3", "InvalidAccessKeyId"),
        ("ec2", "AuthFailure"),
        ("iam", "InvalidClientTokenId"),
        ("sts", "InvalidClientTokenId"),
    ],
)
def test_an_unknown_access_key_is_refused_in_the_services_own_words(
    stranger: Stranger, service: str, code: str
) -> None:
    with refused(code):
        ask(stranger, service, NOBODY)


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("secretsmanager", "ExpiredTokenException"),
        ("s3", "ExpiredToken"),
        ("ec2", "RequestExpired"),
        ("iam", "ExpiredToken"),
        ("sts", "ExpiredToken"),
    ],
)
def test_expired_credentials_are_refused_in_the_services_own_words(
    gateway: AwsGateway, stranger: Stranger, service: str, code: str
) -> None:
    role = stranger.new_role(allow("*"))
    session = stranger.session(role)
    ask(stranger, service, session)
    assert gateway.principals.expire(f"assumed-role/{role}/*") == 1
    with refused(code):
        ask(stranger, service, session)


def test_credentials_expire_by_themselves(gateway: AwsGateway, stranger: Stranger) -> None:
    role = stranger.new_role(allow("*"))
    with refused("ExpiredTokenException"):
        ask(stranger, "secretsmanager", gateway.assume(role, "i-1", timedelta(0)))


def test_a_session_token_of_another_session_is_refused(stranger: Stranger) -> None:
    first, second = stranger.role(allow("*")), stranger.role(allow("*"))
    with refused("UnrecognizedClientException"):
        ask(stranger, "secretsmanager", replace(first, token=second.token))
    with refused("UnrecognizedClientException"):
        ask(stranger, "secretsmanager", replace(first, token=None))
    with refused("InvalidToken"):
        ask(stranger, "s3", replace(first, token=second.token))


def test_a_session_knows_who_it_is_even_with_no_policy_at_all(stranger: Stranger) -> None:
    role = stranger.new_role()
    identity = stranger.client("sts", stranger.session(role, "i-7")).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{role}/i-7"
    assert identity["Account"] == "123456789012"
    assert identity["UserId"].endswith(":i-7")


def test_credentials_assumed_through_the_api_are_those_of_a_role_session(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    role = stranger.new_role(allow("ec2:Describe*"))
    arn = gateway.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    sts = stranger.administrator("sts")
    minted = sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    session = Credentials(minted["AccessKeyId"], minted["SecretAccessKey"], minted["SessionToken"])
    assert stranger.client("sts", session).get_caller_identity()["Arn"].endswith(f":assumed-role/{role}/me")
    ask(stranger, "ec2", session)
    with refused("AccessDeniedException"):
        ask(stranger, "secretsmanager", session)
    with refused("NotImplemented", status=501):
        sts.assume_role(RoleArn=arn, RoleSessionName="me", Policy="{}")


def test_nobody_can_assume_a_role_that_does_not_exist(gateway: AwsGateway) -> None:
    with pytest.raises(KeyError):
        gateway.assume(unique("absent"), "i-1", HOUR)


def identity_proof(gateway: AwsGateway, credentials: Credentials, expires: int = 60) -> str:
    """The query string of a presigned GetCallerIdentity."""
    request = AWSRequest(
        "GET", f"{gateway.url}/", params={"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    )
    signer = BotocoreCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.token)
    SigV4QueryAuth(signer, "sts", gateway.region, expires=expires).add_auth(request)
    return str(request.prepare().url).partition("?")[2]


def test_a_presigned_query_proves_an_identity_to_somebody_else(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    role = stranger.new_role()
    proof = identity_proof(gateway, stranger.session(role, "i-9"))
    answer = httpx.get(f"{gateway.url}/?{proof}")
    assert answer.status_code == 200
    assert f"<Arn>arn:aws:sts::123456789012:assumed-role/{role}/i-9</Arn>" in answer.text
    [call] = gateway.calls.find("sts:GetCallerIdentity", principal=f"assumed-role/{role}/i-9")
    assert call.succeeded


def test_a_presigned_query_ends_with_its_time_and_with_its_credentials(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    role = stranger.new_role()
    session = stranger.session(role)
    stale = httpx.get(f"{gateway.url}/?{identity_proof(gateway, session, expires=-1)}")
    assert (stale.status_code, "SignatureDoesNotMatch" in stale.text) == (403, True)
    proof = identity_proof(gateway, session)
    gateway.principals.expire(f"assumed-role/{role}/*")
    expired = httpx.get(f"{gateway.url}/?{proof}")
    assert (expired.status_code, "<Code>ExpiredToken</Code>" in expired.text) == (403, True)


def test_a_presigned_object_url_works_until_it_expires(gateway: AwsGateway, stranger: Stranger) -> None:
    bucket = unique("bucket")
    s3 = stranger.administrator("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key with space", Body=b"bytes")

    def url(seconds: int) -> str:
        return str(
            s3.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": "key with space"}, ExpiresIn=seconds
            )
        )

    assert httpx.get(url(60)).content == b"bytes"
    stale = httpx.get(url(-1))
    assert (stale.status_code, "<Code>AccessDenied</Code>" in stale.text) == (403, True)


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({"X-Amz-Target": "secretsmanager.ListSecrets"}, "", "MissingAuthenticationTokenException"),
        ({}, "Action=ListRoles&Version=2010-05-08", "MissingAuthenticationToken"),
        ({}, "Action=DescribeInstances&Version=2016-11-15", "AuthFailure"),
        ({}, "", "AccessDenied"),
    ],
)
def test_an_unsigned_request_is_refused(gateway: AwsGateway, headers: Any, query: str, code: str) -> None:
    answer = httpx.post(f"{gateway.url}/?{query}", headers=headers)
    assert answer.status_code >= 400
    assert code in answer.text


def test_the_control_interface_of_the_simulator_is_out_of_reach(gateway: AwsGateway) -> None:
    name = unique("secret")
    gateway.client("secretsmanager").create_secret(Name=name, SecretString="a")
    assert httpx.post(f"{gateway.url}/moto-api/reset").status_code == 403
    assert gateway.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] == "a"


def test_secrets_do_not_show_in_a_repr(stranger: Stranger) -> None:
    session = stranger.role()
    assert session.secret_access_key not in repr(session)
    assert str(session.token) not in repr(session)
    assert session.expiration is not None
    assert session.expiration > datetime.now(UTC)


def test_a_request_for_another_region_is_refused(gateway: AwsGateway, stranger: Stranger) -> None:
    administrator = gateway.administrator("provisioner")
    with refused("InvalidSignatureException", match="'eu-west-1'"):
        stranger.client("secretsmanager", administrator, region="eu-west-1").list_secrets()
    with refused("AuthFailure"):
        stranger.client("ec2", administrator, region="nowhere-1").describe_instances()
    stranger.client("iam", administrator, region="eu-west-1").list_roles()


def test_requests_signed_the_old_way_are_understood_too(gateway: AwsGateway, stranger: Stranger) -> None:
    bucket = unique("bucket")
    s3 = stranger.administrator("s3", name="old-timer")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"bytes")
    key = gateway.administrator("old-timer").access_key_id
    later = int(datetime.now(UTC).timestamp()) + 60
    url = f"{gateway.url}/{bucket}/key?AWSAccessKeyId={key}&Signature=x"
    assert httpx.get(f"{url}&Expires={later}").content == b"bytes"
    assert httpx.get(f"{url}&Expires={later - 120}").status_code == 403
    assert (
        httpx.get(f"{gateway.url}/{bucket}/key", headers={"Authorization": f"AWS {key}:x"}).content
        == b"bytes"
    )
