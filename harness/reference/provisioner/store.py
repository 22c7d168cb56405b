"""The provisioner's memory: what must survive its own death is committed here before anybody is told of it."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_METADATA = MetaData()
_JSON = JSON(none_as_null=True)

keys = Table(
    "keys",
    _METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", String(128), nullable=False),
)

tenants = Table(
    "tenants",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),  # creating, active, deleting
    Column("token_hash", String(64), unique=True),
    Column("created_at", Float, nullable=False),
)

workspaces = Table(
    "workspaces",
    _METADATA,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(64), nullable=False, index=True),
    Column("name", String(200)),
    Column("status", String(16), nullable=False),
    Column("error", _JSON),
    Column("repository", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("commit", String(40)),
    Column("transport", String(16), nullable=False),
    Column("machine", String(64)),
    Column("volume", String(64)),
    Column("boot_sequence", Integer, nullable=False, default=0),
    Column("boot_reason", String(16)),
    Column("registered_at", Float),
    Column("agent_url", Text),
    Column("deaths", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

# Apart from the workspaces, because a report can be large and heartbeats and health checks do not need it.
boots = Table(
    "boots",
    _METADATA,
    Column("workspace", String(40), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("report", _JSON),
    Column("agent_card", _JSON),
)

# Tables of their own, because `create_all` gives an existing database the tables that it lacks, and no columns.
adoptions = Table(
    "adoptions",
    _METADATA,
    Column("workspace", String(40), primary_key=True),
    Column("template", Text, nullable=False),
    Column("transport", String(16), nullable=False),
    Column("volume", String(64)),
    Column("adopted_at", Float, nullable=False),
)
"""Workspaces of the design before this one, with what they were adopted as."""

deliveries = Table(
    "deliveries",
    _METADATA,
    Column("workspace", String(40), primary_key=True),
    Column("verified_at", Float, nullable=False),
)
"""When a machine of the workspace first registered a boot that was accepted as ready (MIG-3)."""

operations = Table(
    "operations",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("parameters", _JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("step", String(16)),
    Column("boot_sequence", Integer),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("error", _JSON),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
)
Index("operations_unfinished", operations.c.workspace, operations.c.state)

UNFINISHED = ("pending", "running", "booting")


class StoreError(Exception):
    """The database cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    id: str
    tenant: str
    name: str | None
    status: str
    """As the last finished operation left it."""
    error: dict[str, Any] | None
    repository: str
    ref: str
    commit: str | None
    transport: str
    machine: str | None
    volume: str | None
    boot_sequence: int
    boot_reason: str | None
    registered_at: float | None
    agent_url: str | None
    deaths: int
    created_at: float
    updated_at: float

    @property
    def identity(self) -> str:
        return f"{self.repository}@{self.ref}"


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One request for a workspace, in the order of `id`.

    `pending` waits for its turn, `running` is being worked on, `booting` waits for the machine to register;
    `done`, `failed` and `superseded` are final.
    """

    id: int
    workspace: str
    kind: str
    parameters: dict[str, Any]
    state: str
    step: str | None
    boot_sequence: int | None
    not_before: float
    error: dict[str, Any] | None
    created_at: float
    finished_at: float | None


class Store:
    """Every method of reading and writing works inside a transaction that the caller opens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Serialised against every other writer on SQLite; use `for_update` for the row it decides by elsewhere."""
        with self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def key(self, name: str) -> bytes:
        """A random key that is made once and kept."""
        chosen = select(keys.c.value).where(keys.c.name == name)
        with suppress(IntegrityError), self.writing() as connection:
            if connection.execute(chosen).first() is None:
                connection.execute(insert(keys).values(name=name, value=secrets.token_hex(32)))
        with self.reading() as connection:
            return bytes.fromhex(connection.execute(chosen).scalar_one())


def workspace_row(connection: Connection, workspace: str, *, for_update: bool = False) -> WorkspaceRow | None:
    query = select(workspaces).where(workspaces.c.id == workspace)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().first()
    return None if row is None else WorkspaceRow(**row)


def workspace_rows(connection: Connection, tenant: str | None = None) -> list[WorkspaceRow]:
    """All that are not deleted, oldest first."""
    query = select(workspaces).where(workspaces.c.status != "deleted").order_by(workspaces.c.created_at)
    if tenant is not None:
        query = query.where(workspaces.c.tenant == tenant)
    return [WorkspaceRow(**row) for row in connection.execute(query).mappings()]


def change_workspace(connection: Connection, workspace: str, **values: Any) -> None:
    connection.execute(
        update(workspaces).where(workspaces.c.id == workspace).values(updated_at=time(), **values)
    )


def add_operation(
    connection: Connection, workspace: str, kind: str, parameters: dict[str, Any], not_before: float = 0.0
) -> None:
    connection.execute(
        insert(operations).values(
            workspace=workspace,
            kind=kind,
            parameters=parameters,
            state="pending",
            not_before=not_before,
            created_at=time(),
        )
    )
    change_workspace(connection, workspace)


def unfinished(connection: Connection, workspace: str | None = None) -> list[OperationRow]:
    """Oldest first; of every workspace if none is named."""
    query = select(operations).where(operations.c.state.in_(UNFINISHED)).order_by(operations.c.id)
    if workspace is not None:
        query = query.where(operations.c.workspace == workspace)
    return [OperationRow(**row) for row in connection.execute(query).mappings()]


def was_restored(connection: Connection, workspace: str) -> bool:
    """Whether a restore of it was ever worked on: only then can it have had more volumes than one."""
    query = select(operations.c.id).where(
        operations.c.workspace == workspace,
        operations.c.kind == "restore",
        operations.c.boot_sequence.is_not(None),
    )
    return connection.execute(query.limit(1)).first() is not None


def change_operation(connection: Connection, operation: int, **values: Any) -> bool:
    """False, with nothing changed, if the operation is finished already."""
    changed = connection.execute(
        update(operations)
        .where(operations.c.id == operation, operations.c.state.in_(UNFINISHED))
        .values(**values)
    )
    return changed.rowcount == 1


def finish_operation(
    connection: Connection, operation: int, state: str, error: dict[str, Any] | None = None
) -> bool:
    return change_operation(connection, operation, state=state, error=error, finished_at=time())


def delivery_verified(connection: Connection, workspace: str) -> bool:
    query = select(deliveries.c.workspace).where(deliveries.c.workspace == workspace)
    return connection.execute(query).first() is not None


def verify_delivery(connection: Connection, workspace: str) -> None:
    """Remember the first boot that was accepted as ready; a later one changes nothing."""
    if not delivery_verified(connection, workspace):
        connection.execute(insert(deliveries).values(workspace=workspace, verified_at=time()))


def migrating(connection: Connection, workspace: str) -> bool:
    """Adopted, and not yet known to be delivered to by the asset channel: its old config still counts (MIG-1)."""
    query = select(adoptions.c.workspace).where(adoptions.c.workspace == workspace)
    adopted = connection.execute(query).first() is not None
    return adopted and not delivery_verified(connection, workspace)


def open_store(url: str) -> Store:
    """Open the database and make the tables it lacks. Raises StoreError."""
    try:
        engine = create_engine(url, pool_size=16, max_overflow=64, pool_pre_ping=not url.startswith("sqlite"))
        if engine.dialect.name == "sqlite":
            _make_sqlite_safe(engine)
        _METADATA.create_all(engine)
    except (OperationalError, ImportError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"PROVISIONER_DATABASE_URL: the database cannot be opened: {cause}") from None
    return Store(engine)


def _make_sqlite_safe(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # Transactions are begun below, since the driver's own would take the write lock too late to wait for it.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
