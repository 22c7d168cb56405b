"""One boot, from instance metadata to a serving agent, in the order in which it happens."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ..errors import BootError
from ..redact import RedactingFormatter, Redactor
from .bootstrap import Bootstrap, ExpiredRole, read_bootstrap
from .card import agent_card
from .delivery import Courier, Delivery
from .handover import become_agent, listen
from .legacy import fetch_legacy_config
from .metadata import Metadata, Orders
from .registration import Dismissed, Registration, Unproven, register
from .report import BootReport, Problem, encode, summary
from .role import Role
from .skills import ROOT as SKILLS
from .skills import Loaded, load_skills
from .volume import Volume, open_volume, volume_errors

log = logging.getLogger(__name__)

_FAILED = 1
_DISMISSED = 3
"""As of an agent that is dismissed later."""
_VOLUME_PATIENCE = 300.0
"""Seconds that a volume has for being attached."""
_REPORT = "report.json"
_AUTH_TOKEN = ".auth_token"  # noqa: S105 - a file's name


def main() -> int:
    """Returns only when there is no agent to become: 1 for a failed boot, 3 for a machine that was replaced."""
    parser = argparse.ArgumentParser(prog="python -m reference.boot", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where the data volume is mounted")
    parser.add_argument("--port", type=int, required=True, help="the port that the agent serves")
    arguments = parser.parse_args()
    redact = Redactor()
    _log_to_console(redact)
    os.umask(0o022)
    try:
        metadata = Metadata.of_this_machine()
        orders = metadata.orders()
        region = metadata.region()
        address = metadata.address()
    except BootError as error:
        log.error("%s: %s (%s)", error.code, error, error.hint)
        return _FAILED
    log.info("boot %d (%s) of %s: %s", orders.sequence, orders.reason, orders.workspace, orders.identity)
    return _Boot(arguments.data, arguments.port, orders, region, address, redact).run()


def _log_to_console(redact: Redactor) -> None:
    console = logging.StreamHandler()
    console.setFormatter(RedactingFormatter(redact))
    own = logging.getLogger(__package__.rpartition(".")[0])  # what carries templates here too
    own.addHandler(console)
    own.setLevel(logging.INFO)
    own.propagate = False


class _Boot:
    """A boot that knows its orders, and so has somebody to report to."""

    def __init__(
        self, data: Path, port: int, orders: Orders, region: str, address: str, redact: Redactor
    ) -> None:
        self._data = data
        self._port = port
        self._orders = orders
        self._url = f"http://{address}:{port}"
        self._redact = redact
        self._role = Role(region)
        self._report = BootReport(
            workspace=orders.workspace,
            boot={"sequence": orders.sequence, "reason": orders.reason},
            identity=str(orders.identity),
            repository=orders.identity.repository,
            ref=orders.identity.ref,
            transport=orders.transport,
        )

    def run(self) -> int:
        try:
            with open_volume(self._data, _VOLUME_PATIENCE) as volume:
                try:
                    self._boot(volume)
                except Exception as error:
                    return self._fail(_explain(error), volume)
        except Exception as error:
            return self._fail(_explain(error), None)

    def _boot(self, volume: Volume) -> NoReturn:
        bootstrap = self._read_bootstrap()
        self._redact.learn(bootstrap.values())
        log.info("the bootstrap secret is complete")
        courier = Courier(volume, self._orders, bootstrap, self._redact, self._role)
        legacy = None
        if self._orders.legacy_config:
            legacy = fetch_legacy_config(self._role, self._orders, bootstrap.values(), self._redact)
        try:
            delivery = courier.deliver(legacy)
        finally:
            self._report = replace(
                self._report, fetched_bytes=courier.budget.received, fetched_requests=courier.budget.requests
            )
        self._take_in(delivery)
        loaded = self._load(volume, delivery)
        card = agent_card(loaded, self._orders.workspace, self._url)
        with self._listen() as listener:
            registration = self._register(self._write_report(volume), card)
            if not volume.read_only:
                _keep_token(volume, registration.auth_token)
            log.info("registered as %s; starting the agent", self._report.outcome)
            become_agent(listener, volume.lock, self._orders, registration, card)

    def _read_bootstrap(self) -> Bootstrap:
        try:
            return read_bootstrap(self._role, self._orders.bootstrap_secret)
        except ExpiredRole as expired:
            self._renew_role(expired)
            return read_bootstrap(self._role, self._orders.bootstrap_secret)

    def _renew_role(self, why: BootError) -> None:
        log.warning("%s; asking for new role credentials", why)
        self._role = Role(self._role.region)

    def _take_in(self, delivery: Delivery) -> None:
        trouble = delivery.trouble
        self._report = replace(
            self._report,
            commit=delivery.commit,
            outcome="degraded" if trouble else "ready",
            error=self._problem(trouble) if trouble else None,
            expected=summary(delivery.expected),
            delivered=summary(delivery.delivered),
            paths=delivery.notes,
        )
        log.info(
            "%d assets are on the volume, %d paths to report", len(delivery.delivered), len(delivery.notes)
        )

    def _load(self, volume: Volume, delivery: Delivery) -> Loaded:
        of_template = frozenset(
            path.split("/")[1]
            for path in delivery.expected
            if path.startswith(f"{SKILLS}/") and path.count("/") > 1
        )
        loaded = load_skills(volume.configs, of_template)
        self._report = replace(self._report, skills=loaded.notes)
        log.info("%d skills are loaded, %d are not and should be", len(loaded.skills), len(loaded.missing))
        if loaded.missing and self._report.error is None:
            named = "; ".join(f"{note.name}: {note.reason}" for note in loaded.missing)
            error = BootError(
                "skill-missing",
                f"skills that do not load: {named}",
                "mend them in the template, or take them out of `skills` in config.yaml",
            )
            self._report = replace(self._report, outcome="degraded", error=self._problem(error))
        return loaded

    def _listen(self) -> socket.socket:
        try:
            return listen(self._port)
        except OSError as error:
            raise BootError(
                "metadata-error",
                f"cannot listen on port {self._port}: {error.strerror}",
                "end what else listens on that port of the machine, or boot with another port",
            ) from error

    def _register(self, report: bytes, card: Mapping[str, Any] | None) -> Registration:
        url = self._url if card is not None else None
        try:
            return register(self._role, self._orders, report, card, url, self._redact)
        except Unproven as unproven:
            self._renew_role(unproven)
            return register(self._role, self._orders, report, card, url, self._redact)

    def _write_report(self, volume: Volume) -> bytes:
        """Write it where the volume allows, and give it as it is sent."""
        text = self._redact(encode(self._report.to_json()).decode()).encode()
        with suppress(OSError):
            volume.write(volume.own, _REPORT, text)
        return text

    def _fail(self, error: BootError, volume: Volume | None) -> int:
        log.error("%s: %s (%s)", error.code, error, error.hint)
        self._report = self._report.failed(self._problem(error))
        if volume is not None:
            report = self._write_report(volume)
        else:
            report = self._redact(encode(self._report.to_json()).decode()).encode()
        if isinstance(error, Dismissed):
            return _DISMISSED
        if error.code != "registration-refused":
            try:
                self._register(report, None)
            except Dismissed:
                return _DISMISSED
            except BootError as unheard:
                log.error("%s: %s (%s)", unheard.code, unheard, unheard.hint)
            except Exception:
                log.exception("this failure could not be registered")
        return _FAILED

    def _problem(self, error: BootError) -> Problem:
        return Problem(error.code, self._redact.upstream(str(error)), error.hint)


def _explain(error: Exception) -> BootError:
    """What nobody foresaw is told like any other error: a machine that falls silent is waited for in vain (FAIL-1)."""
    if isinstance(error, BootError):
        return error
    log.error("the boot ended in an error that it does not know", exc_info=error)
    return BootError(
        "boot-error",
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        "see the traceback on the machine's console, and give it to who maintains the boot agent",
    )


def _keep_token(volume: Volume, token: str) -> None:
    """Agent-owned, and not touched when it is right already (REC-2)."""
    from . import files

    with suppress(OSError):
        if files.read_whole(volume.configs, _AUTH_TOKEN, 4096).decode("utf-8", "replace") == token:
            return
    with volume_errors():
        volume.write(volume.configs, _AUTH_TOKEN, token.encode(), 0o600)
