"""Snapshots of a workspace's volume. They have no record here: EC2 is it, and finds them by their tags."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .problems import Problem
from .workspaces import timestamp

if TYPE_CHECKING:
    from .machines import Machines, Snapshot
    from .workspaces import Shown, Workspaces


class Snapshots:
    def __init__(self, workspaces: Workspaces, machines: Machines) -> None:
        self._workspaces = workspaces
        self._machines = machines

    def make(self, tenant: str, workspace: str) -> dict[str, Any]:
        row = self._workspaces.living(tenant, workspace)
        if row.volume is None:
            raise Problem(
                HTTPStatus.CONFLICT,
                "volume-missing",
                f"workspace {workspace} has no volume; wait for its first boot, or restart it if that failed",
            )
        snapshot = self._machines.create_snapshot(workspace, tenant, row.volume)
        try:
            self._workspaces.living(tenant, workspace)
        except Problem:
            # A deletion that came meanwhile may have purged the snapshots that there were, without this one.
            self._machines.delete_snapshots([snapshot.id])
            raise
        return _shown(snapshot)

    def list(self, tenant: str, workspace: str) -> list[dict[str, Any]]:
        self._workspaces.show(tenant, workspace)
        return [_shown(snapshot) for snapshot in self._machines.snapshots_of(workspace)]

    def restore(self, tenant: str, workspace: str, snapshot: str | None) -> Shown:
        """Onto a blank volume with None."""
        self._workspaces.living(tenant, workspace)
        if snapshot is not None and snapshot not in {
            own.id for own in self._machines.snapshots_of(workspace)
        }:
            # One of another workspace is as unknown here as one that never was.
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "snapshot-unknown",
                f"workspace {workspace} has no snapshot {snapshot!r}; GET its snapshots for those it has",
            )
        return self._workspaces.request(tenant, workspace, "restore", snapshot=snapshot)


def _shown(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "workspace": snapshot.workspace,
        "created_at": timestamp(snapshot.created_at.timestamp()),
    }
