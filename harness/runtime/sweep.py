"""Removes what runs that are over left behind, and nothing that does not bear an owner's labels."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil
from docker.errors import APIError, NotFound

from . import engine, workdir
from .base import RuntimeUnavailable
from .ownership import RUN_LABEL, Owner
from .process import MACHINE_VARIABLE, OWNER_VARIABLE, RECORD, kill_members, members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta
    from pathlib import Path

    from docker import DockerClient

log = logging.getLogger(__name__)

_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Removed:
    """A thing that was removed, or, in a dry run, would be."""

    kind: str
    """machine, volume, network or directory."""
    name: str
    run: str
    age: timedelta
    error: str | None = None
    """Why it is still there."""


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    name: str
    owner: Owner
    remove: Callable[[], object]


def sweep(
    older_than: timedelta | None = None,
    *,
    dry_run: bool = False,
    run: str | None = None,
    engines: Iterable[str | None] = (None,),
) -> list[Removed]:
    """Remove what belongs to owners that are dead; or, with `older_than`, everything as old as that, whoever lives.

    `run` narrows it down to one run. Of engines that do not answer, nothing. What cannot be removed is in the answer
    with its error, after everything else was.
    """
    with ExitStack() as undo:
        clients = []
        for at in dict.fromkeys(engines):
            try:
                clients.append(undo.enter_context(closing(engine.connect(at))))
            except RuntimeUnavailable as unavailable:
                log.info("sweeping without its containers: %s", unavailable)
        now = datetime.now(UTC)
        removed = []
        for found in _everything(clients):
            age = now - found.owner.created
            if run is not None and found.owner.run != run:
                continue
            if found.owner.alive() if older_than is None else age < older_than:
                continue
            error = None if dry_run else _try(found.remove)
            if error is not None:
                log.warning("%s %s could not be removed: %s", found.kind, found.name, error)
            removed.append(Removed(found.kind, found.name, found.owner.run, age, error))
        return removed


def _everything(clients: Iterable[DockerClient]) -> Iterator[_Found]:
    """Machines first, since they hold on to all the rest."""
    for client in clients:
        yield from _containers(client)
    yield from _sessions()
    for client in clients:
        yield from _volumes(client)
        yield from _networks(client)
    for owner, directory in list(workdir.every()):
        yield _Found("directory", str(directory), owner, partial(workdir.remove, directory))


def _containers(client: DockerClient) -> Iterator[_Found]:
    for each in client.api.containers(all=True, filters={"label": RUN_LABEL}):
        owner = Owner.from_labels(each["Labels"])
        if owner is not None:
            name, number = each["Names"][0].lstrip("/"), each["Id"]
            yield _Found("machine", name, owner, partial(_remove_container, client, number))


def _remove_container(client: DockerClient, number: str) -> None:
    with suppress(NotFound):
        client.api.remove_container(number, force=True, v=True)


def _volumes(client: DockerClient) -> Iterator[_Found]:
    for each in client.volumes.list(filters={"label": RUN_LABEL}):
        owner = Owner.from_labels(each.attrs["Labels"])
        if owner is not None:
            yield _Found("volume", each.name, owner, each.remove)


def _networks(client: DockerClient) -> Iterator[_Found]:
    for each in client.networks.list(filters={"label": RUN_LABEL}):
        owner = Owner.from_labels(each.attrs["Labels"])
        if owner is not None:
            yield _Found("network", str(each.name), owner, each.remove)


def _sessions() -> Iterator[_Found]:
    """Machines that are processes: by what they bear in their environment, and by what their directories say."""
    machines: dict[str, tuple[Owner, int | None]] = {}
    for owner, directory in workdir.every():
        for record in directory.glob(f"machines/*/{RECORD}"):
            machines[record.parent.name] = (owner, _session(record))
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
            environment = process.environ()
            owner_or_none = Owner.from_labels(json.loads(environment.get(OWNER_VARIABLE, "{}")))
            if owner_or_none is not None and MACHINE_VARIABLE in environment:
                machines.setdefault(environment[MACHINE_VARIABLE], (owner_or_none, None))
    for name, (owner, session) in machines.items():
        if members(name, session):
            yield _Found("machine", name, owner, partial(kill_members, name, session))


def _session(record: Path) -> int | None:
    """The id of the machine's session, unless another may have come by it since."""
    try:
        facts: dict[str, Any] = json.loads(record.read_text())
        session, started = int(facts["session"]), float(facts["started"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if started < psutil.boot_time():
        return None
    with suppress(psutil.NoSuchProcess):
        return session if abs(psutil.Process(session).create_time() - started) < 1 else None
    return session


def _try(remove: Callable[[], object]) -> str | None:
    """What the engine or the system said against it. That another sweep was faster is no objection."""
    try:
        remove()
    except NotFound:
        return None
    except APIError as error:
        if error.status_code == _CONFLICT and "in progress" in engine.words(error):
            return None
        return engine.words(error)
    except OSError as error:
        return str(error)
    return None
