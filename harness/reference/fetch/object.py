"""The object transport: a template version that the provisioner published to S3, read with the machine's own role.

What there is to read, user-data says and proves. The bytes go straight to whoever wants them: a stream that breaks off
goes on where it was, on the very object that it was of or not at all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from ..artifact import Artifact, decode_index
from ..errors import BootError, TransientError
from ..redact import Redactor
from .limits import Budget, breach
from .retry import again, patiently
from .transport import Listed

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

log = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ERROR_DOCUMENT = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<Error>.*?<Code>([A-Za-z.]+)</Code>", re.DOTALL)
_PIECE = 256 << 10
_CONNECT_SECONDS = 10.0
_BUSY = ("SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "InternalError", "ServiceUnavailable")
_PUBLISH_AGAIN = "restart the workspace: what the provisioner does not find in the bucket it publishes again"


class ObjectTransport:
    """One template, as far as it is published."""

    def __init__(
        self,
        published: Artifact | BootError,
        session: Callable[[], Session],
        region: str,
        budget: Budget,
        redact: Redactor,
    ) -> None:
        """`published` is the error where the provisioner could not publish what the template's ref means now."""
        self._published = published
        self._session = session
        self._region = region
        self._budget = budget
        self._redact = redact

    def resolve(self, ref: str) -> str:
        artifact = self._artifact
        if _COMMIT.fullmatch(ref) and ref != artifact.commit:
            raise _wrong_commit(ref, artifact)
        return artifact.commit

    @contextmanager
    def checkout(self, commit: str) -> Iterator[ObjectCheckout]:
        artifact = self._artifact
        if commit != artifact.commit:
            raise _wrong_commit(commit, artifact)
        if artifact.index_size > (most := self._budget.limits.answer):
            raise breach("answer", f"the index of {artifact.key} has more than {most} bytes")
        stream = _Stream(self._client(), artifact, self._budget, self._redact)
        with closing(stream):
            yield ObjectCheckout(artifact, stream)

    @property
    def _artifact(self) -> Artifact:
        if isinstance(self._published, BootError):
            raise self._published
        return self._published

    def _client(self) -> S3Client:
        """Made only now: a boot with nothing to fetch does not pay for it."""
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1},  # it is tried again here, where a stream can go on
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._budget.limits.stall,
            response_checksum_validation="when_required",  # the index proves more
            proxies={},
        )
        return cast("S3Client", self._session().create_client("s3", region_name=self._region, config=config))


class ObjectCheckout:
    """The index, proven, and behind it a stream of bodies that can be read once."""

    def __init__(self, artifact: Artifact, stream: _Stream) -> None:
        self._artifact = artifact
        self._stream = stream
        text = b"".join(stream.exactly(artifact.index_size))
        if sha256(text).hexdigest() != artifact.index_sha256:
            raise _mismatch(f"the index of {artifact.key}")
        try:
            self.listing: Sequence[Listed] = decode_index(text)
        except ValueError as error:
            raise BootError(
                "artifact-malformed",
                f"the index of {artifact.key} cannot be read: {error}",
                "the provisioner wrote it: see that its version fits this boot agent's",
            ) from None

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        """In the order of the index."""
        left = {file.path for file in wanted}
        for file in self.listing:
            if not file.blob:
                continue
            pieces = self._verified(file)
            if file.path in left:
                left.remove(file.path)
                yield file, pieces
            else:
                for _ in pieces:
                    pass
        if left:
            raise BootError(
                "artifact-malformed",
                f"{self._artifact.key} lacks {len(left)} files, {min(left).decode()!r} for one",
                "the provisioner wrote it: see that its version fits this boot agent's",
            )
        self._stream.expect_end()

    def _verified(self, file: Listed) -> Iterator[bytes]:
        digest = sha256()
        for piece in self._stream.exactly(file.size):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != file.blob:
            raise _mismatch(f"{file.path.decode()!r} in {self._artifact.key}")


class _Stream:
    """The bytes of an artifact from its beginning to its end, each once."""

    def __init__(self, client: S3Client, artifact: Artifact, budget: Budget, redact: Redactor) -> None:
        self._client = client
        self._artifact = artifact
        self._budget = budget
        self._redact = redact
        self._received = self._receive()
        self._pieces = budget.paced(self._received)
        self._held = memoryview(b"")

    def exactly(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._held:
                piece = next(self._pieces, b"")
                if not piece:
                    raise _mismatch(f"{self._artifact.key}, of which its index says that it is longer,")
                self._held = memoryview(piece)
            part, self._held = self._held[:count], self._held[count:]
            count -= len(part)
            yield bytes(part)

    def expect_end(self) -> None:
        if bool(self._held) or next(self._pieces, b""):
            raise _mismatch(f"{self._artifact.key}, of which its index says that it is shorter,")

    def close(self) -> None:
        self._received.close()

    def _receive(self) -> Generator[bytes, None, None]:
        """As many bytes as the artifact has, over as many answers as the bound of retries allows."""
        position, breaks = 0, 0
        body = patiently(self._budget, partial(self._open, position))
        try:
            while position < self._artifact.size:
                try:
                    with self._translated():
                        piece = body.read(_PIECE)
                    if not piece:
                        raise self._broken_off("answer-cut-short", "it ended early")
                except TransientError as broken:
                    breaks += 1
                    if breaks > self._budget.limits.retries:
                        raise
                    body.close()
                    body = again(self._budget, partial(self._open, position), broken)
                    continue
                position += len(piece)
                yield piece
        finally:
            body.close()

    def _open(self, position: int) -> StreamingBody:
        """An answer with all from there on, its body not yet read."""
        artifact = self._artifact
        self._budget.remaining()
        self._budget.requests += 1
        wanted = {"Range": f"bytes={position}-"} if position else {}
        with self._translated():
            answer = self._client.get_object(
                Bucket=artifact.bucket,
                Key=artifact.key,
                IfMatch=artifact.etag,
                **wanted,  # type: ignore[arg-type]  # mypy knows of no optional keyword
            )
        self._check(answer, artifact.size - position)
        return answer["Body"]

    def _check(self, answer: GetObjectOutputTypeDef, left: int) -> None:
        artifact, length = self._artifact, answer.get("ContentLength", -1)
        if length == left and answer.get("ETag") == artifact.etag:
            return
        with closing(answer["Body"]) as body, self._translated():
            beginning = body.read(1024)
        if found := _ERROR_DOCUMENT.match(beginning):
            raise self._refused(found[1].decode(), HTTPStatus.OK)
        if answer.get("ETag") != artifact.etag:
            raise _replaced(artifact)
        if length > left:
            raise BootError(
                "artifact-overlong",
                f"S3 gives {length} bytes of {artifact.key} where {left} are published",
                "restart the workspace; if it stays, delete the object, which is then published again",
            )
        raise BootError(
            "object-store-error",
            f"S3 gives {length} bytes of {artifact.key} where {left} are published",
            "check the address of S3, and that nothing stands between it and the machine",
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            IncompleteReadError,
            ReadTimeoutError,
        )

        try:
            yield
        except ClientError as refused:
            answer = refused.response
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise self._refused(answer.get("Error", {}).get("Code", "unknown"), status) from refused
        except ReadTimeoutError as slow:
            raise breach("throughput", f"nothing was received for {self._budget.limits.stall:g} s") from slow
        except (EndpointConnectionError, ConnectTimeoutError) as failed:
            raise TransientError(
                "object-store-unreachable",
                f"S3 does not answer: {self._redact.upstream(str(failed))}",
                "check the machine's network and its way to S3",
            ) from failed
        except (BotoCoreError, OSError) as broken:
            said = str(broken)
            cut = isinstance(broken, IncompleteReadError) or "IncompleteRead" in said
            code = (
                "connection-reset" if "reset" in said else "answer-cut-short" if cut else "object-store-error"
            )
            raise self._broken_off(code, self._redact.upstream(said)) from broken

    @staticmethod
    def _broken_off(code: str, said: str) -> TransientError:
        return TransientError(
            code,
            f"the answer of S3 broke off: {said}",
            "restart the workspace to fetch it again; if it stays, check what is between machine and S3",
        )

    def _refused(self, code: str, status: int) -> BootError:
        artifact = self._artifact
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _BUSY:
            return TransientError(
                "object-store-unavailable",
                f"S3 gives no answer for {artifact.key} ({code})",
                "restart the workspace once S3 answers",
            )
        if status == HTTPStatus.PRECONDITION_FAILED:
            return _replaced(artifact)
        if status == HTTPStatus.NOT_FOUND:
            return BootError(
                "artifact-missing",
                f"there is no {artifact.key} in {artifact.bucket} ({code})",
                _PUBLISH_AGAIN,
            )
        if status == HTTPStatus.FORBIDDEN:
            return BootError(
                "artifact-denied",
                f"this machine's role may not read {artifact.key} in {artifact.bucket}, or it is gone ({code})",
                "put the tenant again, which lets its role read its artifacts, and restart the workspace",
            )
        return BootError(
            "object-store-error",
            f"S3 refuses {artifact.key} ({code})",
            "check the address of S3, and the bucket",
        )


def _mismatch(what: str) -> BootError:
    return BootError(
        "digest-mismatch",
        f"{what} is not what was published",
        "restart the workspace to fetch it again; if it stays, delete the object, which is then published again",
    )


def _replaced(artifact: Artifact) -> BootError:
    return BootError(
        "artifact-replaced",
        f"{artifact.key} is not the object any more that the provisioner named",
        "restart the workspace, which reads the one that is there now",
    )


def _wrong_commit(wanted: str, artifact: Artifact) -> BootError:
    return BootError(
        "wrong-commit",
        f"asked for {wanted}, the provisioner published {artifact.commit}",
        "restart the workspace, which publishes what it asks for",
    )
