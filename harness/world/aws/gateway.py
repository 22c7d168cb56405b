"""The AWS endpoint of a disposable cloud: moto behind what AWS enforces and moto does not."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Condition, Lock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from ..server import Server
from . import errors
from .authorization import Authorization
from .backend import Moto
from .calls import Call, CallLog
from .errors import AwsError
from .faults import Faults
from .idempotency import Idempotency
from .limits import Limits, secret_bytes, user_data_bytes
from .principals import Credentials, Expired, Principal, Principals, UnknownKey, WrongToken
from .requests import AwsRequest, read, take_body

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import StartResponse

    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response

log = logging.getLogger(__name__)

Callback = Callable[[Call], None]
Handler = Callable[[Call], Mapping[str, Any] | None]
Amendment = Callable[[Call], Mapping[str, Any]]

HARNESS = "harness"
"""The principal of the harness's own calls."""

_GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""They have no region; boto3 signs for the one that it is configured with."""
_PATIENCE = 10.0
"""Seconds that `close` waits for calls under way."""
_LONGEST_KEPT_BODY = 8 << 20
"""Bytes: any request that is no upload is shorter."""
_XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class AwsGateway:
    """Serves every AWS service of one account at one URL, from the moment it is made until `close`.

    Signatures are not verified: a caller is who its access key and session token say. moto keeps its state in this
    process, so two gateways of one account in one process share one cloud.
    """

    def __init__(
        self,
        *,
        bind_host: str = "127.0.0.1",
        advertise_host: str | None = None,
        port: int = 0,
        region: str = "us-east-1",
        account: str | None = None,
    ) -> None:
        """`advertise_host` is the host by which machines reach it; no `account` takes a new one. Raises PortInUse."""
        self.region = region
        self.account = account = account or f"{secrets.randbelow(10**12):012}"
        self.calls = CallLog()
        self.faults = Faults()
        self.defects: list[Exception] = []
        """What callbacks and handlers raised: defects of the harness, never of an implementation."""
        self._moto = Moto(account, region)
        self.principals = Principals(account, self._moto.user_of_key)
        self._authorization = Authorization(self._moto)
        self._limits = Limits(self._moto)
        self._idempotency = Idempotency()
        self._under_way = 0
        self._idle = Condition()
        self._callbacks: dict[str, list[Callback]] = {}
        self._handlers: dict[str, Handler] = {}
        self._amendments: dict[str, Amendment] = {}
        self._clients: dict[str, Any] = {}
        self._clients_lock = Lock()
        self._keys = self.administrator(HARNESS)
        self.answer("sts:GetCallerIdentity", self._caller_identity)
        self.answer("sts:AssumeRole", self._refuse_session_policies)
        self.after("sts:AssumeRole", self._adopt)
        self._server = Server("aws", self, bind_host=bind_host, port=port)
        self._local_url = self._server.url("127.0.0.1" if bind_host == "0.0.0.0" else None)  # noqa: S104
        self.url = self._server.url(advertise_host) if advertise_host else self._local_url

    def administrator(self, name: str) -> Credentials:
        """New long-lived access keys of a principal of that name, which may do everything."""
        return self.principals.administrator(name)

    def assume(self, role_name: str, session_name: str, lifetime: timedelta) -> Credentials:
        """Temporary credentials of a role session, such as instance metadata hands out. Raises KeyError."""
        role = self._moto.role(role_name)
        if role is None:
            raise KeyError(role_name)
        return self.principals.session(role_name, role.id, session_name, lifetime)

    def still_valid(self, credentials: Credentials) -> bool:
        """Whether a call signed with them would be accepted now."""
        return self.principals.still_valid(credentials)

    def role_of_profile(self, profile: str) -> str | None:
        """The role in an instance profile, given by name or ARN; None if it has none. Raises KeyError."""
        return self._moto.role_of_profile(profile)

    def register_image(self, name: str) -> str:
        """A new AMI of that name; its id."""
        return self._moto.register_image(name)

    def forget(self, gone: Collection[str]) -> None:
        """Forget instances that are terminated and volumes that are deleted."""
        self._moto.forget(gone)

    def after(self, action: str, callback: Callback) -> None:
        """Call `callback` whenever moto carried the action out, in the request's thread and before the answer goes out.

        The call has `result`. What it raises is remembered in `defects`, and the caller gets InternalError.
        """
        self._callbacks.setdefault(action, []).append(callback)

    def answer(self, action: str, handler: Handler) -> None:
        """Let `handler` answer the action: with the dict that boto3 shall return (blobs and GetConsoleOutput's
        Output as they are on the wire), None to leave it to moto after all, or by raising AwsError."""
        self._handlers[action] = handler

    def amend(self, action: str, amendment: Amendment) -> None:
        """Let `amendment` turn moto's answer, which the call has as `result`, into the dict that boto3 shall return.

        It may raise AwsError.
        """
        self._amendments[action] = amendment

    def client(self, service: str) -> Any:
        """A boto3 client for the harness itself, an administrator of the name `harness`. Shared; thread-safe."""
        with self._clients_lock:
            if service not in self._clients:
                self._clients[service] = self.client_of(self._keys, service)
            return self._clients[service]

    def client_of(self, credentials: Credentials, service: str) -> Any:
        """A new boto3 client for whoever has these credentials; close it after use."""
        session: Any = boto3.session.Session(
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.token,
            region_name=self.region,
        )
        config = Config(proxies={}, s3={"addressing_style": "path"})
        return session.client(service, endpoint_url=self._local_url, config=config)

    def close(self) -> None:
        """Stop serving, let held calls go, and forget everything of the account."""
        self.faults.close()
        self._server.close()
        with self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, _PATIENCE)
        for client in self._clients.values():
            client.close()
        self._moto.close()

    def __enter__(self) -> AwsGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._idle:
            self._under_way += 1
        try:
            return self._serve(environ)(environ, start_response)
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _serve(self, environ: WSGIEnvironment) -> Response:
        """Answer and record."""
        started = perf_counter()
        body = take_body(environ)
        request = read(environ, body, self.region)
        caller = self.principals.identify(request.signature.access_key_id) if request.signature else None
        call = self._call(request, caller)
        try:
            response = self._respond(request, call, environ)
        except AwsError as refusal:
            response = refusal.response(request.protocol, head=request.method == "HEAD")
            code: str | None = refusal.code
        except Exception as defect:
            log.exception("%s could not be answered", call.action)
            self.defects.append(defect)
            failure = AwsError("InternalError", "An internal error has occurred", 500)
            response = failure.response(request.protocol, head=request.method == "HEAD")
            code = failure.code
        else:
            code = _error_code(response)
        self.calls.record(
            replace(call, status=response.status_code, error_code=code, seconds=perf_counter() - started)
        )
        return response

    def _call(self, request: AwsRequest, caller: Principal | None) -> Call:
        if caller:
            name = caller.name
        else:
            name = f"unknown:{request.signature.access_key_id}" if request.signature else "anonymous"
        try:
            user_data = user_data_bytes(request.parameters) if request.service == "ec2" else None
        except AwsError:  # not base64: the limits refuse it
            user_data = None
        return Call(
            at=datetime.now(UTC),
            caller=caller,
            principal=name,
            service=request.service,
            operation=request.operation_name,
            region=request.region,
            resources=self._authorization.resources(request),
            request_bytes=len(request.body),
            # What an object holds is kept in S3, and need not be kept here for ever too.
            parameters={key: value for key, value in request.parameters.items() if key != "Body"}
            if request.service == "s3"
            else request.parameters,
            body=b"" if name == HARNESS else request.body[:_LONGEST_KEPT_BODY],
            head=b"" if name == HARNESS else request.head,
            secret_bytes=secret_bytes(request),
            user_data_bytes=user_data,
        )

    def _respond(self, request: AwsRequest, call: Call, environ: WSGIEnvironment) -> Response:
        """Raises AwsError to refuse; anything else is a defect of the harness."""
        principal = self._authenticate(request)
        if request.region != self.region and request.service not in _GLOBAL_SERVICES:
            raise errors.wrong_region(request.service, request.region)
        self.faults.inject(call, "before")
        if request.problem:
            raise request.problem
        self._authorization.check(request, principal)
        self._limits.check(request)
        response = self._idempotency.once(request, lambda: self._carry_out(request, call, environ))
        self.faults.inject(call, "after")
        return self.faults.spoil(call, response, environ["werkzeug.socket"])

    def _authenticate(self, request: AwsRequest) -> Principal:
        signature, service = request.signature, request.service
        if signature is None:
            raise errors.unsigned(service)
        try:
            principal = self.principals.authenticate(signature.access_key_id, signature.token)
        except UnknownKey:
            raise errors.unknown_key(service) from None
        except WrongToken:
            raise errors.wrong_token(service) from None
        except Expired:
            raise errors.expired(service) from None
        if signature.valid_until and signature.valid_until <= datetime.now(UTC):
            raise errors.presigned_too_old(service)
        return principal

    def _carry_out(self, request: AwsRequest, call: Call, environ: WSGIEnvironment) -> Response:
        handler = self._handlers.get(call.action)
        result = handler(call) if handler else None
        if result is not None:
            return self._moto.write(request, result)
        response = self._moto.serve(request, environ)
        callbacks, amendment = self._callbacks.get(call.action, []), self._amendments.get(call.action)
        if (callbacks or amendment) and response.status_code < 300:
            done = replace(call, status=response.status_code, result=self._moto.parse(request, response))
            for callback in callbacks:
                callback(done)
            if amendment is not None:
                return self._moto.write(request, amendment(done))
        return response

    def _caller_identity(self, call: Call) -> Mapping[str, Any]:
        assert call.caller is not None
        return {"UserId": call.caller.user_id, "Account": self.account, "Arn": call.caller.arn}

    def _refuse_session_policies(self, call: Call) -> None:
        if call.parameters.get("Policy") or call.parameters.get("PolicyArns"):
            raise AwsError("NotImplemented", "this cloud does not evaluate session policies", 501)

    def _adopt(self, call: Call) -> None:
        """Make the credentials that moto minted known."""
        assert call.result is not None
        minted = call.result["Credentials"]
        role_name = call.parameters["RoleArn"].rpartition("/")[2]
        role_id = call.result["AssumedRoleUser"]["AssumedRoleId"].partition(":")[0]
        self.principals.adopt(
            role_name,
            role_id,
            call.parameters["RoleSessionName"],
            Credentials(
                minted["AccessKeyId"], minted["SecretAccessKey"], minted["SessionToken"], minted["Expiration"]
            ),
        )


def _error_code(response: Response) -> str | None:
    """The error code that moto answered with; an S3 error may hide behind status 200."""
    if response.status_code < 300:
        return None
    body = response.get_data()
    if found := _XML_CODE.search(body):
        return found[1].decode()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    named = answer.get("__type") if isinstance(answer, dict) else None
    return str(named or response.headers.get("x-amzn-errortype") or response.status_code).rpartition("#")[2]
