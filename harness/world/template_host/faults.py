"""Faults of a bad wire and a bad host: answers that are cut, altered, endless, of another kind, or lead elsewhere."""

from __future__ import annotations

import gzip
import io
import select
import socket
import tarfile
import time
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

from werkzeug import Request, Response

from ..wire import Ending, broken_off, half
from .misbehaviour import Misbehaviour, Proceed, with_body

if TYPE_CHECKING:
    from typing import Self

LOGIN_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
)
TELLTALE_LINES = 200
PASSAGE = "whoever runs this host may be asked for a right to read it; " * 40
"""A text of another system, longer than any error may be."""
GARBAGE = b"and something behind its end"

_PIECE = 1 << 20


def for_the_archive(request: Request) -> bool:
    """For a template's files, over the archive transport."""
    return "/archive/" in request.path


def with_a_credential(request: Request) -> bool:
    return "Authorization" in request.headers


def holds_a_pack(body: bytes) -> bool:
    """Whether it carries git objects, however the client came to ask for them."""
    return b"PACK" in body


class AlteredBody(Misbehaviour):
    """Takes a good answer whole, and passes on what `altered` makes of its body, announced with its right length."""

    def __init__(
        self,
        *,
        times: int | None = None,
        only: Callable[[Request], bool] | None = None,
        concerns: Callable[[bytes], bool] = bool,
    ) -> None:
        """For answers of status 200 alone, and of those for the ones whose body `concerns` accepts."""
        super().__init__(times=times, only=only)
        self._concerns = concerns

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        answer = proceed()
        body = self._whole(answer)
        if body is not None:
            answer.set_data(self.altered(body))
        return answer

    @abstractmethod
    def altered(self, body: bytes) -> bytes: ...

    def _whole(self, answer: Response) -> bytes | None:
        """The body; None where it is not for this misbehaviour, which did not happen then."""
        if answer.status_code == 200:
            body = answer.get_data()
            if self._concerns(body):
                return body
        self._did_not_happen()
        return None


class Watched(Misbehaviour):
    """Alters nothing: it happens to the answers that carry a template's content, be it whole or in part."""

    def misbehave(self, request: Request, proceed: Proceed) -> Response:
        answer = proceed()
        if answer.status_code != 200 or not (for_the_archive(request) or holds_a_pack(answer.get_data())):
            self._did_not_happen()
        return answer


class TrailingGarbage(AlteredBody):
    """Something is behind the end."""

    def altered(self, body: bytes) -> bytes:
        return body + GARBAGE


class FlippedByte(AlteredBody):
    """One byte in the middle has its lowest bit flipped on the way."""

    def altered(self, body: bytes) -> bytes:
        return flipped(body, len(body) // 2)


class AlteredTar(AlteredBody):
    """The archive inside is altered by a function and packed again, so that every checksum of the packing is right."""

    def __init__(
        self,
        alter: Callable[[bytes], bytes],
        *,
        times: int | None = None,
        only: Callable[[Request], bool] | None = for_the_archive,
    ) -> None:
        super().__init__(times=times, only=only)
        self._alter = alter

    def altered(self, body: bytes) -> bytes:
        return gzip.compress(self._alter(gzip.decompress(body)), mtime=0)


class BrokenOff(AlteredBody):
    """Half of a body is sent, and then no more; how it ends, the subclasses say."""

    ending: ClassVar[Ending]

    def misbehave(self, request: Request, proceed: Proceed) -> Response:
        answer = proceed()
        if self._whole(answer) is None:
            return answer
        return broken_off(answer, self.ending, request.environ["werkzeug.socket"])

    def altered(self, body: bytes) -> bytes:
        return half(body)


class ShortBody(BrokenOff):
    """The body is shorter than announced; the connection ends in good order."""

    ending = "short"


class Reset(BrokenOff):
    """The connection is reset in mid-body."""

    ending = "reset"


class CloseDelimited(BrokenOff):
    """No length is announced, and the connection ends in good order: by HTTP alone the half is the whole."""

    ending = "close-delimited"


class Instead(Misbehaviour):
    """Other bytes in place of the answer, with status 200."""

    def __init__(
        self,
        body: bytes,
        content_type: str,
        *,
        times: int | None = None,
        only: Callable[[Request], bool] | None = None,
    ) -> None:
        super().__init__(times=times, only=only)
        self._body = body
        self._content_type = content_type

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        return Response(self._body, 200, content_type=self._content_type)

    @classmethod
    def a_login_page(cls) -> Self:
        """HTML with status 200, whatever was asked for."""
        return cls(LOGIN_PAGE, "text/html; charset=utf-8")


class Paced(AlteredBody):
    """The body comes as it is; how fast, the subclasses say."""

    def misbehave(self, request: Request, proceed: Proceed) -> Response:
        answer = proceed()
        body = self._whole(answer)
        if body is None:
            return answer
        answer.content_length = len(body)
        return with_body(answer, lambda _: self.paced(body, request.environ["werkzeug.socket"]))

    def altered(self, body: bytes) -> bytes:
        return body

    @abstractmethod
    def paced(self, body: bytes, connection: socket.socket) -> Iterator[bytes]: ...


class Trickle(Paced):
    """The body comes a byte a second."""

    def paced(self, body: bytes, connection: socket.socket) -> Iterator[bytes]:  # noqa: ARG002
        for byte in body:
            yield bytes([byte])
            time.sleep(1.0)


class Bursts(Paced):
    """The body comes in bursts, with a pause before each, and a single byte amid each pause."""

    def __init__(
        self,
        count: int,
        pause: float,
        *,
        only: Callable[[Request], bool] | None = None,
        concerns: Callable[[bytes], bool] = bool,
    ) -> None:
        """`pause` in seconds."""
        super().__init__(only=only, concerns=concerns)
        self._count = count
        self._pause = pause

    def paced(self, body: bytes, connection: socket.socket) -> Iterator[bytes]:  # noqa: ARG002
        size = -(-len(body) // self._count)
        for at in range(0, len(body), size):
            time.sleep(self._pause / 2)
            yield body[at : at + 1]
            time.sleep(self._pause / 2)
            yield body[at + 1 : at + size]


class StandStill(Paced):
    """The headers come, and then nothing, until the client gives up or a bound that no scenario should reach."""

    def __init__(
        self,
        *,
        concerns: Callable[[bytes], bool] = bool,
        only: Callable[[Request], bool] | None = None,
        bound: float = 60.0,
    ) -> None:
        """`bound` in seconds."""
        super().__init__(only=only, concerns=concerns)
        self._bound = bound

    def paced(self, body: bytes, connection: socket.socket) -> Iterator[bytes]:  # noqa: ARG002
        yield b""
        _await_end(connection, self._bound)
        raise ConnectionAbortedError("stood still, as told")


class Meanwhile(Misbehaviour):
    """Something happens to the repository when the request of this number comes; the answer is as ever."""

    def __init__(self, happens: Callable[[], object], *, at: int) -> None:
        """`at` counts requests from 1."""
        super().__init__()
        self._happens = happens
        self._at = at

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        self._at -= 1
        if self._at == 0:
            self._happens()
        else:
            self._did_not_happen()
        return proceed()


class Telltale(Misbehaviour):
    """Refuses, and repeats in a long answer the credential that it was sent: as it came, and decoded."""

    def __init__(self, status: int, *, only: Callable[[Request], bool] | None = with_a_credential) -> None:
        super().__init__(only=only)
        self._status = status

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        return Response(
            f"{_denial(request)}\n" * TELLTALE_LINES + PASSAGE,
            self._status,
            content_type="text/plain; charset=utf-8",
        )


class GitTelltale(Misbehaviour):
    """Repeats the credential in an error of git's own protocol, which git clients show to whoever called them."""

    def __init__(self) -> None:
        super().__init__(only=with_a_credential)

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        error = f"ERR {_denial(request)}; {PASSAGE}\n"
        service = "# service=git-upload-pack\n"
        return Response(
            f"{_packet(service)}0000{_packet(error)}",
            200,
            content_type="application/x-git-upload-pack-advertisement",
        )


class Endless(Misbehaviour):
    """A JSON document that goes on for as long as the client listens."""

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        def body() -> Iterator[bytes]:
            yield b'{"sha": "'
            while True:
                yield b"0" * _PIECE

        return Response(body(), 200, mimetype="application/json")


class Redirect(Misbehaviour):
    """Leads elsewhere or, with no location given, to the same place again."""

    def __init__(
        self,
        location: str | None = None,
        *,
        times: int | None = None,
        only: Callable[[Request], bool] | None = None,
    ) -> None:
        super().__init__(times=times, only=only)
        self._location = location

    def misbehave(self, request: Request, proceed: Proceed) -> Response:  # noqa: ARG002
        # Not Response.location, which would make what it is given absolute.
        return Response("elsewhere\n", 302, headers={"Location": self._location or request.url})


def _denial(request: Request) -> str:
    """One line that repeats the credential: as it came, and decoded."""
    header = request.headers.get("Authorization", "")
    credential = request.authorization and (request.authorization.password or request.authorization.token)
    return f"denied: {header} ({credential}) may not do this here"


def _packet(line: str) -> str:
    """In git's framing: its length in four hex digits before it."""
    return f"{len(line.encode()) + 4:04x}{line}"


def flipped(body: bytes, at: int) -> bytes:
    """With the lowest bit of one byte flipped."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def cut_between_members(tar: bytes) -> bytes:
    """Ends where the last member would begin: no end mark, and nothing else that is wrong."""
    return tar[: _members(tar)[-1].offset]


def without_the_last_member(tar: bytes) -> bytes:
    """A whole and sound archive that lacks a file."""
    return cut_between_members(tar) + bytes(2 * tarfile.BLOCKSIZE)


def flipped_in_a_header(tar: bytes) -> bytes:
    """One bit of the last member's name."""
    return flipped(tar, _members(tar)[-1].offset_data - tarfile.BLOCKSIZE)


def flipped_in_a_file(tar: bytes) -> bytes:
    """One bit of the last file's content, which no checksum of an archive covers."""
    return flipped(tar, _members(tar)[-1].offset_data)


def with_a_size_that_is_no_number(tar: bytes) -> bytes:
    """An extended header gives the last member's size by a word; every checksum is right."""
    last = _members(tar)[-1]
    last.pax_headers = {"size": "many"}
    return tar[: last.offset] + last.tobuf(tarfile.PAX_FORMAT) + tar[last.offset_data :]


def with_a_length_that_is_no_number(tar: bytes) -> bytes:
    """Nor is the length of that header's record, which a reader needs to find the next one; every checksum is right."""
    return with_a_size_that_is_no_number(tar).replace(b"13 size=many\n", b"xx size=many\n")


def with_a_size_below_zero(tar: bytes) -> bytes:
    """The last member's size is negative, as GNU's format can write it; every checksum is right."""
    last = _members(tar)[-1]
    last.size = -1
    return tar[: last.offset] + last.tobuf(tarfile.GNU_FORMAT) + tar[last.offset_data :]


def padded(packed: bytes, zeros: int) -> bytes:
    """A gzip bomb: the same archive with so many zero bytes of padding behind its end."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [squeeze.compress(gzip.decompress(packed))]
    parts += (squeeze.compress(bytes(_PIECE)) for _ in range(zeros // _PIECE))
    return b"".join((*parts, squeeze.flush()))


def _members(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return [member for member in archive if member.isfile() and member.size]


def _await_end(connection: socket.socket, seconds: float) -> None:
    """Until the client hangs up, `seconds` at most."""
    events = select.poll()
    events.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    events.poll(seconds * 1000)
