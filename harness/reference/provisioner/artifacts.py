"""Template versions in S3, where machines read them with their own role: each published once for each tenant.

A tenant's artifacts are fetched with its own token and lie below a prefix of its own, so that tenants share nothing
(ISO-1), and what a template host forbids one of them is not to be had from what another one fetched.
"""

from __future__ import annotations

import logging
import traceback
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..allowlist import admit
from ..artifact import FORMAT, Artifact, encode_index
from ..errors import BootError
from ..fetch.git import GitTransport
from ..fetch.limits import Budget, Limits, breach
from ..inspection import inspected, secrets_to_find
from ..redact import Redactor
from .cloud import error_code, error_message
from .problems import bounded
from .tenants import TEMPLATE_TOKEN, prefix_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

    from ..fetch.transport import Checkout
    from .cloud import Cloud
    from .tenants import Tenants

log = logging.getLogger(__name__)

_SIZE = "size"
_INDEX_SIZE = "index-size"
_INDEX_SHA256 = "index-sha256"
_NO_DIGEST_YET = "0" * 64


@dataclass(frozen=True, slots=True)
class _Written:
    """What is in a file that is to be uploaded."""

    size: int
    index_size: int
    index_sha256: str


class Artifacts:
    """Publishes what machines are to read. S3 alone remembers what was published."""

    def __init__(
        self, cloud: Cloud, tenants: Tenants, bucket: str | None, template_host: str, limits: Limits
    ) -> None:
        self._cloud = cloud
        self._tenants = tenants
        self._bucket = bucket
        self._template_host = template_host
        self._limits = limits
        self._lock = Lock()
        self._under_way: dict[str, Future[Artifact]] = {}
        """By key: who asks for what is being published waits for it, so that a version is fetched once."""

    def publish(self, tenant: str, repository: str, ref: str) -> dict[str, Any]:
        """The `object` of a machine's user-data: what the ref means now and where it is, or why it is nowhere.

        Never raises: a machine that has a tree already can go on with it (FAIL-2).
        """
        redact = Redactor()
        try:
            return self._publish(tenant, repository, ref, redact).to_json()
        except BootError as error:
            problem = error
        except (ClientError, BotoCoreError, OSError) as error:
            problem = _not_published(repository, redact.upstream(_said(error)))
        except Exception:
            log.error("%s", redact(traceback.format_exc()))
            problem = _not_published(repository, "the provisioner failed; its log says why")
        log.warning("tenant %s: %s@%s: %s", tenant, repository, ref, redact(f"{problem.code}: {problem}"))
        return {
            "error": {
                "code": problem.code,
                "message": bounded(redact(str(problem))),
                "hint": bounded(problem.hint),
            }
        }

    def _publish(self, tenant: str, repository: str, ref: str, redact: Redactor) -> Artifact:
        if self._bucket is None:
            raise BootError(
                "artifact-bucket-missing",
                "the provisioner has no bucket to publish templates in",
                "set ARTIFACT_BUCKET, or make the workspace with another transport",
            )
        bootstrap = self._tenants.bootstrap(tenant)
        redact.learn(bootstrap.values())
        transport = GitTransport(
            self._template_host,
            repository,
            bootstrap.get(TEMPLATE_TOKEN) or None,
            Budget(self._limits),
            redact,
        )
        commit = transport.resolve(ref)
        publication = _Publication(
            s3=self._cloud.s3,
            bucket=self._bucket,
            key=f"{prefix_of(tenant)}{repository}/{commit}.{FORMAT}",
            commit=commit,
            transport=transport,
            secrets=secrets_to_find(bootstrap.values()),
        )
        return self._once(publication)

    def _once(self, publication: _Publication) -> Artifact:
        mine: Future[Artifact] = Future()
        with self._lock:
            outcome = self._under_way.setdefault(publication.key, mine)
        if outcome is not mine:
            return outcome.result()
        try:
            mine.set_result(publication.find() or publication.make())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._under_way[publication.key]
        return mine.result()


@dataclass(frozen=True, slots=True)
class _Publication:
    """One version of one template for one tenant."""

    s3: S3Client
    bucket: str
    key: str
    commit: str
    transport: GitTransport
    secrets: Sequence[bytes]
    """What no asset may hold."""

    def find(self) -> Artifact | None:
        """The artifact as an earlier boot published it; None where there is none, or not all of it."""
        try:
            found = self.s3.head_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if error_code(error) in {"404", "NoSuchKey", "NotFound"}:
                return None
            raise
        notes = found["Metadata"]
        try:
            artifact = Artifact.from_json(
                {
                    "bucket": self.bucket,
                    "key": self.key,
                    "etag": found["ETag"],
                    "commit": self.commit,
                    "size": int(notes[_SIZE]),
                    "index_size": int(notes[_INDEX_SIZE]),
                    "index_sha256": notes[_INDEX_SHA256],
                }
            )
        except (KeyError, ValueError):
            return None
        return artifact if artifact.size == found["ContentLength"] else None

    def make(self) -> Artifact:
        """Raises BootError of the template host and of the template's own; ClientError, BotoCoreError, OSError."""
        with TemporaryFile(prefix="artifact-") as content:
            with self.transport.checkout(self.commit) as tree:
                written = self._write(content, tree)
            content.seek(0)
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=self.key,
                Body=content,
                Metadata={
                    _SIZE: str(written.size),
                    _INDEX_SIZE: str(written.index_size),
                    _INDEX_SHA256: written.index_sha256,
                },
            )
        log.info("published %s, %d bytes", self.key, written.size)
        return Artifact(
            bucket=self.bucket,
            key=self.key,
            etag=answer["ETag"],
            commit=self.commit,
            size=written.size,
            index_size=written.index_size,
            index_sha256=written.index_sha256,
        )

    def _write(self, content: IO[bytes], tree: Checkout) -> _Written:
        budget = self.transport.budget
        admission = admit(tree.listing, budget.limits)
        assets = list(admission.assets.values())
        budget.check_expansion(sum({file.blob: file.size for file in assets}.values()))
        digests = {file.path: _NO_DIGEST_YET for file in assets}
        index_size = len(encode_index(tree.listing, digests))
        if index_size > budget.limits.answer:
            raise breach("answer", f"the index of the template has more than {budget.limits.answer} bytes")
        offsets: dict[bytes, int] = {}
        end = index_size
        for listed in tree.listing:
            if listed.path in digests:
                offsets[listed.path] = end
                end += listed.size
        for file, pieces in tree.bodies(assets):
            content.seek(offsets.pop(file.path))
            digest = sha256()
            for piece in inspected(file.path.decode(), pieces, self.secrets):
                digest.update(piece)
                content.write(piece)
            digests[file.path] = digest.hexdigest()
        if offsets:
            raise BootError(
                "archive-corrupt",
                f"{len(offsets)} files did not arrive, {min(offsets).decode()!r} for one",
                "restart the workspace to fetch them again",
            )
        index = encode_index(tree.listing, digests)
        content.seek(0)
        content.write(index)
        return _Written(end, index_size, sha256(index).hexdigest())


def _not_published(repository: str, said: str) -> BootError:
    return BootError(
        "artifact-not-published",
        f"the template {repository} could not be published: {said}",
        "restart the workspace; if it stays, see the provisioner's log and its rights to the bucket",
    )


def _said(error: ClientError | BotoCoreError | OSError) -> str:
    if isinstance(error, ClientError):
        return f"AWS refused {error.operation_name} ({error_code(error)}: {error_message(error)})"
    return str(error)
