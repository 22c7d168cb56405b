"""Notices dead machines (HEAL-7): silence raises a doubt, failed probes in a row settle it."""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from ..probe import probe_path
from .store import workspace_row, workspace_rows

if TYPE_CHECKING:
    from .operations import Engine
    from .schedule import Scheduler
    from .settings import HealthSettings
    from .store import Store, WorkspaceRow

log = logging.getLogger(__name__)

_ALIVE = ("online", "degraded")


class Health:
    """One deadline a watched workspace; a heartbeat only moves it. Heartbeats are not stored: after a start, every
    machine has a whole window to be heard."""

    def __init__(self, store: Store, engine: Engine, scheduler: Scheduler, settings: HealthSettings) -> None:
        self._store = store
        self._engine = engine
        self._scheduler = scheduler
        self._settings = settings
        self._lock = Lock()
        self._heard: dict[str, float] = {}

    def start(self) -> None:
        with self._store.reading() as connection:
            rows = workspace_rows(connection)
        for row in rows:
            if row.status in _ALIVE:
                self.watch(row.id)

    def watch(self, workspace: str) -> None:
        """From now on, and anew after each boot."""
        with self._lock:
            watched = workspace in self._heard
            self._heard[workspace] = monotonic()
        if not watched:
            self._scheduler.later(self._settings.window_seconds, partial(self._window_passed, workspace))

    def heard(self, workspace: str) -> None:
        with self._lock:
            if workspace in self._heard:
                self._heard[workspace] = monotonic()

    def _window_passed(self, workspace: str) -> None:
        left = self._last_heard(workspace) + self._settings.window_seconds - monotonic()
        if left > 0:
            self._scheduler.later(left, partial(self._window_passed, workspace))
        else:
            self._probe(workspace, 1)

    def _probe(self, workspace: str, attempt: int) -> None:
        since = self._last_heard(workspace)
        with self._store.reading() as connection:
            row = workspace_row(connection, workspace)
        if row is None or row.status not in _ALIVE:
            self._forget(workspace, since)
            return
        if (
            row.machine is None
            or row.agent_url is None
            or monotonic() - since < self._settings.window_seconds
        ):
            # Being replaced at this moment, or heard of meanwhile.
            self._rest(workspace)
        elif _answers(row.agent_url, row.id, row.boot_sequence, self._settings.probe_timeout_seconds):
            log.info("workspace %s: silent, but it answers", workspace)
            self.heard(workspace)
            self._rest(workspace)
        elif attempt < self._settings.probes:
            self._scheduler.later(
                self._settings.probe_spacing_seconds, partial(self._probe, workspace, attempt + 1)
            )
        else:
            self._replace(row)

    def _forget(self, workspace: str, since: float) -> None:
        with self._lock:
            came_back = self._heard.get(workspace) != since
            if not came_back:
                del self._heard[workspace]
        if came_back:
            self._rest(workspace)

    def _rest(self, workspace: str) -> None:
        left = self._last_heard(workspace) + self._settings.window_seconds - monotonic()
        pause = left if left > 0 else self._settings.window_seconds
        self._scheduler.later(pause, partial(self._window_passed, workspace))

    def _replace(self, row: WorkspaceRow) -> None:
        self._engine.heal(row.id, row.boot_sequence)
        # If something else was queued first, this machine is replaced or ended by it; the watch goes on until then.
        self._rest(row.id)

    def _last_heard(self, workspace: str) -> float:
        with self._lock:
            return self._heard.get(workspace, monotonic())


def _answers(agent_url: str, workspace: str, boot_sequence: int, patience: float) -> bool:
    """One probe. Nothing of the answer is kept or passed on, and no redirect is followed."""
    from urllib3 import PoolManager, Timeout
    from urllib3.exceptions import HTTPError

    with PoolManager(timeout=Timeout(connect=patience, read=patience), retries=False) as http:
        try:
            url = agent_url.rstrip("/") + probe_path(workspace, boot_sequence)
            answer = http.request("GET", url, redirect=False, preload_content=False)
        except HTTPError:
            return False
        try:
            return answer.status == HTTPStatus.OK
        finally:
            answer.close()
