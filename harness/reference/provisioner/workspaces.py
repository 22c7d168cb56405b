"""What a tenant can ask of its workspaces, and what it is shown of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import insert, select

from .operations import STATUS_WHILE, current
from .problems import Problem
from .store import (
    add_operation,
    boots,
    tenants,
    unfinished,
    workspace_row,
    workspace_rows,
    workspaces,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ..identity import Identity
    from .operations import Engine
    from .store import OperationRow, Store, WorkspaceRow

Verb = Literal["restart", "restore", "stop", "start"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A workspace as the API gives it."""

    body: dict[str, Any]
    settled: bool
    """No operation is unfinished, and so no boot is under way."""


class Workspaces:
    """Each request is committed before it is answered."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def create(self, tenant: str, identity: Identity, transport: str, name: str | None) -> Shown:
        workspace = f"ws-{secrets.token_hex(16)}"
        now = time()
        with self._store.writing() as connection:
            # The tenant may have been deleted since its token was checked.
            active = select(tenants.c.id).where(tenants.c.id == tenant, tenants.c.state == "active")
            if connection.execute(active.with_for_update()).first() is None:
                raise Problem(HTTPStatus.CONFLICT, "tenant-deleting", f"tenant {tenant!r} is being deleted")
            connection.execute(
                insert(workspaces).values(
                    id=workspace,
                    tenant=tenant,
                    name=name,
                    status="provisioning",
                    repository=identity.repository,
                    ref=identity.ref,
                    transport=transport,
                    created_at=now,
                    updated_at=now,
                )
            )
            add_operation(connection, workspace, "provision", {})
            shown = _show(connection, self._own(connection, tenant, workspace))
        self._engine.wake(workspace)
        return shown

    def request(
        self,
        tenant: str,
        workspace: str,
        verb: Verb,
        *,
        template: Identity | None = None,
        **parameters: str | bool | None,
    ) -> Shown:
        named: dict[str, Any] = {}
        if template is not None:
            named["template"] = {"repository": template.repository, "ref": template.ref}
        with self._store.writing() as connection:
            self._living(connection, tenant, workspace)
            add_operation(connection, workspace, verb, named | parameters)
            shown = _show(connection, self._own(connection, tenant, workspace))
        self._engine.wake(workspace)
        return shown

    def delete(self, tenant: str, workspace: str, *, purge: bool) -> Shown:
        """Repeated deletions are welcome; a later one may purge what an earlier one kept, or did not get at."""
        with self._store.writing() as connection:
            row = self._own(connection, tenant, workspace)
            if row.status != "deleted" or purge:
                add_operation(connection, workspace, "delete", {"purge": purge})
            shown = _show(connection, self._own(connection, tenant, workspace))
        self._engine.wake(workspace)
        return shown

    def living(self, tenant: str, workspace: str) -> WorkspaceRow:
        """Raises Problem also for one that is deleted, or is to be."""
        with self._store.reading() as connection:
            return self._living(connection, tenant, workspace, for_update=False)

    def show(self, tenant: str, workspace: str) -> Shown:
        with self._store.reading() as connection:
            return _show(connection, self._own(connection, tenant, workspace, for_update=False))

    def list(self, tenant: str) -> list[dict[str, Any]]:
        with self._store.reading() as connection:
            return [_show(connection, row).body for row in workspace_rows(connection, tenant)]

    def _living(
        self, connection: Connection, tenant: str, workspace: str, *, for_update: bool = True
    ) -> WorkspaceRow:
        row = self._own(connection, tenant, workspace, for_update=for_update)
        queue = unfinished(connection, workspace)
        if row.status == "deleted" or any(operation.kind == "delete" for operation in queue):
            raise Problem(
                HTTPStatus.CONFLICT,
                "workspace-deleted",
                f"workspace {workspace} is deleted, which is final; make a new one",
            )
        return row

    @staticmethod
    def _own(connection: Connection, tenant: str, workspace: str, *, for_update: bool = True) -> WorkspaceRow:
        row = workspace_row(connection, workspace, for_update=for_update)
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, "workspace-unknown", f"there is no workspace {workspace!r}")
        if row.tenant != tenant:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "workspace-of-another-tenant",
                f"workspace {workspace} is not this tenant's",
            )
        return row


def _show(connection: Connection, row: WorkspaceRow) -> Shown:
    queue = unfinished(connection, row.id)
    boot = connection.execute(
        select(boots).where(boots.c.workspace == row.id, boots.c.sequence == row.boot_sequence)
    ).first()
    body = {
        "id": row.id,
        "tenant": row.tenant,
        "name": row.name,
        "status": _status(row, queue),
        "pending": [operation.kind for operation in queue],
        "error": row.error,
        "template": {
            "identity": row.identity,
            "repository": row.repository,
            "ref": row.ref,
            "commit": row.commit,
        },
        "transport": row.transport,
        "machine": row.machine,
        "volume": row.volume,
        "boot": None
        if row.boot_reason is None
        else {
            "sequence": row.boot_sequence,
            "reason": row.boot_reason,
            "report": boot.report if boot else None,
        },
        "agent_url": row.agent_url,
        "agent_card": boot.agent_card if boot and row.agent_url else None,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }
    return Shown(body, settled=not queue)


def _status(row: WorkspaceRow, queue: list[OperationRow]) -> str:
    operation = current(queue)
    return row.status if operation is None else STATUS_WHILE[operation.kind]


def timestamp(seconds: float) -> str:
    """As the API gives it: RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
