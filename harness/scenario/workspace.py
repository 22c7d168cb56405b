"""A workspace of a scenario: what is done to it, what is expected of it, what is seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from botocore.exceptions import ClientError

from harness.contract.lifecycle import UNSETTLED, NotSettled
from harness.oracle.heal import heal_7_a_dead_machine_is_replaced
from harness.oracle.reconcile import rec_1_the_request_settles, rec_3_no_request_was_lost
from harness.oracle.seen import CONFIGS, Document, Expected, Seen
from harness.oracle.universal import judge_always, judge_ready
from harness.runtime.base import Entry, Machine, Volume
from harness.templates.model import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .published import Nowhere, Published
    from .tenant import Tenant

NOTICE = 0.1
"""Seconds between two looks at a workspace whose machine died."""


class Workspace:
    """One workspace. Each verb waits for it to settle, looks at it from the outside, and judges what it sees."""

    def __init__(
        self,
        tenant: Tenant,
        published: Published | Nowhere,
        ref: str,
        transport: str | None,
        document: Document,
    ) -> None:
        self.tenant = tenant
        self.published = published
        self.ref = ref
        self.transport = transport
        self.document = document
        """The latest answer of the status API."""
        self.edits: dict[str, bytes] = {}
        """What the user wrote below the config root, by path from there."""
        self._asked = time.monotonic()
        self._hopeful = True

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def template(self) -> Template:
        """What its ref stands for now."""
        return self.published.template(self.ref)

    @property
    def volume(self) -> Volume:
        return self.tenant.cloud.hypervisor.volume(str(self.document["volume"]))

    @property
    def machine(self) -> Machine:
        return self.tenant.cloud.hypervisor.machine(str(self.document["machine"]))

    @property
    def files(self) -> Mapping[str, Entry]:
        """The whole volume, now."""
        return self.volume.entries()

    # What is done to it

    def restart(self) -> Seen:
        """Restart it, naming no template."""
        return self.booted("restart", self.ask_to_restart())

    def ask_to_restart(self) -> Document:
        """Ask for a restart, naming no template, and do not wait for it; what was known of the workspace before."""
        return self._request("restart")

    def restart_at_once(self, times: int) -> Seen:
        """Ask for several restarts at the same moment, and wait for the last of them."""
        previous = self.document
        self._asked = time.monotonic()
        with ThreadPoolExecutor(times) as askers:
            answers = list(askers.map(self.tenant.api.restart, [self.id] * times))
        asked = datetime.now(UTC)
        self.document = answers[-1]
        seen = self.booted("restart", previous)
        machines = self.tenant.cloud.hypervisor.machines_on(str(self.document["volume"]))
        self.tenant.judge(rec_3_no_request_was_lost, times, asked, previous, seen, machines)
        return seen

    def stop(self) -> None:
        self._request("stop")
        self._settle("stop")

    def start(self) -> Seen:
        previous = self._request("start")
        return self.booted("resume", previous)

    def lose_the_machine(self) -> Seen:
        """Let its machine die, ask nobody for anything, and wait until the platform has replaced it."""
        dead = str(self.document["machine"])
        previous = self.document
        self._asked = time.monotonic()
        self.machine.kill()
        window = self.tenant.cloud.implementation.timing.heal
        while self.document["machine"] == dead and self.document["status"] not in UNSETTLED:
            # There is nothing to wait on: a death shows only when the status changes.
            if time.monotonic() - self._asked > window:
                break
            time.sleep(NOTICE)
            self.document = self.tenant.api.get(self.id)
        seen = self.booted("heal", previous)
        seconds = time.monotonic() - self._asked
        self.tenant.judge(heal_7_a_dead_machine_is_replaced, seen, dead, seconds, window)
        return seen

    def edit(self, path: str, content: bytes) -> None:
        """The user writes a file below the config root, while nothing else is going on."""
        self.volume.write(f"{CONFIGS}/{path}", content)
        self.edits[path] = content

    def damage(self, path: str, content: bytes) -> None:
        """Something, not the user, leaves these bytes in a file below the config root."""
        self.volume.write(f"{CONFIGS}/{path}", content)

    def lose(self, path: str) -> None:
        """A file or directory below the config root is lost."""
        self.volume.remove(f"{CONFIGS}/{path}")

    def lose_everything(self) -> None:
        """The whole content of its volume is lost."""
        self.volume.remove("")

    @contextmanager
    def expecting_trouble(self) -> Iterator[None]:
        """Boots in this block have something in their way: only what always holds is judged."""
        self._hopeful = False
        try:
            yield
        finally:
            self._hopeful = True

    def try_secrets(self, *, own: str, other: str) -> dict[str, str]:
        """What comes of using secrets with the role of its machine: `allowed`, or AWS's error code."""
        aws, hypervisor = self.tenant.cloud.aws, self.tenant.cloud.hypervisor
        instance = str(self.document["machine"])
        role = hypervisor.role(instance)
        if role is None:
            return {"read its own": "the machine has no role"}
        client = aws.client_of(aws.assume(role, instance, timedelta(minutes=15)), "secretsmanager")
        tries: dict[str, Callable[[], object]] = {
            "read its own": lambda: client.get_secret_value(SecretId=own),
            "read another's": lambda: client.get_secret_value(SecretId=other),
            "write its own": lambda: client.put_secret_value(SecretId=own, SecretString="{}"),
            "write another's": lambda: client.put_secret_value(SecretId=other, SecretString="{}"),
            "create one": lambda: client.create_secret(Name=f"{own}-copy", SecretString="{}"),
            "delete its own": lambda: client.delete_secret(SecretId=own),
        }
        return {what: _outcome(attempt) for what, attempt in tries.items()}

    # What is seen of it

    def now(self) -> Document:
        """What the status API says at this moment, settled or not."""
        self.document = self.tenant.api.get(self.id)
        return self.document

    def booted(self, reason: str, previous: Document | None = None) -> Seen:
        """Wait for the boot that is under way, and judge it."""
        seconds = self._settle(reason)
        boot = self.document.get("boot") or {}
        self.tenant.judge.step = f"{reason} (boot {boot.get('sequence', '?')} of {self.id[:11]}…)"
        self.tenant.on_boot(f"{reason} {seconds:.1f} s")
        seen = self.look(reason)
        if self._hopeful:
            judge_ready(self.tenant.judge, seen, previous)
            if reason == "provision" and seen.card is None:
                self.tenant.judge.conclude()  # what the scenario does next needs a workspace that worked once
        else:
            judge_always(self.tenant.judge, seen)
        return seen

    def look(self, reason: str) -> Seen:
        """Everything that an outsider can see of it now."""
        cloud, tenant = self.tenant.cloud, self.tenant
        instance = self.document.get("machine")
        volume = self.volume if self.document.get("volume") else None
        machine = cloud.hypervisor.find_machine(str(instance)) if instance else None
        return Seen(
            tenant=tenant.name,
            workspace=self.document,
            card=agent_card(machine) if machine is not None else None,
            entries=volume.entries() if volume is not None else {},
            volume=volume,
            console=cloud.hypervisor.console(str(instance)) if instance else b"",
            processes=machine.processes() if machine is not None else [],
            user_data=cloud.hypervisor.user_data(str(instance)) if instance else b"",
            calls=cloud.calls_since(tenant.mark),
            requests=cloud.template_requests_since(tenant.mark),
            logs={"the provisioner": cloud.provisioner_log_since(tenant.mark)},
            expected=self.expected(reason),
            canaries=tenant.canaries,
            search=tenant.search,
            schema_problems=cloud.schema.report_problems,
            violations=cloud.lifecycle.violations(tenant.mark.violations),
        )

    def expected(self, reason: str) -> Expected:
        """What its history entitles an outsider to expect."""
        return Expected(
            repository=self.published.name,
            ref=self.ref,
            commit=self.published.commit(self.ref),
            template=self.template,
            transport=self.transport,
            reason=reason,
            private=self.published.private,
            edits=dict(self.edits),
        )

    def _request(self, verb: str) -> Document:
        """Ask for it; what was known before."""
        previous = self.document
        self._asked = time.monotonic()
        self.document = getattr(self.tenant.api, verb)(self.id)
        return previous

    def _settle(self, request: str) -> float:
        """Seconds since it was asked for. Ends the scenario where it does not settle."""
        judge, within = self.tenant.judge, self.tenant.cloud.implementation.timing.settle
        try:
            self.document = self.tenant.api.settled(self.id, within=within)
        except NotSettled as stuck:
            self.document = self.tenant.api.get(self.id)
            judge.step = request
            judge(rec_1_the_request_settles, request, str(stuck))
            judge.conclude()
        return time.monotonic() - self._asked


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return "allowed"


def agent_card(machine: Machine) -> Document | None:
    """The card that the machine serves; None where nothing answers with one."""
    if not machine.running():
        return None
    try:
        answer = httpx.get(f"{machine.url()}/.well-known/agent-card.json", timeout=5, trust_env=False)
        card = answer.json() if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError):
        return None
    return card if isinstance(card, dict) else None
