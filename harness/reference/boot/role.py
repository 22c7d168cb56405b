"""This machine's role: its credentials, and requests to AWS that are signed with them.

botocore signs. Its session and its clients, which load the models of services, would take a quarter of the time of an
ordinary boot, for a single request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import BootError
from .exchange import Answer, exchange
from .metadata import Metadata

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session

_TIMEOUT = 10.0
_PROOF_SECONDS = 60
_METADATA_SECONDS = 5
_METADATA_TRIES = 4


class Role:
    """The role as it is now: its credentials are asked for once."""

    def __init__(self, region: str) -> None:
        self.region = region

    @cached_property
    def credentials(self) -> Credentials:
        """Raises BootError `metadata-error`."""
        from botocore.credentials import Credentials

        given = Metadata.of_this_machine().role_credentials()
        try:
            return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["Token"])
        except KeyError:
            raise BootError(
                "metadata-error", "this machine has no role", "attach the tenant's instance profile"
            ) from None

    def post(self, service: str, endpoint_variable: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """`service` is asked where `endpoint_variable`, or else AWS_ENDPOINT_URL, says. Raises OSError, BootError."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        url = f"{_endpoint(service, endpoint_variable, self.region)}/"
        request = AWSRequest("POST", url, headers=headers, data=body)
        SigV4Auth(self.credentials, service, self.region).add_auth(request)
        return exchange("POST", url, body=body, headers=dict(request.headers), timeout=_TIMEOUT)

    def proof(self) -> str:
        """The query string of a request that tells STS who asks. It works for a minute: it is never logged, and made
        anew for each try."""
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest

        endpoint = _endpoint("sts", "AWS_ENDPOINT_URL_STS", self.region)
        request = AWSRequest("GET", f"{endpoint}/?Action=GetCallerIdentity&Version=2011-06-15")
        SigV4QueryAuth(self.credentials, "sts", self.region, expires=_PROOF_SECONDS).add_auth(request)
        return urlsplit(str(request.url)).query

    @staticmethod
    def session() -> Session:
        """For what takes a whole client. It renews its credentials by itself."""
        from botocore.session import get_session

        session = get_session()
        # Its own second, and single try, for the role's credentials is too little when many machines boot at once.
        session.set_config_variable("metadata_service_timeout", _METADATA_SECONDS)
        session.set_config_variable("metadata_service_num_attempts", _METADATA_TRIES)
        return session


def _endpoint(service: str, variable: str, region: str) -> str:
    """With no slash at its end."""
    named = os.environ.get(variable) or os.environ.get("AWS_ENDPOINT_URL")
    return (named or f"https://{service}.{region}.amazonaws.com").rstrip("/")
