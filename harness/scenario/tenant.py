"""A tenant of a scenario: its secrets are canaries, and its workspaces are watched."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from harness.contract.lifecycle import Refused
from harness.oracle.canaries import CREDENTIAL_FIELD, Canary, bootstrap_canaries, credential_canary
from harness.oracle.check import Judge
from harness.oracle.search import Search
from harness.oracle.seen import Document

from .published import Nowhere, Published
from .workspace import Workspace

if TYPE_CHECKING:
    from harness.world.cloud import Cloud, Mark


class Tenant:
    """Created in the platform with a bootstrap secret of canaries."""

    def __init__(
        self,
        cloud: Cloud,
        judge: Judge,
        name: str,
        mark: Mark,
        *,
        reads: Sequence[Published],
        on_boot: Callable[[str], None],
    ) -> None:
        """Its template token reads the repositories in `reads`; without any it has no token."""
        self.cloud = cloud
        self.judge = judge
        self.name = name
        self.mark = mark
        self.on_boot = on_boot
        self.canaries: dict[str, Canary] = bootstrap_canaries(cloud.canary_key, name)
        if reads:
            canary = self.canaries[CREDENTIAL_FIELD] = credential_canary(cloud.canary_key, name)
            cloud.template_host.issue_token(*(published.name for published in reads), token=canary.value)
        judge.hide(self.canaries.values())
        issued = cloud.lifecycle.put_tenant(
            name, {field: canary.value for field, canary in self.canaries.items()}
        )
        if issued is None:
            raise AssertionError(f"the platform gave no token for the new tenant {name}")
        self.api = cloud.lifecycle.tenancy(issued)
        self.workspaces: list[Workspace] = []

    @cached_property
    def search(self) -> Search:
        return Search(self.canaries.values())

    @property
    def secret_name(self) -> str:
        return f"molecule/tenant/{self.name}/bootstrap"

    def create(
        self, published: Published | Nowhere, *, ref: str = "main", transport: str | None = None
    ) -> Workspace:
        """Ask for a workspace, and do not wait for it."""
        document = self.api.create(f"{published.name}@{ref}", transport=transport)
        workspace = Workspace(self, published, ref, transport, document)
        self.workspaces.append(workspace)
        return workspace

    def provision(
        self, published: Published, *, ref: str = "main", transport: str | None = None
    ) -> Workspace:
        """Create a workspace, wait for its first boot, and hold it against all that must be true of it."""
        workspace = self.create(published, ref=ref, transport=transport)
        workspace.booted("provision")
        return workspace

    def try_to_create(self, identity: str) -> Refused | Document:
        """The refusal, or the document of the workspace where there was none."""
        try:
            return self.api.create(identity)
        except Refused as refusal:
            return refusal


def unique_name(hint: str) -> str:
    """A tenant id or repository name that no other test has, in any worker."""
    return f"{hint}-{secrets.token_hex(4)}"
