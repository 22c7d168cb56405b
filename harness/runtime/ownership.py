"""Whose a thing is: what every container, volume, network, process and directory carries, so that a sweep can tell.

A thing belongs to a worker of a run; a run lives as long as the process that controls it.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_LABEL: Final = "conformance.run"
WORKER_LABEL: Final = "conformance.worker"
OWNER_LABEL: Final = "conformance.owner"
CREATED_LABEL: Final = "conformance.created"

_ID = re.compile(r"[a-z0-9]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,150}")
_START_TOLERANCE = 60.0
"""Seconds. A process's start is reckoned from the clock, which may have been set since; a pid that came round again
within a minute is taken for the owner, which only puts its sweeping off."""


class BadName(ValueError):
    """A name that an engine or a file system would not take, or that could be taken for another's."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A worker of a run, and the process that controls the run."""

    run: str
    worker: str
    host: str
    pid: int
    started: float
    """When the controlling process started, in seconds since 1970."""
    created: datetime
    """When this owner, or the thing that bears its labels, was made. UTC."""

    @classmethod
    def current(cls, run: str | None = None, worker: str = "main", *, controller: int | None = None) -> Owner:
        """For this computer; `run` None makes a new run, `controller` None is this process.

        Raises BadName (run and worker are of `a-z0-9`, so that no name is the beginning of another's).
        """
        run = secrets.token_hex(4) if run is None else run
        for part in (run, worker):
            if not _ID.fullmatch(part):
                raise BadName(f"{part!r} cannot name a run or a worker: give 1 to 32 of a-z and 0-9")
        pid = os.getpid() if controller is None else controller
        started = psutil.Process(pid).create_time()
        return cls(run, worker, socket.gethostname(), pid, started, datetime.now(UTC).replace(microsecond=0))

    @property
    def prefix(self) -> str:
        """How the name of everything of this worker begins."""
        return f"cf-{self.run}-{self.worker}-"

    def named(self, name: str) -> str:
        """The full name of a thing. Raises BadName."""
        if not _NAME.fullmatch(name):
            raise BadName(
                f"{name!r} cannot name a machine or a volume: give a letter or digit, "
                "then at most 150 letters, digits, dots, dashes or underscores"
            )
        return self.prefix + name

    def labels(self) -> dict[str, str]:
        return {
            RUN_LABEL: self.run,
            WORKER_LABEL: self.worker,
            OWNER_LABEL: f"{self.host}/{self.pid}/{self.started}",
            CREATED_LABEL: self.created.isoformat(),
        }

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> Owner | None:
        """None if these are not, or not wholly, the labels of an owner."""
        try:
            host, pid, started = labels[OWNER_LABEL].split("/")
            created = datetime.fromisoformat(labels[CREATED_LABEL])
            return cls(labels[RUN_LABEL], labels[WORKER_LABEL], host, int(pid), float(started), created)
        except (KeyError, ValueError):
            return None

    def alive(self) -> bool:
        """Whether the controlling process still runs. That of another computer counts as running: who can tell?"""
        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(process.create_time() - self.started) < _START_TOLERANCE
        except psutil.NoSuchProcess:
            return False
