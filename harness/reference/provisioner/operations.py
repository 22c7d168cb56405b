"""The queue of each workspace, and the engine that works it off: one operation after another, none lost (REC-3).

An operation is committed before its request is answered, and each of its steps before it is done. A step finds by
tags what an earlier try of it made, so a provisioner that died anywhere simply does the step again (FAIL-5).
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from threading import Lock
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from .cloud import error_code, error_message
from .machines import DEAD, IMPAIRED, Interrupted, Launch
from .problems import FaultError, bounded
from .redaction import blank
from .store import (
    OperationRow,
    WorkspaceRow,
    add_operation,
    boots,
    change_operation,
    change_workspace,
    finish_operation,
    migrating,
    unfinished,
    was_restored,
    workspace_row,
)
from .tenants import role_name, secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from .artifacts import Artifacts
    from .changes import Changes
    from .machines import Machine, Machines
    from .schedule import Scheduler
    from .settings import Settings
    from .store import Store
    from .tenants import Tenants

log = logging.getLogger(__name__)

STATUS_WHILE = {
    "provision": "provisioning",
    "restart": "restarting",
    "start": "starting",
    "restore": "restoring",
    "heal": "healing",
    "stop": "stopping",
    "delete": "deleting",
}
"""What the status API says while an operation of the kind is unfinished."""
BOOT_REASON = {
    "provision": "provision",
    "restart": "restart",
    "restore": "restore",
    "start": "resume",
    "heal": "heal",
}

_FIRST_LOOK = 1.0
_LONGEST_LOOK = 15.0
"""Seconds between looks at whether a booting machine still exists."""


class Superseded(Exception):
    """The operation is finished by somebody else: a deletion, or the machine's own registration."""


def current(queue: list[OperationRow]) -> OperationRow | None:
    """Of a workspace's unfinished operations, the one that its status speaks of: a deletion overtakes everything."""
    return next((operation for operation in queue if operation.kind == "delete"), queue[0] if queue else None)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Of one boot, in monotonic seconds."""

    end: float
    next_look: float


class Engine:
    """Drives every workspace's queue on the scheduler's threads, at most one thread a workspace."""

    def __init__(
        self,
        store: Store,
        machines: Machines,
        tenants: Tenants,
        artifacts: Artifacts,
        scheduler: Scheduler,
        changes: Changes,
        settings: Settings,
    ) -> None:
        self._store = store
        self._machines = machines
        self._tenants = tenants
        self._artifacts = artifacts
        self._scheduler = scheduler
        self._changes = changes
        self._settings = settings
        self._lock = Lock()
        self._driven: set[str] = set()
        self._again: set[str] = set()

    # what the others call

    def wake(self, workspace: str) -> None:
        """Something was queued or finished: go on with this workspace. Returns at once."""
        self._changes.notify(workspace)
        with self._lock:
            if workspace in self._driven:
                self._again.add(workspace)
                return
            self._driven.add(workspace)
        self._scheduler.now(partial(self._drive, workspace))

    def recover(self) -> None:
        """After a start: go on with what was unfinished, and end machines and volumes that belong to nothing."""
        with self._store.reading() as connection:
            queue = unfinished(connection)
        for operation in queue:
            if operation.state == "booting":
                self._watch_boot(operation)
        for workspace in dict.fromkeys(operation.workspace for operation in queue):
            self.wake(workspace)
        self._end_orphans()
        self._end_orphaned_volumes()

    def heal(self, workspace: str, boot_sequence: int) -> None:
        """Queue the replacement of the machine of this boot, unless something else is to happen already."""
        with self._store.writing() as connection:
            row = workspace_row(connection, workspace, for_update=True)
            if row is None or row.boot_sequence != boot_sequence or row.status not in {"online", "degraded"}:
                return
            if unfinished(connection, workspace):
                return
            self._queue_heal(connection, row)
        log.warning("workspace %s: its machine %s is dead; replacing it", workspace, row.machine)
        self.wake(workspace)

    # the queue

    def _drive(self, workspace: str) -> None:
        try:
            while True:
                while operation := self._next(workspace):
                    self._run(operation)
                with self._lock:
                    if workspace not in self._again:
                        self._driven.discard(workspace)
                        return
                    self._again.discard(workspace)
        except Interrupted:
            log.info("workspace %s: goes on at the next start", workspace)
        except SQLAlchemyError:
            log.exception("workspace %s: the database failed; trying again", workspace)
            with self._lock:
                self._driven.discard(workspace)
            self._scheduler.later(5, partial(self.wake, workspace))
        except BaseException:
            with self._lock:
                self._driven.discard(workspace)
            raise

    def _next(self, workspace: str) -> OperationRow | None:
        """Take the next operation that can be worked on now."""
        with self._store.writing() as connection:
            queue = unfinished(connection, workspace)
            head = current(queue)
            for passed_over in queue:
                if head is not None and passed_over.id < head.id:
                    finish_operation(connection, passed_over.id, "superseded")
            if head is not None and head.kind == "heal" and head.state == "pending" and queue[-1] is not head:
                # Whatever was asked for meanwhile replaces the machine too, or ends it.
                finish_operation(connection, head.id, "superseded")
                head = next(operation for operation in queue if operation is not head)
            if head is None or head.state == "booting":
                return None
            wait = head.not_before - time()
            if wait > 0:
                self._scheduler.later(wait, partial(self.wake, workspace))
                return None
            change_operation(connection, head.id, state="running")
            return head

    def _run(self, operation: OperationRow) -> None:
        log.info("workspace %s: %s %s", operation.workspace, operation.kind, operation.step or "begins")
        perform = {"stop": self._stop, "delete": self._delete}.get(operation.kind, self._boot)
        try:
            perform(operation)
        except Superseded:
            log.info("workspace %s: %s is superseded", operation.workspace, operation.kind)
            # Its machine may have registered before it came to this.
            self._end_orphaned_volumes_of(operation.workspace)
        except (Interrupted, SQLAlchemyError):
            raise
        except FaultError as error:
            self._fail(operation, error)
        except ClientError as error:
            said = bounded(f"{error_code(error)}: {error_message(error)}")
            self._fail(operation, _cloud_fault(f"AWS refused {error.operation_name} ({said})"))
        except BotoCoreError as error:
            self._fail(operation, _cloud_fault(f"AWS does not answer ({error})"))
        except Exception:
            log.exception("workspace %s: %s failed", operation.workspace, operation.kind)
            self._fail(
                operation,
                FaultError(
                    "internal-error", "the provisioner failed; its log says why", "restart the workspace"
                ),
            )
        self._changes.notify(operation.workspace)

    # boots

    def _boot(self, operation: OperationRow) -> None:
        workspace = self._begin(operation)
        if workspace is None:
            return
        sequence = workspace.boot_sequence
        resumed = operation.boot_sequence is not None
        if sequence > 1 or resumed:
            self._step(operation, "retire")
            living = self._machines.of(workspace.id)
            self._machines.retire([machine for machine in living if machine.boot != str(sequence)])
            mine = next((machine for machine in living if machine.boot == str(sequence)), None)
        else:
            mine = None
        if operation.parameters.get("give_up"):
            self._give_up(operation, mine)
            return
        if operation.kind == "restore":
            volume = self._restored_volume(operation, workspace)
        else:
            volume = workspace.volume or self._make_volume(operation, workspace, resumed=resumed)
        machine = mine.id if mine else self._launch(operation, workspace, volume)
        self._step(operation, "attach", machine=machine, error=None)
        self._machines.attach(volume, machine, partial(self._delayed, operation))
        self._end_replaced_volumes(workspace.id, volume)
        self._step(operation, "boot", state="booting", error=None)
        self._watch_boot(operation)

    def _begin(self, operation: OperationRow) -> WorkspaceRow | None:
        """Give the boot its number, once. From here on no machine of an earlier boot can register or be heard.

        None, and the operation is done, if there is nothing to boot.
        """
        with self._store.writing() as connection:
            workspace = workspace_row(connection, operation.workspace, for_update=True)
            if workspace is None:
                raise Superseded
            if operation.boot_sequence is not None:
                return workspace
            if not _is_due(operation, workspace):
                finish_operation(connection, operation.id, "done")
                return None
            sequence = workspace.boot_sequence + 1
            template = operation.parameters.get("template")
            if template is not None and (template["repository"], template["ref"]) != (
                workspace.repository,
                workspace.ref,
            ):
                change_workspace(connection, workspace.id, **template, commit=None)
            change_workspace(
                connection,
                workspace.id,
                boot_sequence=sequence,
                boot_reason=BOOT_REASON[operation.kind],
                registered_at=None,
                agent_url=None,
                machine=None,
                error=None,
                deaths=workspace.deaths if operation.kind == "heal" else 0,
            )
            connection.execute(delete(boots).where(boots.c.workspace == workspace.id))
            self._still_mine(connection, operation, boot_sequence=sequence)
            begun = workspace_row(connection, workspace.id)
        self._changes.notify(workspace.id)
        return begun

    def _make_volume(self, operation: OperationRow, workspace: WorkspaceRow, *, resumed: bool) -> str:
        self._step(operation, "volume")
        found = self._machines.volume_of(workspace.id) if resumed or workspace.boot_sequence > 1 else None
        volume = found or self._machines.create_volume(
            workspace.id, workspace.tenant, workspace.boot_sequence
        )
        self._step(operation, "volume", volume=volume)
        return volume

    def _restored_volume(self, operation: OperationRow, workspace: WorkspaceRow) -> str:
        """The new volume, which is the workspace's from the moment it exists: whatever becomes of this boot, the next
        one is of what was asked for. The volume before it stays until the new one is attached to a machine.
        """
        made = operation.parameters.get("volume")
        if made is not None:
            return str(made)
        self._step(operation, "volume")
        volume = self._machines.create_volume(
            workspace.id, workspace.tenant, workspace.boot_sequence, operation.parameters["snapshot"]
        )
        with self._store.writing() as connection:
            self._still_mine(connection, operation, parameters={**operation.parameters, "volume": volume})
            change_workspace(connection, workspace.id, volume=volume)
        return volume

    def _end_replaced_volumes(self, workspace: str, volume: str) -> None:
        """Delete the volumes that a restore put another one in the place of: this one, or an earlier one that failed.

        A boot does not fail for it: the next one, or the next start of the provisioner, tries again.
        """
        with self._store.reading() as connection:
            if not was_restored(connection, workspace):
                return
        try:
            self._delete_volumes(other for other in self._machines.volumes_of(workspace) if other != volume)
        except (FaultError, BotoCoreError, ClientError) as error:
            log.warning("workspace %s: a replaced volume is not deleted yet (%s)", workspace, error)

    def _delete_volumes(self, volumes: Iterable[str]) -> None:
        for volume in volumes:
            self._machines.delete_volume(volume)

    def _launch(self, operation: OperationRow, workspace: WorkspaceRow, volume: str) -> str:
        user_data = self._user_data(workspace, operation)
        if workspace.transport == "object":
            self._step(operation, "publish")
            user_data["object"] = self._artifacts.publish(
                workspace.tenant, workspace.repository, workspace.ref
            )
        self._step(operation, "launch")
        zone = self._machines.free_volume(volume)
        return self._machines.launch(
            Launch(
                workspace=workspace.id,
                tenant=workspace.tenant,
                boot_sequence=workspace.boot_sequence,
                profile=role_name(workspace.tenant),
                zone=zone,
                user_data=user_data,
            ),
            partial(self._delayed, operation),
        )

    def _user_data(self, workspace: WorkspaceRow, operation: OperationRow) -> dict[str, Any]:
        user_data: dict[str, Any] = {
            "schema": 1,
            "workspace": workspace.id,
            "tenant": workspace.tenant,
            "boot": {"sequence": workspace.boot_sequence, "reason": workspace.boot_reason},
            "template": {
                "identity": workspace.identity,
                "repository": workspace.repository,
                "ref": workspace.ref,
                "commit": workspace.commit,
            },
            "transport": workspace.transport,
            "template_host": self._settings.template_host,
            "bootstrap_secret": secret_name(workspace.tenant),
            "provisioner": self._settings.public_url,
            "heartbeat_seconds": self._settings.health.heartbeat_seconds,
            "fetch_limits": dict(self._settings.fetch_limits),
        }
        with self._store.reading() as connection:
            if migrating(connection, workspace.id):
                user_data["legacy_config"] = True
        # The caller's word counts for the boot that he asked for, and for no other (REC-11).
        if operation.parameters.get("accept_loss"):
            user_data["accept_loss"] = True
        return user_data

    def _delayed(self, operation: OperationRow, error: FaultError) -> None:
        """Shown while it is tried again (OBS-2)."""
        log.warning("workspace %s: %s; trying again", operation.workspace, error)
        self._step(operation, None, error=error.fault.as_json())

    def _watch_boot(
        self, operation: OperationRow, deadlines: Deadlines | None = None, pause: float = _FIRST_LOOK
    ) -> None:
        if deadlines is None:
            deadlines = Deadlines(monotonic() + self._settings.boot_timeout_seconds, monotonic() + pause)
        until = max(0.0, min(deadlines.end, deadlines.next_look) - monotonic())
        self._scheduler.later(until, partial(self._look_at_boot, operation, deadlines, pause))

    def _look_at_boot(self, operation: OperationRow, deadlines: Deadlines, pause: float) -> None:
        """The machine registers by itself; this notices one that will not."""
        with self._store.reading() as connection:
            queue = unfinished(connection, operation.workspace)
            workspace = workspace_row(connection, operation.workspace)
        if workspace is None or workspace.machine is None or all(op.id != operation.id for op in queue):
            return
        try:
            state = self._machines.condition(workspace.machine)
        except (BotoCoreError, ClientError) as error:
            log.warning("workspace %s: cannot see machine %s (%s)", workspace.id, workspace.machine, error)
            state = "unknown"
        if state in DEAD:
            self._fail(operation, FaultError("machine-terminated", f"machine {workspace.machine} is {state}"))
        elif state == IMPAIRED:
            # It ended, or hangs, with nothing said: a boot that fails registers its failure first.
            message = f"machine {workspace.machine} did not register, and does not pass EC2's status check"
            hint = "it is replaced, a bounded number of times; its console says how far it came"
            self._fail(operation, FaultError("machine-impaired", message, hint))
        elif monotonic() >= deadlines.end:
            self._time_out(operation, workspace, workspace.machine)
        else:
            pause = min(2 * pause, _LONGEST_LOOK)
            self._watch_boot(operation, Deadlines(deadlines.end, monotonic() + pause), pause)
            return
        self.wake(operation.workspace)

    def _time_out(self, operation: OperationRow, workspace: WorkspaceRow, machine: str) -> None:
        """The machine is left as it is: it may still come up, and then it is welcome."""
        tail = ""
        try:
            tail = blank(self._machines.console(machine), self._tenants.secret_values(workspace.tenant))
        except (BotoCoreError, ClientError) as error:
            log.warning("workspace %s: no console output (%s)", workspace.id, error)
        message = f"machine {machine} did not register within {self._settings.boot_timeout_seconds:g} s"
        if tail.strip():
            message += f"; the end of its console: {tail.strip()[-300:]}"
        self._end(
            operation,
            FaultError("boot-timeout", message, "restart the workspace, or raise BOOT_TIMEOUT_SECONDS"),
        )

    # the end of a machine

    def _stop(self, operation: OperationRow) -> None:
        self._step(operation, "retire")
        self._machines.retire(self._machines.of(operation.workspace))
        with self._store.writing() as connection:
            change_workspace(
                connection, operation.workspace, status="stopped", machine=None, agent_url=None, error=None
            )
            self._still_mine(connection, operation, state="done", finished_at=time())

    def _delete(self, operation: OperationRow) -> None:
        self._step(operation, "retire")
        self._machines.retire(self._machines.of(operation.workspace))
        with self._store.reading() as connection:
            workspace = workspace_row(connection, operation.workspace)
        if workspace is None:
            raise Superseded
        # A volume that was made, but whose maker died before it could say so, is kept or purged like any other.
        volume = workspace.volume or self._machines.volume_of(workspace.id)
        if operation.parameters.get("purge"):
            self._step(operation, "purge", volume=volume)
            self._purge(workspace.id, volume)
            volume = None
        with self._store.writing() as connection:
            change_workspace(
                connection,
                workspace.id,
                status="deleted",
                machine=None,
                volume=volume,
                agent_url=None,
                error=None,
            )
            self._still_mine(connection, operation, state="done", finished_at=time())

    def _purge(self, workspace: str, volume: str | None) -> None:
        recorded = [volume] if volume is not None else []
        self._delete_volumes(dict.fromkeys(recorded + self._machines.volumes_of(workspace)))
        self._machines.delete_snapshots(snapshot.id for snapshot in self._machines.snapshots_of(workspace))

    def _give_up(self, operation: OperationRow, mine: Machine | None) -> None:
        self._machines.retire([mine] if mine else [])
        attempts, stable = self._settings.health.heal_attempts, self._settings.health.stable_seconds
        self._end(
            operation,
            FaultError(
                "machine-keeps-dying",
                f"{attempts} replacements in a row died within {stable:g} s of their boot",
                "see the consoles of its machines; then restart the workspace",
            ),
            machine=None,
        )

    def _end_orphans(self) -> None:
        try:
            found = self._machines.all()
        except (BotoCoreError, ClientError) as error:
            log.warning("cannot look for machines that belong to nothing (%s)", error)
            return
        orphans: dict[str, list[Machine]] = {}
        for machine in found:
            with self._store.reading() as connection:
                workspace = workspace_row(connection, machine.workspace)
                busy = bool(unfinished(connection, machine.workspace))
            # What is not in this memory may be another provisioner's; what is being worked on ends its own.
            if workspace is not None and not busy and workspace.machine != machine.id:
                orphans.setdefault(machine.workspace, []).append(machine)
        for owner, machines in orphans.items():
            log.warning("workspace %s: ending %d machines that belong to nothing", owner, len(machines))
            self._machines.retire(machines)

    def _end_orphaned_volumes(self) -> None:
        """A restored workspace may have come online while nobody was there to delete the volume before it."""
        try:
            found = self._machines.all_volumes()
        except (BotoCoreError, ClientError) as error:
            log.warning("cannot look for volumes that belong to nothing (%s)", error)
            return
        owners = Counter(disk.workspace for disk in found)
        for owner in (owner for owner, volumes in owners.items() if volumes > 1):
            self._end_orphaned_volumes_of(owner)

    def _end_orphaned_volumes_of(self, owner: str) -> None:
        with self._store.reading() as connection:
            workspace = workspace_row(connection, owner)
            busy = bool(unfinished(connection, owner))
        if workspace is None or busy or workspace.volume is None:
            return
        # Of any other one it is not known whether its new volume was ever attached.
        if workspace.status in {"online", "degraded"}:
            self._end_replaced_volumes(owner, workspace.volume)

    # how operations end

    def _fail(self, operation: OperationRow, error: FaultError) -> None:
        log.warning("workspace %s: %s failed: %s", operation.workspace, operation.kind, error)
        if operation.kind == "delete":
            # Final: a deletion is tried until it is done.
            self._put_off(operation, error)
        elif error.fault.code in {"machine-terminated", "machine-impaired"}:
            self._died(operation, error)
        elif operation.kind == "stop":
            self._end(operation, error)
        else:
            self._undo(operation)
            self._end(operation, error, machine=None)

    def _undo(self, operation: OperationRow) -> None:
        """Leave nothing of a launch that did not come about: no machine, and no volume that never held anything."""
        with self._store.reading() as connection:
            workspace = workspace_row(connection, operation.workspace)
        if workspace is None:
            return
        try:
            self._machines.retire(self._machines.of(workspace.id))
            if operation.kind == "provision" and (
                volume := workspace.volume or self._machines.volume_of(workspace.id)
            ):
                self._machines.delete_volume(volume)
                with self._store.writing() as connection:
                    change_workspace(connection, workspace.id, volume=None)
        except (FaultError, BotoCoreError, ClientError) as error:
            log.warning("workspace %s: not cleaned up; the next operation does it (%s)", workspace.id, error)

    def _put_off(self, operation: OperationRow, error: FaultError) -> None:
        delay = min(30.0, max(0.5, time() - operation.created_at))
        with self._store.writing() as connection:
            change_workspace(connection, operation.workspace, error=error.fault.as_json())
            change_operation(connection, operation.id, state="pending", not_before=time() + delay)

    def _died(self, operation: OperationRow, error: FaultError) -> None:
        """A machine that ended while it booted is replaced, with back-off and within the bound (HEAL-7)."""
        with self._store.writing() as connection:
            workspace = workspace_row(connection, operation.workspace, for_update=True)
            if workspace is None or not finish_operation(
                connection, operation.id, "failed", error.fault.as_json()
            ):
                return
            change_workspace(connection, workspace.id, status="failed", error=error.fault.as_json())
            if not unfinished(connection, workspace.id):
                self._queue_heal(connection, workspace)

    def _queue_heal(self, connection: Connection, workspace: WorkspaceRow) -> None:
        health = self._settings.health
        lived = time() - workspace.registered_at if workspace.registered_at is not None else 0.0
        deaths = 1 if lived >= health.stable_seconds else workspace.deaths + 1
        give_up = deaths > health.heal_attempts
        at_once = deaths == 1 or give_up
        pause = 0.0 if at_once else min(60.0, health.heal_backoff_seconds * 2 ** (deaths - 2))
        change_workspace(connection, workspace.id, deaths=deaths)
        add_operation(connection, workspace.id, "heal", {"give_up": give_up}, not_before=time() + pause)

    def _end(self, operation: OperationRow, error: FaultError, **values: Any) -> None:
        with self._store.writing() as connection:
            if finish_operation(connection, operation.id, "failed", error.fault.as_json()):
                change_workspace(
                    connection, operation.workspace, status="failed", error=error.fault.as_json(), **values
                )
        self._changes.notify(operation.workspace)

    def _step(
        self, operation: OperationRow, step: str | None, *, state: str = "running", **values: Any
    ) -> None:
        """Record what comes next, with what is known by now. Raises Superseded, and then nothing is recorded."""
        with self._store.writing() as connection:
            changes: dict[str, Any] = {"state": state} if step is None else {"state": state, "step": step}
            self._still_mine(connection, operation, **changes)
            if values:
                change_workspace(connection, operation.workspace, **values)
        if values:
            self._changes.notify(operation.workspace)

    def _still_mine(self, connection: Connection, operation: OperationRow, **values: Any) -> None:
        head = current(unfinished(connection, operation.workspace))
        if head is None or head.id != operation.id:
            raise Superseded
        change_operation(connection, operation.id, **values)


def _is_due(operation: OperationRow, workspace: WorkspaceRow) -> bool:
    """All but the start of one that runs."""
    return (
        operation.kind != "start"
        or workspace.machine is None
        or workspace.status not in {"online", "degraded"}
    )


def _cloud_fault(message: str) -> FaultError:
    return FaultError("cloud-error", bounded(message), "restart the workspace once AWS answers again")
