"""The archive transport: a forge's API (Gitea's) gives commit, listing and a `.tar.gz`; nothing is taken on trust.

The listing must hash to the commit's tree, and every file to its id in the listing. An archive is made through the
template's `.gitattributes`, so that it may lack files or carry altered ones; those are fetched one by one instead.
"""

from __future__ import annotations

import hashlib
import logging
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import IO, Any
from urllib.parse import quote

import httpx

from ..allowlist import admit
from ..errors import BootError, TransientError
from ..json_text import parse_json
from ..redact import Redactor
from .git import denied, hint_for, kind_of, ref_not_found, template_gone, template_not_found
from .limits import Budget, breach
from .retry import patiently
from .tar import Member, Tar, TarCorrupt, TarOverlong
from .transport import Listed

log = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PAGE = 1000
_PIECE = 1 << 20
_IN_MEMORY = 1 << 20
_CONNECT_SECONDS = 10.0
_WRONG_CONTENT = (
    "restart the workspace to fetch it again; if it stays, have the template host's repository checked"
)


class ArchiveTransport:
    """One repository over the forge's API."""

    def __init__(
        self, host: str, repository: str, token: str | None, budget: Budget, redact: Redactor
    ) -> None:
        self.repository = repository
        self.budget = budget
        self._redact = redact
        self._base = httpx.URL(f"{host}/api/v1/repos/{repository}")
        self._client = httpx.Client(
            headers={"Authorization": f"token {token}"} if token else {},
            follow_redirects=False,
            # Reading the system's certificates takes longer than most answers: only where they are needed.
            verify=host.startswith("https:"),
            trust_env=False,
            timeout=httpx.Timeout(budget.limits.stall, connect=_CONNECT_SECONDS),
        )

    def resolve(self, ref: str) -> str:
        if _COMMIT.fullmatch(ref):
            return ref
        sha = self._commit(ref).get("sha")
        if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
            raise self._nonsense("names no commit")
        return sha

    @contextmanager
    def checkout(self, commit: str) -> Iterator[ArchiveCheckout]:
        found = self._commit(commit)
        if found.get("sha") != commit:
            raise BootError(
                "wrong-commit",
                f"asked for {commit}, the template host gives {str(found.get('sha'))[:40]}",
                _WRONG_CONTENT,
            )
        listing = self._listing(commit)
        # Before anything is made of it: there are paths of which no tree and no archive can be made, and what is wrong
        # then is the path, by name.
        admit(listing, self.budget.limits)
        tree = found.get("commit", {}).get("tree", {}).get("sha")
        if _tree_id(listing) != tree:
            raise BootError(
                "digest-mismatch",
                f"the listing of {self.repository} does not hash to the tree of {commit}",
                _WRONG_CONTENT,
            )
        with TemporaryFile(prefix="template-") as archive:
            patiently(self.budget, lambda: self._download(f"archive/{commit}.tar.gz", archive, None))
            yield ArchiveCheckout(self, commit, listing, archive)

    def raw(self, commit: str, file: Listed, target: IO[bytes]) -> None:
        path = quote(file.path)
        patiently(self.budget, lambda: self._download(f"raw/{path}?ref={commit}", target, file.size))

    def _commit(self, ref: str) -> dict[str, Any]:
        try:
            return self._json(f"git/commits/{quote(ref)}")
        except _NotFound:
            try:
                self._json("")
            except _NotFound:
                raise template_not_found(self.repository) from None
            raise ref_not_found(self.repository, ref) from None

    def _listing(self, commit: str) -> list[Listed]:
        entries: list[Listed] = []
        seen, page, total = 0, 1, 1
        while seen < total:
            answer = self._json(f"git/trees/{commit}?recursive=true&per_page={_PAGE}&page={page}")
            tree = answer.get("tree")
            total = answer.get("total_count", 0)
            if not tree:
                break
            try:
                entries += [_listed(entry) for entry in tree if entry["type"] != "tree"]
            except (KeyError, TypeError, ValueError):
                raise self._nonsense("lists the tree in another form") from None
            if len(entries) > self.budget.limits.entries:
                raise breach("entries", f"the template has more than {self.budget.limits.entries} entries")
            seen += len(tree)
            page += 1
        return entries

    def _json(self, path: str) -> dict[str, Any]:
        def attempt() -> dict[str, Any]:
            content = bytearray()
            with self._get(path) as response:
                for piece in self._received(response):
                    content += piece
                    if len(content) > (most := self.budget.limits.answer):
                        raise breach("answer", f"the template host sent more than {most} bytes of it")
            try:
                document = parse_json(content)
            except ValueError:
                raise self._nonsense("answers with what is no JSON") from None
            if not isinstance(document, dict):
                raise self._nonsense("answers with another kind of JSON")
            return document

        return patiently(self.budget, attempt)

    def _download(self, path: str, target: IO[bytes], size: int | None) -> None:
        """Into `target`, from its beginning."""
        target.seek(0)
        target.truncate()
        with self._get(path) as response:
            count = 0
            for piece in self._received(response):
                count += len(piece)
                if size is not None and count > size:
                    raise BootError(
                        "digest-mismatch", f"{path.partition('?')[0]} is longer than listed", _WRONG_CONTENT
                    )
                target.write(piece)
        target.seek(0)

    @contextmanager
    def _get(self, path: str) -> Iterator[httpx.Response]:
        """An answer with status 200, its body not yet read; redirects are followed on the same host alone."""
        url = self._base.join(f"{self._base.path}/{path}".rstrip("/"))
        for _ in range(self.budget.limits.redirects + 1):
            self.budget.remaining()
            self.budget.requests += 1
            with self._translated(), self._client.stream("GET", url) as response:
                if not response.has_redirect_location:
                    self._check(response)
                    yield response
                    return
                target = url.join(response.headers["Location"])
            if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
                raise BootError(
                    "template-host-error",
                    f"the template host redirects {self.repository} to another host, {target.host or target.scheme!r}",
                    "credentials go to the template host alone: mend the host's configuration",
                )
            url = target
        raise breach("redirects", f"more than {self.budget.limits.redirects} for {self.repository}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise TransientError(
                "template-host-unreachable",
                f"the template host does not answer: {self._redact.upstream(str(error))}",
                "check the host's address and the machine's network",
            ) from error
        except httpx.TimeoutException as error:
            raise breach("throughput", f"nothing was received for {self.budget.limits.stall:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                _broken_wire(error),
                f"the template host's answer broke off: {self._redact.upstream(str(error))}",
                "restart the workspace to fetch it again; if it stays, check what is between machine and host",
            ) from error

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise denied(self.repository, status)
        if status == httpx.codes.GONE:
            raise template_gone(self.repository)
        if status == httpx.codes.NOT_FOUND:
            raise _NotFound(
                "template-host-error",
                f"the template host has no {response.url.path}",
                "check the template host's address and version: it must speak Gitea's API",
            )
        message = f"the template host answered HTTP {status} for {self.repository}"
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in (408, 429):
            asked = response.headers.get("Retry-After", "")
            raise TransientError(
                "template-host-unavailable",
                message,
                hint_for(status),
                retry_after=float(asked) if asked.isdigit() else None,
            )
        raise BootError(
            "template-host-error", message, "check the template host's address, and its log for this request"
        )

    def _received(self, response: httpx.Response) -> Iterator[bytes]:
        """The body as it comes, within the bounds."""
        # Pieces as they come: gathering them to a size would wait for a trickle to fill it.
        return self.budget.paced(response.iter_raw())

    def _nonsense(self, what: str) -> BootError:
        return BootError(
            "template-host-error",
            f"the template host {what} for {self.repository}",
            "check its address and version: it must speak Gitea's API",
        )


def _broken_wire(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """The code for a connection that did not bear a whole answer."""
    match error:
        case httpx.ReadError():
            return "connection-reset"
        case httpx.RemoteProtocolError():
            return "answer-cut-short"
        case _:
            return "template-host-error"


class _NotFound(BootError):
    """404: of what, only the caller knows."""


class ArchiveCheckout:
    """A commit's listing, proven, and its archive, which is not."""

    def __init__(
        self, transport: ArchiveTransport, commit: str, listing: Sequence[Listed], archive: IO[bytes]
    ) -> None:
        self._transport = transport
        self._commit = commit
        self._archive = archive
        self.listing = listing
        # Without attributes nothing may differ from the listing.
        self._may_differ = any(entry.path.rpartition(b"/")[2] == b".gitattributes" for entry in listing)

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        left = {file.path: file for file in wanted}
        try:
            for member, path in self._members():
                file = left.get(path)
                if file is None:
                    continue
                if not self._may_differ:
                    del left[path]
                    yield file, _verified(file, member.pieces())
                elif member.size == file.size and (spooled := _spool(file, member)):
                    del left[path]
                    with spooled:
                        yield file, _pieces(spooled)
        except TarCorrupt as error:
            raise BootError(
                error.code,
                f"the archive of {self._commit} {error}",
                "restart the workspace to fetch it again",
            ) from None
        if left and not self._may_differ:
            raise BootError(
                "archive-corrupt",
                f"the archive of {self._commit} lacks {len(left)} files, {min(left).decode()!r} for one",
                "restart the workspace to fetch it again",
            )
        for file in left.values():
            with TemporaryFile(prefix="template-") as body:
                self._transport.raw(self._commit, file, body)
                yield file, _verified(file, _pieces(body))

    def _members(self) -> Iterator[tuple[Member, bytes]]:
        """Files with their path from the template's root. Raises TarCorrupt, BootError."""
        tar = Tar(_Gunzip(self._archive, self._transport.budget))
        listed = {entry.path for entry in self.listing if entry.kind == "file"}
        seen: set[bytes] = set()
        for member in tar.members():
            if tar.comment is not None and tar.comment != self._commit:
                raise BootError(
                    "wrong-commit",
                    f"asked for the archive of {self._commit}, got {tar.comment[:40]}",
                    _WRONG_CONTENT,
                )
            # Everything is below one directory, named after the repository.
            path = member.path.partition(b"/")[2]
            if path in seen or path not in listed:
                raise TarCorrupt(
                    f"holds {path.decode('utf-8', 'backslashreplace')[:200]!r}, twice or unlisted"
                )
            seen.add(path)
            yield member, path


class _Gunzip:
    """A gzip stream read to its proven end, no faster than its bounds allow."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._held = b""
        self._produced = 0

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            if not self._held and not self._more():
                break
            part, self._held = self._held[:size], self._held[size:]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _more(self) -> bool:
        """Raises TarCorrupt."""
        while not self._held:
            if self._inflate.eof:
                if self._inflate.unused_data or self._stream.read(1):
                    raise TarOverlong
                return False
            packed = self._inflate.unconsumed_tail or self._stream.read(_PIECE)
            if not packed:
                raise TarCorrupt("is cut short")
            try:
                self._held = self._inflate.decompress(packed, _PIECE)
            except zlib.error:
                raise TarCorrupt("is no sound gzip stream") from None
            self._budget.remaining()
            self._produced += len(self._held)
            self._budget.check_expansion(self._produced)
            if self._produced > self._budget.limits.bytes + 2048 * self._budget.limits.entries:
                raise breach("bytes", f"the archive unpacks to more than {self._budget.limits.bytes} bytes")
        return True


def _listed(entry: Mapping[str, Any]) -> Listed:
    mode = str(entry["mode"])
    blob = str(entry["sha"])
    if not _COMMIT.fullmatch(blob):
        raise ValueError(blob)
    return Listed(
        str(entry["path"]).encode(),
        kind_of(mode),
        0o755 if mode == "100755" else 0o644,
        int(entry.get("size") or 0),
        blob,
    )


def _tree_id(listing: Iterable[Listed]) -> str:
    """The git id of the tree that the listing, of everything but trees, describes."""
    root: dict[bytes, Any] = {}
    for entry in listing:
        *parents, name = entry.path.split(b"/")
        directory = root
        for parent in parents:
            directory = directory.setdefault(parent, {})
        directory[name] = entry
    return _hash_tree(root)


def _hash_tree(directory: Mapping[bytes, Any]) -> str:
    modes = {"link": "120000", "submodule": "160000"}
    lines = []
    for name, entry in directory.items():
        if isinstance(entry, Listed):
            mode = modes.get(entry.kind, f"100{entry.mode:o}")
            lines.append((name, mode, entry.blob))
        else:
            lines.append((name + b"/", "40000", _hash_tree(entry)))
    content = b"".join(
        mode.encode() + b" " + name.rstrip(b"/") + b"\0" + bytes.fromhex(blob)
        for name, mode, blob in sorted(lines)
    )
    return hashlib.sha1(b"tree %d\0" % len(content) + content).hexdigest()  # noqa: S324 - git's own ids


def _verified(file: Listed, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same pieces, proven at their end to be the blob that is listed."""
    digest = _blob_hash(file.size)
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.blob:
        raise BootError(
            "digest-mismatch",
            f"{file.path.decode()!r} is not what the commit holds",
            _WRONG_CONTENT,
        )


def _spool(file: Listed, member: Member) -> IO[bytes] | None:
    """The member's body to read again, or None where it is not the blob that is listed."""
    with ExitStack() as closing:
        spooled = closing.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY, prefix="template-"))
        digest = _blob_hash(file.size)
        for piece in member.pieces():
            digest.update(piece)
            spooled.write(piece)
        if digest.hexdigest() != file.blob:
            return None
        spooled.seek(0)
        closing.pop_all()
        return spooled


def _blob_hash(size: int) -> Any:
    return hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 - git's own ids


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
