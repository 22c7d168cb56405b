"""What a program that knows only boto3 and the endpoint's URL has at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness.world.aws import AwsGateway, Credentials

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
HOUR = timedelta(hours=1)


class Stranger:
    """Makes clients of one endpoint, which do not retry unless told to."""

    def __init__(self, gateway: AwsGateway) -> None:
        self.gateway = gateway
        self._session: Any = boto3.session.Session(region_name=gateway.region)

    def client(
        self,
        service: str,
        credentials: Credentials,
        *,
        attempts: int = 1,
        validate: bool = True,
        region: str | None = None,
    ) -> Any:
        return self._session.client(
            service,
            region_name=region or self.gateway.region,
            endpoint_url=self.gateway.url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.token,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                parameter_validation=validate,
                proxies={},
            ),
        )

    def administrator(self, service: str, *, name: str = "provisioner", attempts: int = 1) -> Any:
        return self.client(service, self.gateway.administrator(name), attempts=attempts)

    def role(self, *statements: dict[str, Any], session: str = "i-0123456789abcdef0") -> Credentials:
        """The credentials of a session of a new role with one inline policy."""
        return self.session(self.new_role(*statements), session)

    def new_role(self, *statements: dict[str, Any]) -> str:
        name = unique("role")
        iam = self.gateway.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(*statements))
        return name

    def session(self, role: str, session: str = "i-0123456789abcdef0") -> Credentials:
        return self.gateway.assume(role, session, HOUR)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


@contextmanager
def refused(code: str, *, status: int | None = None, match: str | None = None) -> Iterator[None]:
    """The call in the block is answered with exactly this error code."""
    with pytest.raises(ClientError, match=match) as caught:
        yield
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == code
    assert status in (None, answer["ResponseMetadata"]["HTTPStatusCode"])
