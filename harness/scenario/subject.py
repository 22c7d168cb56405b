"""A tenant with one workspace and one template of its own, whose AWS calls can be told from all others."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.contract.lifecycle import NotSettled, Refused
from harness.oracle.failing import Aftermath

from .workspace import NOTICE, Workspace

if TYPE_CHECKING:
    from harness.oracle.seen import Document
    from harness.templates.model import Template
    from harness.world.aws.calls import Call
    from harness.world.cloud import Mark

    from .scenario import Scenario


class Subject:
    """What is known of its workspace comes from the latest answer of the status API, as ever."""

    def __init__(self, scenario: Scenario, template: Template) -> None:
        self.published = scenario.publish(template)
        self.tenant = scenario.tenant(self.published)

    @property
    def workspace(self) -> Workspace:
        return self.tenant.workspaces[-1]

    @property
    def document(self) -> Document:
        """Empty before it was created."""
        return self.workspace.document if self.tenant.workspaces else {}

    def create(self) -> Workspace:
        """Ask for it, and do not wait for it."""
        return self.tenant.create(self.published)

    def concerned_by(self, call: Call) -> bool:
        """Whether an AWS call names the tenant or the workspace, or anything that was made for them."""
        names = (self.tenant.name, *(workspace.id for workspace in self.tenant.workspaces))
        return self.tenant.cloud.concerns(call, names)

    def machines(self) -> list[str]:
        """Its instances that are not terminated."""
        return self._made(self.tenant.cloud.hypervisor.machines_since(self.tenant.mark.made))

    def launches_since(self, mark: Mark) -> int:
        """How many machines were launched for it since then."""
        return len(self._made(self.tenant.cloud.hypervisor.launched_since(mark.made)))

    def volumes(self) -> list[str]:
        """Its volumes that are not deleted."""
        return self._made(self.tenant.cloud.hypervisor.volumes_since(self.tenant.mark.made))

    def aftermath(self) -> Aftermath:
        """How it is once it has settled; what is left behind has until then to be taken away, too."""
        cloud, api, workspace, trouble = self.tenant.cloud, self.tenant.api, self.workspace, None
        within = cloud.implementation.timing.settle
        deadline = time.monotonic() + within
        with self.tenant.judge.clock.on("boots"):
            try:
                workspace.document = api.settled(workspace.id, within=within)
            except NotSettled as stuck:
                trouble = str(stuck)
                workspace.now()
            except Refused:
                return Aftermath(None, None, self.machines(), self.volumes(), answers=False)
            named = {workspace.document.get("machine"), workspace.document.get("volume")}
            while {*self.machines(), *self.volumes()} - named and time.monotonic() < deadline:
                time.sleep(NOTICE)  # when and how it is taken away is the platform's own affair
        return Aftermath(
            workspace.document,
            trouble,
            self.machines(),
            self.volumes(),
            answers=workspace.card is not None,
        )

    def _made(self, things: Iterable[str]) -> list[str]:
        makers = {thing: self.tenant.cloud.hypervisor.maker(thing) for thing in things}
        return [thing for thing, maker in makers.items() if maker is not None and self.concerned_by(maker)]
