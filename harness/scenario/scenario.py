"""One scenario in a disposable cloud: what it makes, what it saw, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.contract.lifecycle import Refused
from harness.oracle.failing import fail_7_delete_leaves_nothing_behind
from harness.templates.model import Template

from .published import Published
from .tenant import Tenant, unique_name

if TYPE_CHECKING:
    from harness.oracle.check import Judge
    from harness.world.cloud import Cloud


log = logging.getLogger(__name__)


class FaultDidNotHappen(Exception):
    """The scenario could not run: what it is about never took place."""


class Scenario:
    """Makes tenants and repositories of names that no other scenario has, and takes them away at the end."""

    def __init__(self, cloud: Cloud, judge: Judge) -> None:
        self.cloud = cloud
        self.judge = judge
        self.mark = cloud.mark()
        self.boots: list[str] = []
        """Each boot that was waited for, with its time, in order."""
        self.tenants: list[Tenant] = []
        self.seconds: dict[str, float] = {}
        """Where its time went, apart from its boots."""
        self._defects = len(cloud.defects())

    def publish(self, template: Template, *, private: bool = True) -> Published:
        """A new repository with the template on its `main` branch."""
        repository = self.cloud.template_host.create_repository(
            f"{unique_name('templates')}/agent", private=private
        )
        published = Published(repository)
        published.publish(template)
        return published

    def tenant(self, *reads: Published) -> Tenant:
        """A new tenant. Its bootstrap secret holds a token that reads these repositories, or none without any."""
        name = unique_name("tenant")
        tenant = Tenant(self.cloud, self.judge, name, self.mark, reads=reads, on_boot=self.boots.append)
        self.tenants.append(tenant)
        return tenant

    def proven(self, fault: str, hits: int) -> None:
        """A fault that did not happen proves nothing. Raises FaultDidNotHappen."""
        if hits == 0:
            raise FaultDidNotHappen(f"it was switched on and never happened: {fault}")

    def consoles(self) -> dict[str, bytes]:
        """What each machine of the scenario wrote to its console, in the order of their launch."""
        hypervisor = self.cloud.hypervisor
        return {name: hypervisor.console(name) for name in hypervisor.launched_since(self.mark.made)}

    def harness_defects(self) -> list[str]:
        """What went wrong in the harness since the scenario began."""
        return self.cloud.defects()[self._defects :]

    def purge(self) -> None:
        """Delete every workspace and tenant as a user would, and judge that nothing is left of them."""
        started = time.monotonic()
        self._delete_all()
        if self.cloud.hypervisor.launched_since(self.mark.made):
            self.judge(fail_7_delete_leaves_nothing_behind, **self._leftovers())
        self.seconds["teardown"] = round(time.monotonic() - started, 3)

    def discard(self) -> None:
        """Take away what is still there: by asking, or the platform would heal it; then by force."""
        try:
            self._delete_all()
        except Exception:
            log.exception(
                "what %s made could not be deleted by asking", [tenant.name for tenant in self.tenants]
            )
        left = self._leftovers()
        self.cloud.hypervisor.discard(left["machines"], left["volumes"])

    def _delete_all(self) -> None:
        cloud, settle = self.cloud, self.cloud.implementation.timing.settle
        while self.tenants:
            tenant = self.tenants[-1]
            self.judge.step = f"purge of {tenant.name}"
            known = [str(document["id"]) for document in tenant.api.list() if document["status"] != "deleted"]
            for workspace in known:
                tenant.api.delete(workspace, purge=True)
            for workspace in known:
                try:
                    tenant.api.settled(workspace, within=settle)
                except Refused as gone:
                    if gone.status not in {404, 410}:
                        raise
            cloud.lifecycle.delete_tenant(tenant.name)
            self.tenants.pop()

    def _leftovers(self) -> Mapping[str, Sequence[str]]:
        """What the implementation made since the scenario began and AWS still has."""
        hypervisor = self.cloud.hypervisor
        return {
            "machines": hypervisor.machines_since(self.mark.made),
            "volumes": hypervisor.volumes_since(self.mark.made),
            "roles": self.cloud.roles_since(self.mark),
        }
