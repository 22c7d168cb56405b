"""moto in this process: its applications, its lookups, and the locks that it does not bring itself."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, cast

from botocore.parsers import create_parser
from moto.core.base_backend import BackendDict
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.wrappers import Response

from .errors import AwsError
from .policy import Document
from .requests import AwsRequest, rewound

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from _typeshed.wsgi import WSGIEnvironment
    from moto.iam.models import IAMBackend, Policy, Role, User

log = logging.getLogger(__name__)


class Moto:
    """One account of moto's cloud. moto keeps its state in this process: equal accounts share it.

    moto is not thread-safe, so each service answers one call at a time.
    """

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        # moto reads this when the EC2 backend is made; its thousands of public images cost over a second
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        self._guard = RLock()
        self._locks: dict[str, RLock] = {}
        self._applications: dict[str, WSGIApplication] = {}
        self._new_images: dict[str, str] = {}
        self._warming = Thread(target=self._warm, name="aws-warm", daemon=True)
        self._warming.start()

    def serve(self, request: AwsRequest, environ: WSGIEnvironment) -> Response:
        """moto's answer. Raises AwsError for services that moto does not have."""
        service = request.service
        changed = {"HTTP_X_MOTO_ACCOUNT_ID": self.account}
        if service != "s3" and "HTTP_AUTHORIZATION" not in environ and request.signature:
            scope = f"{request.signature.access_key_id}/-/{request.region}/{service}/aws4_request"
            changed["HTTP_AUTHORIZATION"] = (
                f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
            )
        with self._exclusively(service):
            return Response.from_app(
                self._application(service), rewound(environ, request.body, **changed), buffered=True
            )

    def parse(self, request: AwsRequest, response: Response) -> Mapping[str, Any]:
        """The answer as the dict that boto3 would return."""
        assert request.operation is not None
        parsed: Mapping[str, Any] = create_parser(request.protocol).parse(
            {
                "body": response.get_data(),
                "headers": {name.lower(): value for name, value in response.headers.items()},
                "status_code": response.status_code,
            },
            cast("Any", request.operation.output_shape),  # None is what botocore's own client gives it too
        )
        return parsed

    def write(self, request: AwsRequest, result: Mapping[str, Any]) -> Response:
        """The dict that boto3 would return as an answer."""
        assert request.operation is not None
        written = get_serializer_class(request.service, request.protocol)(request.operation).serialize(
            dict(result)
        )
        return Response(written["body"], written["status_code"], written["headers"])

    def secret(self, secret_id: str, region: str) -> Any | None:
        """moto's secret by name, ARN or ARN without its last six characters."""
        with self._exclusively("secretsmanager"):
            regions = secretsmanager_backends[self.account]
            return regions[region].secrets.get(secret_id) if region in regions else None

    def role(self, name: str) -> Role | None:
        with self._exclusively("iam"):
            return next((role for role in self._iam.roles.values() if role.name == name), None)

    def user(self, name: str) -> User | None:
        with self._exclusively("iam"):
            return self._iam.users.get(name)

    def user_of_key(self, access_key_id: str) -> tuple[str, str] | None:
        """Name and id of the IAM user that owns an active access key."""
        with self._exclusively("iam"):
            for user in self._iam.users.values():
                for key in user.access_keys:
                    if key.access_key_id == access_key_id and key.status == "Active":
                        return user.name, user.id
        return None

    def role_of_profile(self, profile: str) -> str | None:
        """The role in an instance profile, given by name or ARN. Raises KeyError if there is no such profile."""
        with self._exclusively("iam"):
            for each in self._iam.instance_profiles.values():
                if profile in (each.name, each.arn):
                    return each.roles[0].name if each.roles else None
        raise KeyError(profile)

    def policies(self, entity: Role | User) -> list[Document]:
        """Inline, attached and (of a user) its groups' policies."""
        with self._exclusively("iam"):
            holders: list[Any] = [entity]
            holders += [group for group in self._iam.groups.values() if entity in group.users]
            texts = [text for holder in holders for text in holder.policies.values()]
            texts += [_text(policy) for holder in holders for policy in holder.managed_policies.values()]
        return [json.loads(text) for text in texts]

    def boundary(self, entity: Role | User) -> list[Document] | None:
        """The permissions boundary; None if there is none."""
        arn = getattr(entity, "permissions_boundary_arn", None)
        if arn is None:
            return None
        with self._exclusively("iam"):
            policy = self._iam.managed_policies.get(arn)
        return [json.loads(_text(policy))] if policy else []

    def image_exists(self, image_id: str, region: str) -> bool:
        with self._exclusively("ec2"):
            return image_id in self._ec2(region).amis

    def attached(self, volume_id: str, region: str) -> bool:
        """Whether any instance holds the volume; False of one that does not exist."""
        with self._exclusively("ec2"):
            volume = self._ec2(region).volumes.get(volume_id)
            return volume is not None and volume.attachment is not None

    def forget(self, gone: Collection[str]) -> None:
        """Instances that are terminated and volumes that are deleted, as EC2 forgets them within the hour.

        moto walks over all that there ever was for each filter by a tag.
        """
        with self._exclusively("ec2"):
            backend = self._ec2(self.region)
            for name, reservation in list(backend.reservations.items()):
                reservation.instances = [each for each in reservation.instances if each.id not in gone]
                if not reservation.instances:
                    del backend.reservations[name]
            for resource in gone:
                backend.tags.pop(resource, None)

    def register_image(self, name: str) -> str:
        """The id is known at once; EC2, which takes a second to warm, is told of it before it answers anything."""
        image = f"ami-{secrets.token_hex(8)}0"
        with self._guard:
            self._new_images[image] = name
        return image

    def close(self) -> None:
        """Forget everything of the account."""
        self._warming.join()
        in_use = list(BackendDict._instances)  # type: ignore[misc]  # noqa: SLF001 - moto's own reset empties every account
        for backends in in_use:
            regions = backends.pop(self.account, None)
            if regions and backends.service_name == "s3":
                regions.reset()  # closes the files that hold the objects

    @property
    def _iam(self) -> IAMBackend:
        return iam_backends[self.account]["aws"]

    def _ec2(self, region: str) -> Any:
        from moto.ec2.models import ec2_backends  # more than a second, therefore not before somebody needs it

        return ec2_backends[self.account][region]

    @contextmanager
    def _exclusively(self, service: str) -> Iterator[None]:
        """EC2 reads IAM's instance profiles on its own, so it holds both."""
        with self._guard:
            locks = [
                self._locks.setdefault(each, RLock())
                for each in ([service, "iam"] if service == "ec2" else [service])
            ]
        with ExitStack() as held:
            for lock in locks:
                held.enter_context(lock)
            if service == "ec2":
                self._add_new_images()
            yield

    def _add_new_images(self) -> None:
        with self._guard:
            new, self._new_images = self._new_images, {}
        if new:
            from moto.ec2.models.amis import Ami

            backend = self._ec2(self.region)
            for image, name in new.items():
                backend.amis[image] = Ami(backend, image, name=name)

    def _application(self, service: str) -> WSGIApplication:
        application = self._applications.get(service)
        if application is None:
            try:
                application = cast("WSGIApplication", create_backend_app(cast("Any", service)))
            except ImportError as missing:
                raise AwsError(
                    "NotImplemented", f"this cloud does not offer the service {service}", 501
                ) from missing
            self._applications[service] = application
        return application

    def _warm(self) -> None:
        try:
            self._ec2(self.region)
            get_service_router("ec2")
            with self._exclusively("ec2"):
                self._application("ec2")
        except Exception:
            log.exception("the EC2 backend did not start")


def _text(policy: Policy) -> str:
    """The document of a managed policy's default version."""
    return next(str(version.document) for version in policy.versions if version.is_default)
