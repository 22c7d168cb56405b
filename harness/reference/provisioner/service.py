"""The parts of the provisioner, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..fetch.limits import Limits
from .artifacts import Artifacts
from .changes import Changes
from .cloud import Cloud
from .health import Health
from .machines import Machines
from .migration import Migration
from .operations import Engine
from .registry import Registry
from .schedule import Scheduler
from .snapshots import Snapshots
from .store import open_store
from .tenants import Tenants
from .workspaces import Workspaces

if TYPE_CHECKING:
    from .settings import Settings
    from .store import Store

_WORKERS = 24
"""Operations at work at once; those that wait for a machine to register need none."""
_PROBERS = 8


@dataclass(frozen=True, slots=True)
class Service:
    settings: Settings
    tenants: Tenants
    workspaces: Workspaces
    snapshots: Snapshots
    registry: Registry
    migration: Migration
    changes: Changes
    engine: Engine
    health: Health
    cloud: Cloud
    store: Store
    schedulers: tuple[Scheduler, ...]

    def start(self) -> None:
        """Go on where the last process was killed. Returns at once."""
        work, watch = self.schedulers
        work.now(self.cloud.warm)
        work.now(self.engine.recover)
        watch.now(self.health.start)

    def close(self) -> None:
        """Let steps at work end; what is unfinished goes on at the next start."""
        for scheduler in self.schedulers:
            scheduler.close()
        self.store.close()


def build(settings: Settings) -> Service:
    """Raises StoreError."""
    store = open_store(settings.database_url)
    work, watch = Scheduler(_WORKERS), Scheduler(_PROBERS)
    cloud, changes = Cloud(settings.region), Changes()
    tenants = Tenants(store, cloud, settings.artifact_bucket)
    machines = Machines(cloud, settings.machines, work.closing)
    engine = Engine(store, machines, tenants, _artifacts(cloud, tenants, settings), work, changes, settings)
    health = Health(store, engine, watch, settings.health)
    workspaces = Workspaces(store, engine)
    return Service(
        settings=settings,
        tenants=tenants,
        workspaces=workspaces,
        snapshots=Snapshots(workspaces, machines),
        registry=Registry(store, cloud, engine, health),
        migration=Migration(store, cloud, machines),
        changes=changes,
        engine=engine,
        health=health,
        cloud=cloud,
        store=store,
        schedulers=(work, watch),
    )


def _artifacts(cloud: Cloud, tenants: Tenants, settings: Settings) -> Artifacts:
    limits = Limits.with_overrides(settings.fetch_limits)
    # To publish is a part of the boot, and has no more time than all of it.
    limits = replace(limits, time=min(limits.time, settings.boot_timeout_seconds))
    return Artifacts(cloud, tenants, settings.artifact_bucket, settings.template_host, limits)
