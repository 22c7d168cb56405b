"""Clients of the AWS services, made when first used: loading their models is most of what a start would cost."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient


class Cloud:
    """One client a service, shared by all threads. Endpoint and credentials come by boto3's own chain."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, int], Any] = {}

    @property
    def ec2(self) -> EC2Client:
        return cast("EC2Client", self._client("ec2"))

    @property
    def ec2_at_once(self) -> EC2Client:
        """One that tries nothing again by itself, for who has a bound of his own and tells of each refusal."""
        return cast("EC2Client", self._client("ec2", attempts=1))

    @property
    def iam(self) -> IAMClient:
        return cast("IAMClient", self._client("iam"))

    @property
    def s3(self) -> S3Client:
        return cast("S3Client", self._client("s3"))

    @property
    def sts(self) -> STSClient:
        return cast("STSClient", self._client("sts"))

    @property
    def secrets(self) -> SecretsManagerClient:
        return cast("SecretsManagerClient", self._client("secretsmanager"))

    def warm(self) -> None:
        """Make every client now, those that the first requests need first."""
        for service in ("secretsmanager", "iam", "ec2", "sts", "s3"):
            self._client(service)
        self._client("ec2", attempts=1)

    def _client(self, service: str, attempts: int = 4) -> Any:
        client = self._clients.get((service, attempts))
        if client is not None:
            return client
        # A session is not safe to share while it makes clients.
        with self._lock:
            if (service, attempts) not in self._clients:
                # Imported here, so that the first request is answered before boto3 is loaded.
                import boto3
                from botocore.config import Config

                if self._session is None:
                    self._session = boto3.session.Session(region_name=self._region)
                self._clients[service, attempts] = self._session.client(
                    service,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=60,
                        max_pool_connections=64,
                        retries={"mode": "standard", "total_max_attempts": attempts},
                    ),
                )
            return self._clients[service, attempts]


def error_code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "Unknown")


def error_message(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Message", "")
