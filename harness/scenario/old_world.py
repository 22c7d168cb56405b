"""Workspaces as the design before this one left them: a config secret, perhaps a volume, and no channel for assets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.oracle.migration import SecretState
from harness.oracle.seen import CONFIGS, Expected
from harness.templates.model import CONFIG

from .workspace import Workspace

if TYPE_CHECKING:
    from harness.runtime.base import Volume

    from .published import Published
    from .scenario import Scenario
    from .tenant import Tenant


class OldWorkspace:
    """One workspace of the old platform, with what it left behind."""

    def __init__(self, world: OldWorld, workspace: str, volume: str | None) -> None:
        self._world = world
        self.id = workspace
        self.volume_id = volume

    @property
    def secret_name(self) -> str:
        return f"molecule/workspace/{self.id}/config"

    @property
    def volume(self) -> Volume:
        return self._world.scenario.cloud.hypervisor.volume(str(self.volume_id))

    def adopted_by(
        self, tenant: Tenant, published: Published, *, ref: str = "main", transport: str | None = None
    ) -> AdoptedWorkspace:
        """As the operator asks for it. Raises Refused."""
        document = tenant.cloud.lifecycle.adopt(
            tenant.name, self.id, f"{published.name}@{ref}", transport=transport, volume=self.volume_id
        )
        workspace = AdoptedWorkspace(tenant, published, ref, transport, document)
        tenant.workspaces.append(workspace)
        return workspace


class AdoptedWorkspace(Workspace):
    """Its `config.yaml` is the user's from the first good boot on, where `config_is_the_users` says so."""

    config_is_the_users = False

    def expected(self, reason: str) -> Expected:
        """What the first boot makes of the old config is for MIG-1 to judge; from then on, no boot may change it."""
        history = self.history
        if self.config_is_the_users and CONFIG not in history.edits and self.document["status"] == "online":
            with suppress(FileNotFoundError):
                config = self.volume.read(f"{CONFIGS}/{CONFIG}")
                self.history = replace(history, base=self.template).edited(CONFIG, config)
        return super().expected(reason)


class OldWorld:
    """Makes what the old platform would have made, with the harness's own hands, and takes it away again."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._secrets: list[str] = []

    def workspace(
        self,
        *,
        config: bytes | None = None,
        files: Mapping[str, bytes] | None = None,
        workspace: str | None = None,
    ) -> OldWorkspace:
        """`config` is what its secret holds (None: it has none), `files` what is on its volume (None: it has none)."""
        old = OldWorkspace(
            self, workspace or new_workspace_id(), None if files is None else self._volume(files)
        )
        if config is not None:
            self.secret(old.secret_name, config.decode())
        return old

    def secret(self, name: str, value: str) -> None:
        self._client("secretsmanager").create_secret(Name=name, SecretString=value)
        self._secrets.append(name)

    def secrets(self) -> dict[str, SecretState]:
        """Every secret that it wrote and that AWS still has, as it is now."""
        return {name: state for name in self._secrets if (state := secret_state(self.scenario, name))}

    def close(self) -> None:
        """Raises ClientError where a secret does not go."""
        client = self._client("secretsmanager")
        while self._secrets:
            client.delete_secret(SecretId=self._secrets[-1], ForceDeleteWithoutRecovery=True)
            self._secrets.pop()

    def _volume(self, files: Mapping[str, bytes]) -> str:
        cloud = self.scenario.cloud
        made = self._client("ec2").create_volume(AvailabilityZone=f"{cloud.aws.region}a", Size=8)
        name = str(made["VolumeId"])
        volume = cloud.hypervisor.volume(name)
        for path, content in files.items():
            volume.write(path, content)
        return name

    def _client(self, service: str) -> Any:
        return self.scenario.cloud.aws.client(service)


@contextmanager
def old_world(scenario: Scenario) -> Iterator[OldWorld]:
    """Raises NotApplicable where the implementation does not claim migration."""
    scenario.needs("migration")
    world = OldWorld(scenario)
    try:
        yield world
    finally:
        world.close()


def new_workspace_id() -> str:
    """One that no workspace has."""
    return f"ws-{secrets.token_hex(16)}"


def secret_state(scenario: Scenario, name: str) -> SecretState | None:
    """None where AWS has no such secret. The value is empty while it is in deletion, since nobody can read it then."""
    client = scenario.cloud.aws.client("secretsmanager")
    try:
        described = client.describe_secret(SecretId=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    in_deletion = "DeletedDate" in described
    return SecretState(
        value="" if in_deletion else str(client.get_secret_value(SecretId=name)["SecretString"]),
        versions={
            version: tuple(stages) for version, stages in described.get("VersionIdsToStages", {}).items()
        },
        in_deletion=in_deletion,
    )
