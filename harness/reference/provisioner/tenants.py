"""Tenants: their token, their machines' role, and the one secret that this program ever writes (BND-1)."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Annotated

from botocore.exceptions import ClientError
from pydantic import StringConstraints
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..json_text import parse_json
from .cloud import error_code
from .problems import Problem
from .report import Strict
from .store import tenants, workspace_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .cloud import Cloud
    from .store import Store

log = logging.getLogger(__name__)

TEMPLATE_TOKEN = "template_repo_token"  # noqa: S105 - the field's name
_Value = Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class Bootstrap(Strict):
    """The fields of the bootstrap secret; of a new tenant's, those not given are generated."""

    db_password: _Value | None = None
    admin_token: _Value | None = None
    secrets_encryption_key: _Value | None = None
    tunnel_token: _Value | None = None
    ghcr_token: _Value | None = None
    cp_admin_api_token: _Value | None = None
    shared_secret: _Value | None = None
    display_session_signing_secret: _Value | None = None
    template_repo_token: Annotated[str, StringConstraints(max_length=8192)] | None = None
    """Empty where all templates are public."""

    def __repr__(self) -> str:
        return "Bootstrap(…)"


def secret_name(tenant: str) -> str:
    return f"molecule/tenant/{tenant}/bootstrap"


def role_name(tenant: str) -> str:
    return f"molecule-tenant-{tenant}"


def prefix_of(tenant: str) -> str:
    """Of the keys of the tenant's artifacts in the bucket, and of nobody else's."""
    return f"tenants/{tenant}/"


class Tenants:
    def __init__(self, store: Store, cloud: Cloud, bucket: str | None) -> None:
        """`bucket` is where templates are published; None where they are not."""
        self._store = store
        self._cloud = cloud
        self._bucket = bucket

    def put(self, tenant: str, bootstrap: Bootstrap) -> str | None:
        """Make the tenant and give its token, or update the given fields of the one there is and give None.

        Safe to repeat after a failure in the middle: the token is made last.
        """
        self._reserve(tenant)
        self._write_secret(tenant, bootstrap)
        self._make_role(tenant)
        token = secrets.token_urlsafe(32)
        with self._store.writing() as connection:
            made = connection.execute(
                update(tenants)
                .where(tenants.c.id == tenant, tenants.c.state == "creating")
                .values(state="active", token_hash=_hash(token))
            )
            return token if made.rowcount else None

    def names(self) -> list[str]:
        with self._store.reading() as connection:
            return list(connection.execute(select(tenants.c.id).order_by(tenants.c.id)).scalars())

    def of_token(self, token: str) -> str | None:
        """The tenant that the token belongs to. Tokens are random, so that comparing their hashes tells nothing."""
        with self._store.reading() as connection:
            return connection.execute(
                select(tenants.c.id).where(tenants.c.token_hash == _hash(token), tenants.c.state == "active")
            ).scalar()

    def delete(self, tenant: str) -> None:
        """Safe to repeat after a failure in the middle: the record goes last."""
        with self._store.writing() as connection:
            marked = connection.execute(
                update(tenants).where(tenants.c.id == tenant).values(state="deleting")
            )
            if not marked.rowcount:
                raise Problem(HTTPStatus.NOT_FOUND, "tenant-unknown", f"there is no tenant {tenant!r}")
            left = workspace_rows(connection, tenant)
            if left:
                # Raising rolls the mark back.
                raise Problem(
                    HTTPStatus.CONFLICT,
                    "tenant-has-workspaces",
                    f"tenant {tenant!r} still has {len(left)} workspaces; delete them first, such as {left[0].id}",
                )
        self._remove_role(tenant)
        self._remove_artifacts(tenant)
        self._tolerating(
            lambda: self._cloud.secrets.delete_secret(
                SecretId=secret_name(tenant), ForceDeleteWithoutRecovery=True
            ),
            "ResourceNotFoundException",
        )
        with self._store.writing() as connection:
            connection.execute(delete(tenants).where(tenants.c.id == tenant))

    def secret_values(self, tenant: str) -> list[str]:
        """What must be blanked in text that comes from this tenant's machines. Raises ClientError."""
        return [value for value in self.bootstrap(tenant).values() if value]

    def _reserve(self, tenant: str) -> None:
        try:
            with self._store.writing() as connection:
                connection.execute(insert(tenants).values(id=tenant, state="creating", created_at=time()))
        except IntegrityError:
            with self._store.reading() as connection:
                state = connection.execute(select(tenants.c.state).where(tenants.c.id == tenant)).scalar()
            if state == "deleting":
                raise Problem(
                    HTTPStatus.CONFLICT,
                    "tenant-deleting",
                    f"the deletion of tenant {tenant!r} has not ended; repeat the DELETE first",
                ) from None

    def _write_secret(self, tenant: str, bootstrap: Bootstrap) -> None:
        given = bootstrap.model_dump(exclude_none=True)
        name = secret_name(tenant)
        generated = {field: secrets.token_urlsafe(24) for field in Bootstrap.model_fields}
        generated[TEMPLATE_TOKEN] = ""
        try:
            self._cloud.secrets.create_secret(Name=name, SecretString=json.dumps(generated | given))
        except ClientError as error:
            if error_code(error) == "InvalidRequestException":
                # A former tenant's secret, deleted by somebody else and not yet beyond its recovery window.
                self._cloud.secrets.restore_secret(SecretId=name)
            elif error_code(error) != "ResourceExistsException":
                raise
            kept = self.bootstrap(tenant)
            whole = generated | kept | given
            if whole != kept:
                self._cloud.secrets.put_secret_value(SecretId=name, SecretString=json.dumps(whole))

    def bootstrap(self, tenant: str) -> dict[str, str]:
        """The bootstrap secret's fields; empty if it is not a JSON object of strings, which is mended by the next
        write. Raises ClientError."""
        text = self._cloud.secrets.get_secret_value(SecretId=secret_name(tenant)).get("SecretString", "")
        try:
            loaded = parse_json(text)
        except ValueError:
            return {}
        if not isinstance(loaded, dict):
            return {}
        return {key: value for key, value in loaded.items() if isinstance(value, str)}

    def _make_role(self, tenant: str) -> None:
        iam, role = self._cloud.iam, role_name(tenant)
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        # The six characters are what Secrets Manager appends to a name, so that no longer name matches (BND-8).
        read = [
            {
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": f"arn:aws:secretsmanager:*:*:secret:{secret_name(tenant)}-??????",
            }
        ]
        if self._bucket is not None:
            artifacts = f"arn:aws:s3:::{self._bucket}/{prefix_of(tenant)}*"
            read.append({"Effect": "Allow", "Action": "s3:GetObject", "Resource": artifacts})
        self._tolerating(
            lambda: iam.create_role(RoleName=role, AssumeRolePolicyDocument=_policy(trust)),
            "EntityAlreadyExists",
        )
        iam.put_role_policy(RoleName=role, PolicyName="bootstrap", PolicyDocument=_policy(*read))
        self._tolerating(lambda: iam.create_instance_profile(InstanceProfileName=role), "EntityAlreadyExists")
        # A profile takes one role, and says LimitExceeded when it has one.
        self._tolerating(
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role),
            "LimitExceeded",
            "EntityAlreadyExists",
        )

    def _remove_role(self, tenant: str) -> None:
        iam, role = self._cloud.iam, role_name(tenant)
        for step in (
            lambda: iam.remove_role_from_instance_profile(InstanceProfileName=role, RoleName=role),
            lambda: iam.delete_instance_profile(InstanceProfileName=role),
            lambda: iam.delete_role_policy(RoleName=role, PolicyName="bootstrap"),
            lambda: iam.delete_role(RoleName=role),
        ):
            self._tolerating(step, "NoSuchEntity")

    def _remove_artifacts(self, tenant: str) -> None:
        if self._bucket is None:
            return
        pages = self._cloud.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix_of(tenant)):
            if found := page.get("Contents"):
                self._cloud.s3.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": each["Key"]} for each in found]}
                )

    @staticmethod
    def _tolerating(act: Callable[[], object], *codes: str) -> None:
        try:
            act()
        except ClientError as error:
            if error_code(error) not in codes:
                raise


def _policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
