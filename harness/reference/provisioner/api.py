"""The lifecycle API over HTTP. Its contract is an OpenAPI document of its own, which these routes follow."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Body, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ..identity import Identity, IdentityError
from .cloud import error_code
from .problems import Problem, bounded
from .report import BootReport, Strict, Transport
from .tenants import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .service import Service
    from .workspaces import Shown

log = logging.getLogger(__name__)

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request. The report of a boot of 100,000 paths fits."""
LONGEST_WAIT = 600.0
"""Seconds that a caller may wait by `Prefer: wait`."""

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_WAIT = re.compile(r"wait *= *\"?(\d{1,9})\"?", re.IGNORECASE)


class TenantBody(Strict):
    bootstrap: Bootstrap = Bootstrap()


class WorkspaceBody(Strict):
    template: str
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    transport: Transport = "git"


class RestartBody(Strict):
    template: str | None = None
    accept_loss: bool = False


class RestoreBody(Strict):
    snapshot: str | None


class AdoptBody(Strict):
    template: str
    transport: Transport = "git"
    volume: Annotated[str, StringConstraints(pattern=r"^vol-", max_length=64)] | None = None


class SweepBody(Strict):
    dry_run: bool


class RegistrationBody(Strict):
    workspace: str
    boot_sequence: int
    identity_proof: str
    report: dict[str, Any]
    agent_card: dict[str, Any] | None = None
    agent_url: (
        Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=2048)]
        | None
    ) = None


class LegacyConfigBody(Strict):
    workspace: str
    boot_sequence: int
    identity_proof: str


class HeartbeatBody(Strict):
    workspace: str
    boot_sequence: Annotated[int, Field(ge=1)]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _token(request: Request) -> str:
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header.strip())
    if match is None:
        raise _unauthorized("no bearer token is given")
    return match[1]


def _operator(request: Request) -> None:
    service, token = _service(request), _token(request)
    if hmac.compare_digest(token.encode(), service.settings.admin_token.encode()):
        return
    if service.tenants.of_token(token) is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN, "operator-only", "this needs the operator's token, not a tenant's"
        )
    raise _unauthorized("the bearer token is not known")


def _tenant(request: Request) -> str:
    service, token = _service(request), _token(request)
    tenant = service.tenants.of_token(token)
    if tenant is not None:
        return tenant
    if hmac.compare_digest(token.encode(), service.settings.admin_token.encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "tenant-only", "workspaces need the token of their tenant")
    raise _unauthorized("the bearer token is not known")


def _unauthorized(why: str) -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "token-invalid",
        why,
        headers={"WWW-Authenticate": 'Bearer realm="provisioner", error="invalid_token"'},
    )


Tenant = Annotated[str, Depends(_tenant)]
TenantId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
WorkspaceId = Annotated[str, Path(pattern=r"^ws-[0-9a-f]{32}$")]

operator = APIRouter(prefix="/tenants", tags=["tenants"], dependencies=[Depends(_operator)])
workspaces = APIRouter(prefix="/workspaces", tags=["workspaces"], dependencies=[Depends(_tenant)])
registry = APIRouter(prefix="/registry", tags=["registry"])
migration = APIRouter(tags=["migration"], dependencies=[Depends(_operator)])


@operator.get("")
def list_tenants(request: Request) -> dict[str, Any]:
    return {"tenants": [{"tenant": tenant} for tenant in _service(request).tenants.names()]}


@operator.put("/{tenant}")
def put_tenant(request: Request, tenant: TenantId, body: TenantBody) -> JSONResponse:
    token = _service(request).tenants.put(tenant, body.bootstrap)
    if token is None:
        return JSONResponse({"tenant": tenant})
    return JSONResponse({"tenant": tenant, "token": token}, HTTPStatus.CREATED)


@operator.delete("/{tenant}", status_code=HTTPStatus.NO_CONTENT)
def delete_tenant(request: Request, tenant: TenantId) -> None:
    _service(request).tenants.delete(tenant)


@migration.put("/tenants/{tenant}/workspaces/{workspace}")
def adopt_workspace(
    request: Request, tenant: TenantId, workspace: WorkspaceId, body: AdoptBody
) -> dict[str, Any]:
    service = _service(request)
    service.migration.adopt(tenant, workspace, _identity(body.template), body.transport, body.volume)
    return service.workspaces.show(tenant, workspace).body


@migration.post("/sweep")
def sweep(request: Request, body: SweepBody) -> dict[str, Any]:
    return _service(request).migration.sweep(dry_run=body.dry_run)


@workspaces.post("")
def create_workspace(request: Request, tenant: Tenant, body: WorkspaceBody) -> JSONResponse:
    identity = _identity(body.template)
    transport = _offered(request, body.transport)
    return _accepted(_service(request).workspaces.create(tenant, identity, transport, body.name))


@workspaces.get("")
def list_workspaces(request: Request, tenant: Tenant) -> dict[str, Any]:
    return {"workspaces": _service(request).workspaces.list(tenant)}


@workspaces.get("/{workspace}")
async def get_workspace(request: Request, tenant: Tenant, workspace: str) -> JSONResponse:
    service = _service(request)
    match = _WAIT.search(request.headers.get("Prefer", ""))
    if match is None:
        shown = await run_in_threadpool(service.workspaces.show, tenant, workspace)
        return JSONResponse(shown.body)
    deadline = monotonic() + min(float(match[1]), LONGEST_WAIT)
    with service.changes.listen(workspace) as changed:
        while True:
            changed.clear()
            shown = await run_in_threadpool(service.workspaces.show, tenant, workspace)
            left = deadline - monotonic()
            if shown.settled or left <= 0:
                return JSONResponse(shown.body, headers={"Preference-Applied": "wait"})
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                continue


@workspaces.post("/{workspace}/restart")
def restart_workspace(
    request: Request, tenant: Tenant, workspace: str, body: Annotated[RestartBody | None, Body()] = None
) -> JSONResponse:
    asked = body or RestartBody()
    template = None if asked.template is None else _identity(asked.template)
    shown = _service(request).workspaces.request(
        tenant, workspace, "restart", template=template, accept_loss=asked.accept_loss
    )
    return _accepted(shown)


@workspaces.post("/{workspace}/stop")
def stop_workspace(request: Request, tenant: Tenant, workspace: str) -> JSONResponse:
    return _accepted(_service(request).workspaces.request(tenant, workspace, "stop"))


@workspaces.post("/{workspace}/start")
def start_workspace(request: Request, tenant: Tenant, workspace: str) -> JSONResponse:
    return _accepted(_service(request).workspaces.request(tenant, workspace, "start"))


@workspaces.post("/{workspace}/snapshots", status_code=HTTPStatus.CREATED)
def snapshot_workspace(request: Request, tenant: Tenant, workspace: str) -> dict[str, Any]:
    return _service(request).snapshots.make(tenant, workspace)


@workspaces.get("/{workspace}/snapshots")
def list_snapshots(request: Request, tenant: Tenant, workspace: str) -> dict[str, Any]:
    return {"snapshots": _service(request).snapshots.list(tenant, workspace)}


@workspaces.post("/{workspace}/restore")
def restore_workspace(request: Request, tenant: Tenant, workspace: str, body: RestoreBody) -> JSONResponse:
    return _accepted(_service(request).snapshots.restore(tenant, workspace, body.snapshot))


@workspaces.delete("/{workspace}")
def delete_workspace(
    request: Request, tenant: Tenant, workspace: str, purge: Annotated[bool, Query()] = False
) -> JSONResponse:
    return _accepted(_service(request).workspaces.delete(tenant, workspace, purge=purge))


@registry.post("/register")
def register(request: Request, body: RegistrationBody) -> dict[str, Any]:
    service = _service(request)
    try:
        report = BootReport.model_validate(body.report)
    except ValidationError as error:
        errors = _field_errors(error.errors(), "report")
        problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "report-malformed", _told(errors), errors=errors)
        service.registry.refuse_report(
            body.workspace, body.boot_sequence, body.identity_proof, problem.detail
        )
        raise problem from None
    status = service.registry.register(
        body.workspace, body.boot_sequence, body.identity_proof, report, body.agent_card, body.agent_url
    )
    return {
        "auth_token": service.registry.token(body.workspace),
        "heartbeat_seconds": service.settings.health.heartbeat_seconds,
        "status": status,
    }


@registry.post("/legacy-config")
def legacy_config(request: Request, body: LegacyConfigBody) -> dict[str, Any]:
    service = _service(request)
    row = service.registry.recognise(body.workspace, body.boot_sequence, body.identity_proof)
    return {"config": service.migration.legacy_config(row.id)}


@registry.post("/heartbeat", status_code=HTTPStatus.NO_CONTENT)
def heartbeat(request: Request, body: HeartbeatBody) -> None:
    _service(request).registry.heartbeat(_token(request), body.workspace, body.boot_sequence)


def healthz() -> dict[str, Literal["ok"]]:
    return {"status": "ok"}


def create_app(service: Service) -> FastAPI:
    app = FastAPI(
        title="Provisioner", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service = service
    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["health"])
    for router in (operator, workspaces, registry, migration):
        app.include_router(router)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(SQLAlchemyError, _on_store)
    app.add_exception_handler(BotoCoreError, _on_cloud)
    app.add_exception_handler(ClientError, _on_cloud)
    app.add_exception_handler(Exception, _on_fault)
    app.add_middleware(BodyLimit)
    return app


class BodyLimit:
    """Refuses a request body over MAX_BODY before it fills the memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                # Of the exceptions raised in here, FastAPI passes on this kind alone.
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, counted, send)


def _identity(text: str) -> Identity:
    try:
        return Identity.parse(text)
    except IdentityError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "identity-malformed", str(error)) from error


def _offered(request: Request, transport: Transport) -> Transport:
    if transport == "object" and _service(request).settings.artifact_bucket is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "transport-not-offered",
            "the transport 'object' needs a bucket, and this provisioner was given none (ARTIFACT_BUCKET); "
            "ask for 'git' or 'archive'",
        )
    return transport


def _accepted(shown: Shown) -> JSONResponse:
    return JSONResponse(
        shown.body, HTTPStatus.ACCEPTED, headers={"Location": f"/workspaces/{shown.body['id']}"}
    )


def _field_errors(errors: Sequence[Any], *root: str) -> list[dict[str, str]]:
    """Field and rule of the first few; never the value, which may be a secret."""
    return [
        {
            "field": bounded(".".join((*root, *(str(part) for part in error["loc"]))), 200),
            "message": bounded(str(error["msg"]), 200),
        }
        for error in errors[:10]
    ]


def _told(errors: list[dict[str, str]]) -> str:
    return "; ".join(f"{error['field']}: {error['message']}" for error in errors)


def _answer(problem: Problem) -> Response:
    return JSONResponse(
        problem.as_json(), problem.status, headers=problem.headers, media_type="application/problem+json"
    )


def _on_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return _answer(error)


def _on_invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = _field_errors(error.errors())
    return _answer(
        Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "request-malformed", _told(errors), errors=errors)
    )


def _on_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    codes = {
        HTTPStatus.NOT_FOUND: "route-unknown",
        HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body-too-large",
    }
    headers = dict(error.headers or {})
    return _answer(
        Problem(status, codes.get(status, "request-malformed"), status.description, headers=headers)
    )


def _on_store(request: Request, error: Exception) -> Response:
    log.error("%s %s: the database failed", request.method, request.url.path, exc_info=error)
    return _answer(
        Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "store-unavailable",
            "the provisioner's database failed; nothing was changed; try again",
            headers={"Retry-After": "1"},
        )
    )


def _on_cloud(request: Request, error: Exception) -> Response:
    code = error_code(error) if isinstance(error, ClientError) else type(error).__name__
    log.error("%s %s: AWS failed: %s", request.method, request.url.path, code)
    return _answer(
        Problem(HTTPStatus.BAD_GATEWAY, "cloud-error", f"AWS did not do what was asked ({code}); try again")
    )


def _on_fault(request: Request, error: Exception) -> Response:
    log.error("%s %s failed (%s)", request.method, request.url.path, type(error).__name__)
    return _answer(
        Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "the provisioner failed; its log says why"
        )
    )
