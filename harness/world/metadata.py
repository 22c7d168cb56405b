"""The instance metadata service (IMDSv2) of many machines behind one server, one opaque URL a machine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Condition, Event, Lock
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from werkzeug.wrappers import Request, Response

from .aws import Credentials
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

    from _typeshed.wsgi import WSGIEnvironment

_LONGEST_TTL = 21_600
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class CredentialSource(Protocol):
    """Who mints role credentials: the AWS endpoint."""

    @property
    def account(self) -> str: ...

    @property
    def region(self) -> str: ...

    def assume(self, role_name: str, session_name: str, lifetime: timedelta) -> Credentials:
        """Raises KeyError if there is no such role."""

    def still_valid(self, credentials: Credentials) -> bool:
        """Whether they are accepted now."""


@dataclass(frozen=True, slots=True)
class MachineIdentity:
    """What the metadata service tells one machine about itself."""

    instance_id: str
    role_name: str | None
    """The role in its instance profile."""
    user_data: bytes = field(repr=False)
    """As given to RunInstances, decoded; empty is none."""
    address: Callable[[], str]
    """Its private IPv4 address, once it has one."""
    image_id: str
    zone: str


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    """One request that a machine made, or somebody with its URL."""

    at: datetime
    instance_id: str | None
    """None if the URL belongs to no machine."""
    method: str
    path: str
    """From `latest/` on."""
    status: int


class Held:
    """One machine's answers, kept back."""

    def __init__(self) -> None:
        self.asked = Event()
        """Set once the machine waits for an answer."""
        self.released = Event()


class Metadata:
    """Serves from the moment it is made until `close`. Thread-safe.

    Role credentials stay the same until less than a third of their lifetime is left, or until they were ended early;
    then new ones take their place. Keep the lifetime in hours, as EC2 does: botocore takes credentials with less than
    about 20 minutes left for an outage of this service, and goes on using them beyond their end.
    """

    def __init__(
        self,
        source: CredentialSource,
        *,
        bind_host: str = "127.0.0.1",
        advertise_host: str | None = None,
        port: int = 0,
        credential_lifetime: timedelta = timedelta(hours=6),
    ) -> None:
        """`advertise_host` is the host by which machines reach it. Raises PortInUse."""
        self.credential_lifetime = credential_lifetime
        self._source = source
        self._machines: dict[str, _Machine] = {}
        self._held: dict[str, Held] = {}
        self._requests: list[MetadataRequest] = []
        self._changed = Condition()
        self._server = Server("metadata", self, bind_host=bind_host, port=port)
        self.url = self._server.url(advertise_host)

    def add(self, identity: MachineIdentity) -> str:
        """The value of AWS_EC2_METADATA_SERVICE_ENDPOINT for this machine, with a slash at its end."""
        key = secrets.token_urlsafe(18)
        with self._changed:
            self._machines[key] = _Machine(identity, self._source, self.credential_lifetime)
        return f"{self.url}/{key}/"

    def remove(self, instance_id: str) -> None:
        """The machine's URL leads nowhere from now on. Does nothing if there is no such machine."""
        with self._changed:
            self._machines = {
                key: machine
                for key, machine in self._machines.items()
                if machine.identity.instance_id != instance_id
            }

    @contextmanager
    def holding(self, instance_id: str) -> Iterator[Held]:
        """A machine of this id gets no answer within the block, and so does not get on with its boot."""
        held = self._held[instance_id] = Held()
        try:
            yield held
        finally:
            del self._held[instance_id]
            held.released.set()

    def requests(self, instance_id: str | None = None) -> list[MetadataRequest]:
        """All requests so far, or those of one machine, in order."""
        with self._changed:
            return [each for each in self._requests if instance_id in (None, each.instance_id)]

    def wait(self, instance_id: str, path: str, timeout: float) -> MetadataRequest:
        """The first successful GET of a path by a machine, as soon as it was made. Raises TimeoutError."""

        def found() -> list[MetadataRequest]:
            asked = self.requests(instance_id)
            return [each for each in asked if (each.method, each.path, each.status) == ("GET", path, 200)]

        with self._changed:
            requests = self._changed.wait_for(found, timeout)
        if not requests:
            raise TimeoutError(f"{instance_id} did not ask for {path} within {timeout} s")
        return requests[0]

    def close(self) -> None:
        self._server.close()

    def __enter__(self) -> Metadata:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data()
        key, _, path = request.path.lstrip("/").partition("/")
        path = path.lstrip("/")
        with self._changed:
            machine = self._machines.get(key)
        if machine and (held := self._held.get(machine.identity.instance_id)):
            held.asked.set()
            held.released.wait()
        response = machine.answer(request, path) if machine else _plain("Not Found", 404)
        asked = MetadataRequest(
            datetime.now(UTC),
            machine.identity.instance_id if machine else None,
            request.method,
            path,
            response.status_code,
        )
        with self._changed:
            self._requests.append(asked)
            self._changed.notify_all()
        return response(environ, start_response)


class _Machine:
    """One machine's metadata, its session tokens and its current credentials."""

    def __init__(self, identity: MachineIdentity, source: CredentialSource, lifetime: timedelta) -> None:
        self.identity = identity
        self._source = source
        self._lifetime = lifetime
        self._lock = Lock()
        self._tokens: dict[str, datetime] = {}
        self._credentials: Credentials | None = None
        self._updated = datetime.now(UTC)

    def answer(self, request: Request, path: str) -> Response:
        if path == "latest/api/token":
            return self._token(request)
        if not self._authorized(request.headers.get(_TOKEN_HEADER, "")):
            return _plain("Unauthorized", 401)
        if request.method not in {"GET", "HEAD"}:
            return _plain("Method Not Allowed", 405)
        return self._tell(path)

    def _token(self, request: Request) -> Response:
        if request.method != "PUT":
            return _plain("Method Not Allowed", 405)
        if "X-Forwarded-For" in request.headers:  # EC2 refuses what came through a proxy
            return _plain("Forbidden", 403)
        wanted = request.headers.get(_TTL_HEADER, "")
        if not wanted.isdecimal() or not 1 <= int(wanted) <= _LONGEST_TTL:
            return _plain(f"{_TTL_HEADER} must be 1 to {_LONGEST_TTL}", 400)
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = datetime.now(UTC) + timedelta(seconds=int(wanted))
        response = _plain(token)
        response.headers[_TTL_HEADER] = wanted
        return response

    def _authorized(self, token: str) -> bool:
        with self._lock:
            expires = self._tokens.get(token)
        return expires is not None and datetime.now(UTC) < expires

    def _tell(self, path: str) -> Response:
        identity = self.identity
        if path == "latest/user-data":
            if not identity.user_data:
                return _plain("Not Found", 404)
            return Response(identity.user_data, content_type="application/octet-stream")
        if path == "latest/dynamic/instance-identity/document":
            return _plain(json.dumps(self._document(), indent=2))
        role = identity.role_name
        if role and path == f"latest/meta-data/iam/security-credentials/{role}":
            return _plain(json.dumps(self._role_credentials(role), indent=2))
        tree = {f"latest/meta-data/{name}": tell for name, tell in self._facts().items()}
        if path in tree:
            return _plain(tree[path]())
        return _listing(tree, path)

    def _facts(self) -> Mapping[str, Callable[[], str]]:
        """The leaves below meta-data/; the credentials' leaf is only listed from here."""
        identity = self.identity
        facts: dict[str, Callable[[], str]] = {
            "ami-id": lambda: identity.image_id,
            "instance-id": lambda: identity.instance_id,
            "local-ipv4": identity.address,
            "placement/availability-zone": lambda: identity.zone,
            "placement/region": lambda: self._source.region,
        }
        if identity.role_name:
            facts[f"iam/security-credentials/{identity.role_name}"] = str
        return facts

    def _document(self) -> Mapping[str, object]:
        return {
            "accountId": self._source.account,
            "architecture": "x86_64",
            "availabilityZone": self.identity.zone,
            "imageId": self.identity.image_id,
            "instanceId": self.identity.instance_id,
            "privateIp": self.identity.address(),
            "region": self._source.region,
            "version": "2017-09-30",
        }

    def _role_credentials(self, role: str) -> Mapping[str, str]:
        now = datetime.now(UTC)
        try:
            credentials = self._current(role, now)
        except KeyError:
            return {
                "Code": "AssumeRoleUnauthorizedAccess",
                "Message": f"EC2 cannot assume the role {role}. There is no such role.",
                "LastUpdated": now.strftime(_FORMAT),
            }
        assert credentials.token
        assert credentials.expiration
        return {
            "Code": "Success",
            "LastUpdated": self._updated.strftime(_FORMAT),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.token,
            "Expiration": credentials.expiration.strftime(_FORMAT),
        }

    def _current(self, role: str, now: datetime) -> Credentials:
        """Raises KeyError if the role is gone."""
        with self._lock:
            current = self._credentials
            if not current or not self._good_for_long(current, now):
                current = self._source.assume(role, self.identity.instance_id, self._lifetime)
                self._credentials, self._updated = current, now
            return current

    def _good_for_long(self, credentials: Credentials, now: datetime) -> bool:
        expiration = credentials.expiration
        left = expiration - now if expiration else self._lifetime
        return left >= self._lifetime / 3 and self._source.still_valid(credentials)


def _listing(tree: Mapping[str, object], path: str) -> Response:
    """The children of a directory, one a line, directories with a slash at their end."""
    directory = path.rstrip("/") + "/"
    below = [name.removeprefix(directory) for name in tree if name.startswith(directory)]
    children = sorted({first + slash for first, slash, _ in (name.partition("/") for name in below)})
    return _plain("\n".join(children)) if children else _plain("Not Found", 404)


def _plain(text: str, status: int = 200) -> Response:
    return Response(text, status, content_type="text/plain")
