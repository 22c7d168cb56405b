"""A tenant of a scenario: its secrets are canaries, and its workspaces are watched."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from harness.contract.lifecycle import Refused, refusal_of
from harness.oracle.canaries import CREDENTIAL_FIELD, Brood, Canary
from harness.oracle.check import Judge
from harness.oracle.seen import Document

from .published import Nowhere, Published
from .workspace import Workspace

if TYPE_CHECKING:
    from harness.oracle.aviary import Aviary
    from harness.oracle.search import Search
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
        aviary: Aviary,
        reads: Sequence[Published],
        on_boot: Callable[[str], None],
        siblings: list[Tenant],
    ) -> None:
        """Its template token reads the repositories in `reads`; without any it has no token.

        `siblings` are the tenants of the same scenario, those that are yet to come included.
        """
        self.cloud = cloud
        self.judge = judge
        self.name = name
        self.mark = mark
        self.on_boot = on_boot
        self.siblings = siblings
        self.canaries: dict[str, Canary] = {}
        """Its secrets now, by field."""
        self._reads = [published.name for published in reads]
        self._aviary = aviary
        self._generation = 0
        issued = self._put_secrets()
        if issued is None:
            raise AssertionError(f"the platform gave no token for the new tenant {name}")
        self.token = issued
        """By which the lifecycle API knows it."""
        self.api = cloud.lifecycle.tenancy(issued)
        self.workspaces: list[Workspace] = []

    def _put_secrets(self) -> str | None:
        """Make canaries of the present generation its secrets; the bearer token where the tenant is new."""
        self.canaries = self._aviary.hatch(Brood(self.name, self._generation))
        if self._reads:
            token = self.canaries[CREDENTIAL_FIELD]
            self.cloud.template_host.issue_token(*self._reads, token=token.value)
        else:
            del self.canaries[CREDENTIAL_FIELD]
        self.judge.hide(self.canaries.values())
        fields = {field: canary.value for field, canary in self.canaries.items()}
        return self.cloud.lifecycle.put_tenant(self.name, fields)

    def rotate_secrets(self) -> None:
        """Give it others; the former template token is revoked. The former ones, too, may surface nowhere."""
        former = self.canaries.get(CREDENTIAL_FIELD)
        self._generation += 1
        self._put_secrets()
        if former is not None:
            self.cloud.template_host.revoke(former.value)

    def rotate_token(self) -> None:
        """Give it another template token, and leave its other secrets to the platform; the former one is revoked."""
        former = self.canaries[CREDENTIAL_FIELD]
        self._generation += 1
        token = self._aviary.hatch(Brood(self.name, self._generation))[CREDENTIAL_FIELD]
        self.canaries[CREDENTIAL_FIELD] = token
        self.cloud.template_host.issue_token(*self._reads, token=token.value)
        self.judge.hide([token])
        self.cloud.lifecycle.put_tenant(self.name, {CREDENTIAL_FIELD: token.value})
        self.cloud.template_host.revoke(former.value)

    @property
    def template_tokens(self) -> Collection[Canary]:
        """Every template token that any tenant of the scenario ever had."""
        return self._aviary.template_tokens

    @property
    def search(self) -> Search:
        """For every secret that any tenant of the scenario ever had."""
        return self._aviary.search

    @property
    def secret_name(self) -> str:
        return f"molecule/tenant/{self.name}/bootstrap"

    @contextmanager
    def spoilt_secret(self, spoil: Callable[[str], str | None]) -> Iterator[None]:
        """Behind the platform's back, its bootstrap secret has another value in this block; with None, it is gone."""
        store, name = self.cloud.aws.client("secretsmanager"), self.secret_name
        value = str(store.get_secret_value(SecretId=name)["SecretString"])
        spoilt = spoil(value)
        if spoilt is None:
            store.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        else:
            store.put_secret_value(SecretId=name, SecretString=spoilt)
        try:
            yield
        finally:
            if spoilt is None:
                store.create_secret(Name=name, SecretString=value)
            else:
                store.put_secret_value(SecretId=name, SecretString=value)

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

    def refusals(self, workspace: str) -> dict[str, Refused | None]:
        """What comes of each verb on a workspace, be it whose it may; None where it was done."""
        verbs: dict[str, Callable[[str], object]] = {
            "get": self.api.get,
            "restart": self.api.restart,
            "stop": self.api.stop,
            "start": self.api.start,
            "delete": self.api.delete,
        }
        if self.cloud.implementation.capabilities.snapshots:
            verbs["snapshot"] = self.api.snapshot
            verbs["restore"] = lambda workspace: self.api.restore(workspace, None)
        return {verb: refusal_of(partial(act, workspace)) for verb, act in verbs.items()}

    def purge(self) -> None:
        """Delete its workspaces with all that they have, and wait until they are gone."""
        known = [str(document["id"]) for document in self.api.list() if document["status"] != "deleted"]
        for workspace in known:
            self.api.delete(workspace, purge=True)
        for workspace in known:
            try:
                self.api.settled(workspace, within=self.cloud.implementation.timing.settle)
            except Refused as gone:
                if gone.status not in {404, 410}:
                    raise

    def leave(self) -> None:
        """Delete the tenant, which has to have no workspaces any more, while others stay."""
        self.cloud.lifecycle.delete_tenant(self.name)
        self.siblings.remove(self)

    def try_to_create(self, identity: str) -> Refused | Document:
        """The refusal, or the document of the workspace where there was none."""
        try:
            return self.api.create(identity)
        except Refused as refusal:
            return refusal


def unique_name(hint: str) -> str:
    """A tenant id or repository name that no other test has, in any worker."""
    return f"{hint}-{secrets.token_hex(4)}"
