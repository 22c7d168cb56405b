"""Workspaces of the design before this one, whose config rode in a secret of its own: adopt them, then sweep (MIG).

Their secrets are read for the machines that need them, and deleted once they are needed no more. Nothing here ever
writes one (MIG-2).
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from sqlalchemy import insert, select

from .cloud import error_code
from .problems import Problem
from .store import (
    adoptions,
    delivery_verified,
    migrating,
    tenants,
    workspace_row,
    workspaces,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ..identity import Identity
    from .cloud import Cloud
    from .machines import Machines
    from .store import Store

log = logging.getLogger(__name__)

RECOVERY_DAYS = 30
"""For which AWS can restore a swept secret: the longest there is, since a rollback is rarely decided at once."""

_PREFIX = "molecule/workspace/"
_CONFIG_SECRET = re.compile(rf"{_PREFIX}(?P<workspace>[^/]+)/config")
_GONE = ("ResourceNotFoundException", "InvalidRequestException")
"""The second is what AWS answers for a secret that is scheduled for deletion."""


def config_secret_name(workspace: str) -> str:
    return f"{_PREFIX}{workspace}/config"


class Migration:
    def __init__(self, store: Store, cloud: Cloud, machines: Machines) -> None:
        self._store = store
        self._cloud = cloud
        self._machines = machines

    def adopt(
        self, tenant: str, workspace: str, identity: Identity, transport: str, volume: str | None
    ) -> None:
        """Record the workspace as stopped, with its volume. Raises Problem; repeated with the same, does nothing."""
        wanted = (str(identity), transport, volume)
        with self._store.reading() as connection:
            if _is_adopted(connection, tenant, workspace, wanted):
                return
        if volume is not None:
            self._require_free(volume, workspace)
        now = time()
        with self._store.writing() as connection:
            if _is_adopted(connection, tenant, workspace, wanted):
                return
            holder = select(workspaces.c.id).where(workspaces.c.volume == volume)
            if volume is not None and (taken := connection.execute(holder).scalar()):
                raise _volume_taken(volume, taken)
            connection.execute(
                insert(workspaces).values(
                    id=workspace,
                    tenant=tenant,
                    status="stopped",
                    repository=identity.repository,
                    ref=identity.ref,
                    transport=transport,
                    volume=volume,
                    created_at=now,
                    updated_at=now,
                )
            )
            connection.execute(
                insert(adoptions).values(
                    workspace=workspace,
                    template=str(identity),
                    transport=transport,
                    volume=volume,
                    adopted_at=now,
                )
            )
        if volume is not None:
            self._machines.claim_volume(volume, workspace, tenant)
        log.info("workspace %s: adopted for tenant %s", workspace, tenant)

    def legacy_config(self, workspace: str) -> str | None:
        """What the workspace's config secret holds; None without one, and once the asset channel is verified."""
        with self._store.reading() as connection:
            if not migrating(connection, workspace):
                return None
        try:
            secret = self._cloud.secrets.get_secret_value(SecretId=config_secret_name(workspace))
        except ClientError as error:
            if error_code(error) in _GONE:
                return None
            raise
        return secret.get("SecretString", "")

    def sweep(self, *, dry_run: bool) -> dict[str, Any]:
        """Delete each config secret that is needed no more; with `dry_run`, only say which (MIG-3)."""
        swept, kept = [], []
        # Listed to the end before anything is deleted, so that no page shifts under the listing.
        for name, (workspace, arn) in sorted(self._config_secrets().items()):
            if reason := self._why_needed(workspace):
                kept.append({"secret": name, "reason": reason})
            elif dry_run or self._delete(arn):
                swept.append(name)
        log.info(
            "%s %d config secrets, kept %d", "would sweep" if dry_run else "swept", len(swept), len(kept)
        )
        return {"dry_run": dry_run, "swept": swept, "kept": kept}

    def _require_free(self, volume: str, workspace: str) -> None:
        try:
            owner = self._machines.owner_of(volume)
        except LookupError:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "volume-unknown",
                f"EC2 has no volume {volume!r}; name the workspace's own, or null for a new one",
            ) from None
        if owner not in {None, workspace}:
            raise _volume_taken(volume, owner)

    def _config_secrets(self) -> dict[str, tuple[str, str]]:
        """Workspace and ARN of each config secret, by its name; without those that are deleted already."""
        found = {}
        pages = self._cloud.secrets.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [_PREFIX]}], PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            for secret in page["SecretList"]:
                if match := _CONFIG_SECRET.fullmatch(secret["Name"]):
                    found[secret["Name"]] = (match["workspace"], secret["ARN"])
        return found

    def _why_needed(self, workspace: str) -> str | None:
        with self._store.reading() as connection:
            if workspace_row(connection, workspace) is None:
                return "workspace-unknown: no workspace of that id is adopted here"
            if not delivery_verified(connection, workspace):
                return "delivery-unverified: no boot of the workspace was accepted as ready yet; start it"
        return None

    def _delete(self, arn: str) -> bool:
        """False where somebody else has deleted it meanwhile."""
        try:
            self._cloud.secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=RECOVERY_DAYS)
        except ClientError as error:
            if error_code(error) in _GONE:
                return False
            raise
        return True


def _is_adopted(
    connection: Connection, tenant: str, workspace: str, wanted: tuple[str, str, str | None]
) -> bool:
    """Whether this very adoption was made before. Raises Problem where it can never be made."""
    active = select(tenants.c.id).where(tenants.c.id == tenant, tenants.c.state == "active")
    if connection.execute(active.with_for_update()).first() is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, "tenant-unknown", f"there is no tenant {tenant!r}; put the tenant first"
        )
    row = workspace_row(connection, workspace, for_update=True)
    if row is None:
        return False
    adopted = connection.execute(select(adoptions).where(adoptions.c.workspace == workspace)).first()
    before = (adopted.template, adopted.transport, adopted.volume) if adopted else None
    if row.tenant != tenant or row.status == "deleted" or before != wanted:
        raise Problem(
            HTTPStatus.CONFLICT,
            "workspace-exists",
            f"there is a workspace {workspace} already, or was one, that was not adopted as asked for now",
        )
    return True


def _volume_taken(volume: str, owner: str | None) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, "volume-taken", f"volume {volume} is the one of workspace {owner} already"
    )
