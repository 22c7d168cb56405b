"""An HTTP request to the AWS endpoint, read with the service models of botocore as moto carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound
from werkzeug.wsgi import get_input_stream

from .errors import AwsError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from moto.core.model import OperationModel

_VERSIONS = {"2016-11-15": "ec2", "2010-05-08": "iam", "2011-06-15": "sts"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says about who signed it; the signature itself is not verified."""

    access_key_id: str
    token: str | None
    service: str
    region: str
    valid_until: datetime | None
    """Of presigned requests, UTC."""


@dataclass(frozen=True, slots=True)
class AwsRequest:
    """One request, understood as far as possible."""

    service: str
    region: str
    protocol: str
    method: str
    operation: OperationModel | None
    parameters: Mapping[str, Any] = field(repr=False)
    signature: Signature | None
    head: bytes = field(repr=False)
    """Method, path, query and headers, a line each."""
    body: bytes = field(repr=False)
    problem: AwsError | None
    """Why it could not be understood."""

    @property
    def operation_name(self) -> str:
        return str(self.operation.name) if self.operation else "?"


def take_body(environ: WSGIEnvironment) -> bytes:
    """Read the body, and leave an environment that anyone can read it from again with `rewound`."""
    body = get_input_stream(environ).read()
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("wsgi.input_terminated", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body


def rewound(environ: WSGIEnvironment, body: bytes, **changed: str) -> WSGIEnvironment:
    return {**environ, "wsgi.input": BytesIO(body), **changed}


def read(environ: WSGIEnvironment, body: bytes, default_region: str) -> AwsRequest:
    """Never raises: a request that cannot be understood says so in `problem`."""
    request = Request(rewound(environ, body))
    signature = _signature(request, default_region)
    service = signature.service if signature else _unsigned_service(request)
    protocol = "rest-xml"
    operation: OperationModel | None = None
    parameters: Mapping[str, Any] = {}
    problem: AwsError | None = None
    try:
        model = get_service_model(service)
        protocol = determine_request_protocol(model, request.content_type)
        operation, uri_parameters = get_service_router(service).match(request)
        parameters = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": uri_parameters,
            }
        )
    except (UnknownServiceError, NotImplementedError):
        problem = AwsError("NotImplemented", f"this cloud does not offer the service {service}", 501)
    except NotFound:
        problem = AwsError("UnknownOperationException", f"{service} has no such operation", 400)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
    ) as malformed:  # whatever the parser trips over
        problem = AwsError("SerializationException", f"the request cannot be parsed: {malformed}", 400)
    return AwsRequest(
        service,
        signature.region if signature else default_region,
        protocol,
        request.method,
        operation,
        parameters or {},
        signature,
        _head(request),
        body,
        problem,
    )


def _head(request: Request) -> bytes:
    lines = [f"{request.method} {request.path}", request.query_string.decode("latin-1")]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _signature(request: Request, default_region: str) -> Signature | None:
    """Of the Authorization header or of a presigned query; signature versions 4 and (Amazon S3 only) 2."""
    header = request.headers.get("Authorization", "")
    token = request.headers.get("X-Amz-Security-Token")
    query = request.args
    if header.startswith("AWS4-"):
        _, _, scope = header.partition("Credential=")
        return _scoped(scope.split(",")[0].strip(), token, None)
    if header.startswith("AWS "):
        return Signature(header[4:].partition(":")[0], token, "s3", default_region, None)
    if "X-Amz-Credential" in query:
        until = _valid_until(query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", ""))
        return _scoped(unquote(query["X-Amz-Credential"]), query.get("X-Amz-Security-Token") or token, until)
    if "AWSAccessKeyId" in query:
        expires = query.get("Expires", "")
        until = (
            datetime.fromtimestamp(int(expires), UTC)
            if expires.isdecimal()
            else datetime.min.replace(tzinfo=UTC)
        )
        return Signature(
            query["AWSAccessKeyId"], query.get("x-amz-security-token"), "s3", default_region, until
        )
    return None


def _scoped(scope: str, token: str | None, until: datetime | None) -> Signature | None:
    """`scope` is `<access key>/<date>/<region>/<service>/aws4_request`."""
    parts = scope.split("/")
    if len(parts) != 5:
        return None
    key, _, region, service, _ = parts
    return Signature(key, token, service.lower(), region, until)


def _valid_until(date: str, seconds: str) -> datetime:
    """A presigned request that does not say how long it is valid never is."""
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _unsigned_service(request: Request) -> str:
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return target.partition(".")[0].lower()
    return _VERSIONS.get(request.values.get("Version", ""), "s3")
