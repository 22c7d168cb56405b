"""One scenario in a disposable cloud: what it makes, what it saw, and its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from harness.oracle.aviary import Aviary
from harness.oracle.boundary import bnd_3_no_secret_on_any_volume, bnd_4_no_secret_in_anything_that_was_said
from harness.oracle.check import ContractBroken, NotApplicable
from harness.oracle.failing import fail_7_delete_leaves_nothing_behind
from harness.oracle.observability import obs_2_the_lifecycle_api_answers_as_specified
from harness.oracle.wire import as_bytes
from harness.templates.model import Template
from harness.world.template_host.misbehaviour import Hold

from .published import Published
from .tenant import Tenant, unique_name

if TYPE_CHECKING:
    from harness.oracle.check import Judge
    from harness.world.aws.calls import Call
    from harness.world.cloud import Cloud

    from .counterexample import Counterexample
    from .workspace import Workspace


log = logging.getLogger(__name__)


class Held(Protocol):
    """Requests that are kept waiting."""

    @property
    def hits(self) -> int: ...

    def await_first(self, timeout: float) -> None: ...

    def release(self) -> None: ...


class FaultDidNotHappen(Exception):
    """The scenario could not run: what it is about never took place."""


class Scenario:
    """Makes tenants and repositories of names that no other scenario has, and takes them away at the end."""

    def __init__(self, cloud: Cloud, judge: Judge) -> None:
        self.cloud = cloud
        self.judge = judge
        self.mark = cloud.mark()
        self._began = self.mark.made
        self.boots: list[str] = []
        """Each boot that was waited for, with its time, in order."""
        self.tenants: list[Tenant] = []
        self.examples = 0
        """How many there were."""
        self.aviary = Aviary(cloud.canary_key)
        """The canaries of its tenants; of several examples, of the latest."""
        self.counterexample: Counterexample | None = None
        """What is kept where it fails, to be tried again by itself; of generated examples, the latest that failed."""
        self.clock = judge.clock
        self._machines: dict[str | None, Workspace] = {}
        self._defects = len(cloud.defects())

    @contextmanager
    def example(self) -> Iterator[Scenario]:
        """One of many examples of the same property, with tenants of its own, which are gone at its end.

        Raises ContractBroken where it broke the contract: what is shown then is of this example alone.
        """
        self.examples += 1
        example = Scenario(self.cloud, self.judge.anew())
        example.aviary = self.aviary.another()
        example.boots, self.mark, self.aviary = self.boots, example.mark, example.aviary
        try:
            yield example
            example.judge.conclude()
            example.purge()
            example.judge.conclude()
        except Exception as broke:
            if not (isinstance(broke, ContractBroken) and example.judge.tolerates(broke)):
                self.counterexample = example.counterexample
                raise
        finally:
            example.discard()
        self.judge.lines += example.judge.lines

    def publish(self, template: Template, *, private: bool = True, name: str | None = None) -> Published:
        """A new repository with the template on its `main` branch; `name` is `owner/repo`, where it matters."""
        with self.clock.on("world"):
            repository = self.cloud.template_host.create_repository(
                name or f"{unique_name('templates')}/agent", private=private
            )
            published = Published(repository, self.clock)
            published.publish(template)
            return published

    def tenant(self, *reads: Published, name: str | None = None) -> Tenant:
        """A new tenant. Its bootstrap secret holds a token that reads these repositories, or none without any."""
        name = name or unique_name("tenant")
        with self.clock.on("world"):
            tenant = Tenant(
                self.cloud, self.judge, name, self.mark,
                aviary=self.aviary, reads=reads, on_boot=self.boots.append, siblings=self.tenants,
            )  # fmt: skip
        self.tenants.append(tenant)
        return tenant

    def needs(self, capability: Literal["snapshots", "migration"]) -> None:
        """Raises NotApplicable where the implementation does not claim it."""
        implementation = self.cloud.implementation
        if not getattr(implementation.capabilities, capability):
            raise NotApplicable(f"{implementation.name} does not claim `{capability}`")

    def needs_transport(self, transport: str) -> None:
        """Raises NotApplicable where the implementation does not claim it."""
        implementation = self.cloud.implementation
        if transport not in implementation.capabilities.transports:
            raise NotApplicable(f"{implementation.name} does not claim the transport `{transport}`")

    def machines_of(self, published: Published) -> Callable[[Call], bool]:
        """Whether a call is made by the machine of a workspace of this template, which may yet be to come."""

        def made(call: Call) -> bool:
            workspace = self.whose(call)
            return workspace is not None and workspace.published is published

        return made

    def whose(self, call: Call) -> Workspace | None:
        """The workspace whose machine made the call, with its role; None where it was somebody else."""
        role, _, instance = call.principal.rpartition("/")
        if not role.startswith("assumed-role/"):
            return None
        if instance not in self._machines:
            for tenant in self.tenants:
                machines = {str(document["id"]): document["machine"] for document in tenant.api.list()}
                self._machines |= {machines.get(each.id): each for each in tenant.workspaces}
        return self._machines.get(instance)

    @contextmanager
    def fetches_held(self, published: Published, transport: str) -> Iterator[Held]:
        """Keep every machine of this template waiting for what it fetches, from wherever the transport has it."""
        if transport == "object":
            fetches = self.machines_of(published)
            with self.cloud.aws.faults.hold("s3:GetObject", times=None, only=fetches) as fault:
                yield fault
        else:
            hold = Hold()
            with self.cloud.template_host.intercept(published.name, hold):
                yield hold

    def objects_read_by(self, workspace: Workspace) -> set[tuple[str, str]]:
        """(bucket, key) of what its machines read of the object store."""
        read = self.cloud.aws.calls.find(
            "s3:GetObject", where=lambda call: self.whose(call) is workspace, since=self.mark.calls
        )
        return {(str(call.parameters["Bucket"]), str(call.parameters["Key"])) for call in read}

    def asked_for(self, published: Published) -> list[datetime]:
        """When anything of this template was asked for, of the template host or by a machine of the object store."""
        requests = self.cloud.template_host.requests.of(published.name)
        fetches = self.cloud.aws.calls.find(
            "s3:GetObject", where=self.machines_of(published), since=self.mark.calls
        )
        return sorted([*(each.received_at for each in requests), *(each.at for each in fetches)])

    def proven(self, fault: str, hits: int) -> None:
        """A fault that did not happen proves nothing. Raises FaultDidNotHappen."""
        if hits == 0:
            raise FaultDidNotHappen(f"it was switched on and never happened: {fault}")

    def consoles(self) -> dict[str, bytes]:
        """What each machine of the scenario wrote to its console, in the order of their launch."""
        hypervisor = self.cloud.hypervisor
        return {name: hypervisor.console(name) for name in hypervisor.launched_since(self.mark.made)}

    def seconds(self) -> dict[str, float]:
        """Where its time went. Of its boots, the part that this harness took to start their machines is apart."""
        spent: dict[str, float] = {part: round(seconds, 3) for part, seconds in self.clock.spent.items()}
        starts = self.cloud.hypervisor.start_seconds_since(self._began)
        return {**spent, "machine starts": round(starts, 3)}

    def harness_defects(self) -> list[str]:
        """What went wrong in the harness since the scenario began."""
        return self.cloud.defects()[self._defects :]

    def purge(self) -> None:
        """Delete every workspace and tenant as a user would, and judge that nothing is left of them.

        Nor may any secret be in what there was until then, or any answer be other than lifecycle.yaml has it: not all
        are before a boot that is judged.
        """
        with self.clock.on("teardown"):
            self.judge.step = "what was answered until the end"
            with self.judge.universally():
                violations = self.cloud.lifecycle.violations(self.mark.violations)
                self.judge(obs_2_the_lifecycle_api_answers_as_specified, violations)
            said = self._search_what_is_stored()
            self._delete_all()
            if self.cloud.hypervisor.launched_since(self.mark.made):
                with self.judge.universally():
                    self.judge(fail_7_delete_leaves_nothing_behind, **self._leftovers())
            self._search_what_was_said(said)

    def _search_what_is_stored(self) -> dict[str, bytes]:
        """Judge every volume and snapshot; what the status API says of every workspace."""
        hypervisor, since = self.cloud.hypervisor, self.mark.made
        self.judge.step = "what is stored at the end"
        volumes = {name: hypervisor.volume(name) for name in hypervisor.volumes_since(since)}
        volumes |= {name: hypervisor.snapshot(name) for name in hypervisor.snapshots_since(since)}
        with self.judge.universally():
            self.judge(bnd_3_no_secret_on_any_volume, self.aviary.search, volumes)
        return {
            f"the status of {document['id']}": as_bytes(document)
            for tenant in self.tenants
            for document in tenant.api.list()
        }

    def _search_what_was_said(self, statuses: Mapping[str, bytes]) -> None:
        """Judge what every machine and the provisioner said, and all that was sent, until everything was deleted."""
        cloud, hypervisor = self.cloud, self.cloud.hypervisor
        said = dict(statuses)
        for name, console in self.consoles().items():
            said[f"the console of {name}"] = console
            said[f"the user-data of {name}"] = hypervisor.user_data(name)
        said["the log of the provisioner"] = cloud.provisioner_log_since(self.mark)
        self.judge.step = "what was said until the end"
        with self.judge.universally():
            self.judge(
                bnd_4_no_secret_in_anything_that_was_said,
                self.aviary.search,
                said,
                cloud.template_requests_since(self.mark),
                cloud.calls_since(self.mark),
            )

    def discard(self) -> None:
        """Take away what is still there: by asking, or the platform would heal it; then by force."""
        try:
            self._delete_all()
        except Exception:
            log.exception(
                "what %s made could not be deleted by asking", [tenant.name for tenant in self.tenants]
            )
        left = self._leftovers()
        self.cloud.hypervisor.discard(left["machines"], left["volumes"], left["snapshots"])
        self.cloud.aws.forget(self.cloud.hypervisor.gone_since(self.mark.made))

    def _delete_all(self) -> None:
        while self.tenants:
            tenant = self.tenants[-1]
            self.judge.step = f"purge of {tenant.name}"
            tenant.purge()
            tenant.leave()

    def _leftovers(self) -> Mapping[str, Sequence[str]]:
        """What the implementation made since the scenario began and AWS still has."""
        hypervisor = self.cloud.hypervisor
        return {
            "machines": hypervisor.machines_since(self.mark.made),
            "volumes": hypervisor.volumes_since(self.mark.made),
            "snapshots": hypervisor.snapshots_since(self.mark.made),
            "roles": self.cloud.roles_since(self.mark),
        }
