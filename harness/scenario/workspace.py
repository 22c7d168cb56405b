"""A workspace of a scenario: what is done to it, what is expected of it, what is seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import httpx
from botocore.exceptions import ClientError

from harness.contract.lifecycle import UNSETTLED, NotSettled, Refused, json_object
from harness.oracle.failing import fail_6_a_restore_leaks_no_volume
from harness.oracle.heal import heal_7_a_dead_machine_is_replaced
from harness.oracle.history import History
from harness.oracle.reconcile import (
    rec_1_the_request_settles,
    rec_3_no_request_was_lost,
    rec_3_requests_of_all_kinds_end_as_the_last_one_asks,
)
from harness.oracle.seen import BOOT_STATE, CONFIGS, Document, Expected, Seen
from harness.oracle.universal import judge_always, judge_ready, judge_without_a_boot
from harness.runtime.base import Conditions, Entry, Machine, Volume
from harness.templates.model import Template
from harness.tls import trusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.hypervisor import Trial

    from .published import Nowhere, Published
    from .tenant import Tenant

Prospect = Literal["ready", "trouble", "no machine"]
"""What a boot may come to, as far as what is in its way lets one say."""
BOOT_REASON = {"restart": "restart", "start": "resume"}
NOTICE = 0.1
"""Seconds between two looks at what gives no sign when it changes: a dead machine's workspace, a replaced volume."""


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
        self.history = History()
        """What happened to its volume."""
        self._held: dict[str, History] = {}
        """The same by snapshot, as it was at the time."""
        self._asked = time.monotonic()
        self._prospect: Prospect = "ready"
        self._writable = True

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
    def card(self) -> Document | None:
        """The agent card that its machine serves now; None where it has no machine, or nothing answers with one."""
        machine = self.tenant.cloud.hypervisor.find_machine(str(self.document.get("machine")))
        return agent_card(machine) if machine is not None else None

    @property
    def files(self) -> Mapping[str, Entry]:
        """The whole volume, now."""
        return self.volume.entries()

    @property
    def own_files(self) -> Mapping[str, bytes]:
        """What the implementation has written for itself on the volume, now."""
        return {
            path: content
            for directory in self._own_directories
            for path, content in self.volume.files(directory)
        }

    @property
    def _own_directories(self) -> Collection[str]:
        return {BOOT_STATE, self.tenant.cloud.implementation.machine.state}

    # What is done to it

    def restart(self, *, accept_loss: bool = False) -> Seen:
        """Restart it, naming no template."""
        asked = {"accept_loss": True} if accept_loss else {}
        return self.booted("restart", self._request("restart", **asked))

    def ask_to_restart(self) -> Document:
        """Ask for a restart, naming no template, and do not wait for it; what was known of the workspace before."""
        return self._request("restart")

    def ask_to_stop(self) -> Document:
        """Ask for a stop, and do not wait for it; what was known of the workspace before."""
        return self._request("stop")

    def ask_to_start(self) -> Document:
        """Ask for a start, and do not wait for it; what was known of the workspace before."""
        return self._request("start")

    def ask_to_delete(self, *, purge: bool = False) -> Document:
        """Ask for its deletion, and do not wait for it; what was known of the workspace before."""
        previous = self.document
        self._asked = time.monotonic()
        self.document = self.tenant.api.delete(self.id, purge=purge)
        return previous

    def ask_to_restart_at_once(self, times: int) -> datetime:
        """Ask for several restarts at the same moment, and wait for none; when the last of them was accepted."""
        with ThreadPoolExecutor(times) as askers:
            answers = list(askers.map(self.tenant.api.restart, [self.id] * times))
        self.document = answers[-1]
        return datetime.now(UTC)

    def restarted(self, times: int, asked: datetime, previous: Document) -> Seen:
        """Wait for the last of several restarts that were asked for, and judge that none was lost."""
        seen = self.booted("restart", previous, requests=times)
        machines = self.tenant.cloud.hypervisor.machines_on(str(self.document["volume"]))
        self.tenant.judge(rec_3_no_request_was_lost, times, asked, previous, seen, machines)
        return seen

    def ask_at_once(self, *requests: Literal["restart", "stop", "start"]) -> Seen:
        """Ask for one behind another without a wait, ending with one that boots; wait for the end of the last."""
        previous = self.document
        self._asked = time.monotonic()
        for request in requests:
            self.document = getattr(self.tenant.api, request)(self.id)
        asked = datetime.now(UTC)
        seen = self.booted(BOOT_REASON[requests[-1]], previous, requests=len(requests))
        machines = self.tenant.cloud.hypervisor.machines_on(str(self.document["volume"]))
        self.tenant.judge(
            rec_3_requests_of_all_kinds_end_as_the_last_one_asks, requests, asked, previous, seen, machines
        )
        return seen

    def stop(self) -> None:
        self._request("stop")
        self.settle("stop")

    def start(self) -> Seen:
        return self.booted("resume", self.ask_to_start())

    def snapshot(self) -> str:
        """Keep its volume as it is now, the user's edits with it."""
        snapshot = self.tenant.api.snapshot(self.id)
        self._held[snapshot] = self.history
        return snapshot

    def held(self, snapshot: str) -> History:
        """What had happened to its volume when the snapshot was taken."""
        return self._held[snapshot]

    def restore(self, snapshot: str | None) -> Seen:
        """Onto a new volume: one that is as the snapshot, or a blank one with None."""
        previous = self.ask_to_restore(snapshot)
        seen = self.booted("restore", previous)
        replaced = str(previous["volume"])
        there = self.tenant.cloud.hypervisor.exists
        patience = time.monotonic() + self.tenant.cloud.implementation.timing.settle
        while there(replaced) and time.monotonic() < patience:
            time.sleep(NOTICE)
        self.tenant.judge(fail_6_a_restore_leaks_no_volume, replaced, there(replaced))
        return seen

    def ask_to_restore(self, snapshot: str | None) -> Document:
        """Ask for it and do not wait for it; what was known of the workspace before."""
        previous = self._request("restore", snapshot)
        self.history = History() if snapshot is None else self._held[snapshot]
        return previous

    def lose_the_machine(self) -> Seen:
        """Let its machine die, ask nobody for anything, and wait until the platform has replaced it."""
        previous, died = self.let_the_machine_die()
        return self.replaced(previous, self.await_replacement(died))

    def let_the_machine_die(self) -> tuple[Document, float]:
        """Cut its power, and tell nobody; what was known of the workspace before, and when (monotonic) it died."""
        died = time.monotonic()
        self.machine.kill()
        return self.document, died

    def await_replacement(self, died: float) -> float:
        """Wait until the platform has noticed a death by itself and settled; the seconds since `died` (monotonic)."""
        dead, window = str(self.document["machine"]), self.tenant.cloud.implementation.timing.heal
        self._asked = died
        while self.document["machine"] == dead and self.document["status"] not in UNSETTLED:
            # There is nothing to wait on: a death shows only when the status changes.
            if time.monotonic() - died > window:
                break
            with self.tenant.judge.clock.on("boots"):
                time.sleep(NOTICE)
                self.document = self.tenant.api.get(self.id)
        return self.settle("heal")

    def replaced(self, previous: Document, seconds: float) -> Seen:
        """Judge the boot of a machine that took the place of a dead one, so many seconds after its death."""
        seen = self.booted("heal", previous)
        window = self.tenant.cloud.implementation.timing.heal
        self.tenant.judge(heal_7_a_dead_machine_is_replaced, seen, str(previous["machine"]), seconds, window)
        return seen

    def edit(self, path: str, content: bytes) -> None:
        """The user writes a file below the config root, while nothing else is going on."""
        self.volume.write(f"{CONFIGS}/{path}", content)
        self.history = self.history.edited(path, content)

    def damage(self, path: str, content: bytes) -> None:
        """Something, not the user, leaves these bytes in a file below the config root."""
        self.volume.write(f"{CONFIGS}/{path}", content)
        self.history = self.history.damaged(path, content)

    def lose(self, path: str) -> None:
        """A file or directory below the config root is lost."""
        self.volume.remove(f"{CONFIGS}/{path}")
        self.history = self.history.lost(path)

    def lose_everything(self) -> None:
        """The whole content of its volume is lost."""
        self.volume.remove("")
        self.history = self.history.lost("")

    def next_machine(self, conditions: Conditions) -> AbstractContextManager[Trial]:
        """Within the block, its next machine is under these conditions. Raises NotSupported."""
        return self.tenant.cloud.hypervisor.next_machine(conditions, volume=str(self.document["volume"]))

    @contextmanager
    def expecting_trouble(self, *, writable: bool = True) -> Iterator[None]:
        """Boots in this block have something in their way: only what always holds is judged.

        `writable` says whether they can at least write to the volume.
        """
        self._writable = writable
        try:
            with self._expecting("trouble"):
                yield
        finally:
            self._writable = True

    @contextmanager
    def expecting_no_machine(self) -> Iterator[None]:
        """In this block no machine can be launched for it, so that there is no boot to report of either."""
        with self._expecting("no machine"):
            yield

    @contextmanager
    def _expecting(self, prospect: Prospect) -> Iterator[None]:
        self._prospect = prospect
        try:
            yield
        finally:
            self._prospect = "ready"

    def try_secrets(self, *, own: str, other: str) -> dict[str, str]:
        """What comes of using secrets with the role of its machine: `allowed`, or AWS's error code."""
        client = self._client_of_its_role("secretsmanager")
        if client is None:
            return {"read its own": "the machine has no role"}
        tries: dict[str, Callable[[], object]] = {
            "read its own": lambda: client.get_secret_value(SecretId=own),
            "read another's": lambda: client.get_secret_value(SecretId=other),
            "write its own": lambda: client.put_secret_value(SecretId=own, SecretString="{}"),
            "write another's": lambda: client.put_secret_value(SecretId=other, SecretString="{}"),
            "create one": lambda: client.create_secret(Name=f"{own}-copy", SecretString="{}"),
            "delete its own": lambda: client.delete_secret(SecretId=own),
        }
        return {what: _outcome(attempt) for what, attempt in tries.items()}

    def try_objects(self, objects: Collection[tuple[str, str]]) -> dict[str, str]:
        """What comes of reading (bucket, key) with the role of its machine: `allowed`, or AWS's error code."""
        client = self._client_of_its_role("s3")
        return {
            f"{bucket}/{key}": _outcome(partial(client.get_object, Bucket=bucket, Key=key))
            for bucket, key in objects
            if client is not None
        }

    # What is seen of it

    def now(self) -> Document:
        """What the status API says at this moment, settled or not."""
        self.document = self.tenant.api.get(self.id)
        return self.document

    def try_now(self) -> Document | Refused:
        """The same, or the refusal."""
        try:
            return self.now()
        except Refused as refusal:
            return refusal

    def wait_for(self, seconds: float) -> Document:
        """What the status API says when it has settled, or that time is up."""
        self.document = self.tenant.api.waited(self.id, seconds)
        return self.document

    def outcome(self, reason: str) -> Seen:
        """Wait for the boot that is under way, for a check of it that counts whether or not it failed.

        The rest is for `booted` to judge, which ends a scenario whose first boot failed.
        """
        self.settle(reason)
        self._name_step(reason)
        return self.look(reason)

    def booted(self, reason: str, previous: Document | None = None, *, requests: int = 1) -> Seen:
        """Wait for the boot that is under way, or the last one of so many requests, and judge it."""
        seconds = self.settle(reason, requests)
        self._name_step(reason)
        self.tenant.on_boot(f"{reason} {seconds:.1f} s")
        seen = self.look(reason)
        judge = self.tenant.judge
        if self._prospect == "trouble":
            judge_always(judge, seen)
        elif self._prospect == "no machine":
            judge_without_a_boot(judge, seen)
        else:
            judge_ready(judge, seen, previous)
            self.history = self.history.booted(
                seen.expected.template, lambda path: seen.content.get(f"{CONFIGS}/{path}")
            )
            if reason == "provision" and seen.card is None:
                judge.end_if_failed()  # what the scenario does next needs a workspace that worked once
        self.history = self.history.tried()
        return seen

    def _name_step(self, reason: str) -> None:
        boot = self.document.get("boot") or {}
        self.tenant.judge.step = f"{reason} (boot {boot.get('sequence', '?')} of {self.id[:11]}…)"

    def settled(self, reason: str) -> Document:
        """Wait for the boot that is under way, without a look at what it left."""
        seconds = self.settle(reason)
        self.tenant.on_boot(f"{reason} {seconds:.1f} s")
        self.history = self.history.tried()
        return self.document

    def look(self, reason: str) -> Seen:
        """Everything that an outsider can see of it now."""
        with self.tenant.judge.clock.on("assertions"):
            return self._look(reason)

    def _look(self, reason: str) -> Seen:
        cloud, tenant = self.tenant.cloud, self.tenant
        instance = self.document.get("machine")
        volume = self.volume if cloud.hypervisor.exists(str(self.document.get("volume"))) else None
        machine = cloud.hypervisor.find_machine(str(instance)) if instance else None
        return Seen(
            tenant=tenant.name,
            workspace=self.document,
            card=self.card,
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
            own_directories=self._own_directories,
            template_tokens=tenant.template_tokens,
        )

    def expected(self, reason: str) -> Expected:
        """What its history entitles an outsider to expect."""
        template, history = self.template, self.history
        return Expected(
            repository=self.published.name,
            ref=self.ref,
            commit=self.published.commit(self.ref),
            template=template,
            transport=self.transport,
            reason=reason,
            private=self.published.private,
            edits=history.kept(template),
            contests=history.contests(template),
            added=history.added(),
            damaged=history.to_repair(template),
            writable=self._writable,
        )

    def _client_of_its_role(self, service: str) -> Any | None:
        """A client for whoever has the role of its machine; None where the machine has none."""
        aws, instance = self.tenant.cloud.aws, str(self.document["machine"])
        role = self.tenant.cloud.hypervisor.role(instance)
        if role is None:
            return None
        return aws.client_of(aws.assume(role, instance, timedelta(minutes=15)), service)

    def _request(self, verb: str, *asked: Any, **more: Any) -> Document:
        """Ask for it; what was known before."""
        previous = self.document
        self._asked = time.monotonic()
        with self.tenant.judge.clock.on("boots"):
            self.document = getattr(self.tenant.api, verb)(self.id, *asked, **more)
        return previous

    def settle(self, request: str, requests: int = 1) -> float:
        """Seconds since it was asked for. Ends the scenario where it does not settle."""
        judge, within = self.tenant.judge, requests * self.tenant.cloud.implementation.timing.settle
        try:
            with judge.clock.on("boots"):
                self.document = self.tenant.api.settled(self.id, within=within)
        except NotSettled as stuck:
            self.document = self.tenant.api.get(self.id)
            judge.step = request
            judge(rec_1_the_request_settles, request, str(stuck))
            judge.end_if_failed()
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
        answer = httpx.get(
            f"{machine.url()}/.well-known/agent-card.json", timeout=5, verify=trusted(), trust_env=False
        )
    except httpx.HTTPError:
        return None
    return json_object(answer.content) if answer.status_code == httpx.codes.OK else None
