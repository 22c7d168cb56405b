"""Faults of a bad wire and a bad host: answers that are cut, altered, endless, of another kind, or lead elsewhere."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import tarfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from werkzeug import Request, Response

from .misbehaviour import HangUp, Misbehaviour, Proceed, with_body

if TYPE_CHECKING:
    from typing import Self

LOGIN_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
)
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

    def misbehave(self, request: Request, proceed: Proceed) -> Response:
        answer = proceed()
        body = self._whole(answer)
        return answer if body is None else self.break_off(request, answer, body)

    def altered(self, body: bytes) -> bytes:
        return body[: len(body) // 2]

    @abstractmethod
    def break_off(self, request: Request, answer: Response, body: bytes) -> Response: ...


class ShortBody(BrokenOff):
    """The body is shorter than announced; the connection ends in good order."""

    def break_off(self, request: Request, answer: Response, body: bytes) -> Response:  # noqa: ARG002
        def cut(_: Iterator[bytes]) -> Iterator[bytes]:
            yield self.altered(body)
            raise ConnectionAbortedError("cut, as told")

        answer.content_length = len(body)
        return with_body(answer, cut)


class Reset(BrokenOff):
    """The connection is reset in mid-body."""

    def break_off(self, request: Request, answer: Response, body: bytes) -> Response:
        def cut(_: Iterator[bytes]) -> Iterator[bytes]:
            yield self.altered(body)
            _reset(request.environ["werkzeug.socket"])
            raise ConnectionResetError("reset, as told")

        answer.content_length = len(body)
        return with_body(answer, cut)


class CloseDelimited(BrokenOff):
    """No length is announced, and the connection ends in good order: by HTTP alone the half is the whole."""

    def break_off(self, request: Request, answer: Response, body: bytes) -> Response:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {answer.content_type}\r\nConnection: close\r\n\r\n"
        request.environ["werkzeug.socket"].sendall(head.encode() + self.altered(body))
        answer.close()
        raise HangUp


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


def padded(packed: bytes, zeros: int) -> bytes:
    """A gzip bomb: the same archive with so many zero bytes of padding behind its end."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [squeeze.compress(gzip.decompress(packed))]
    parts += (squeeze.compress(bytes(_PIECE)) for _ in range(zeros // _PIECE))
    return b"".join((*parts, squeeze.flush()))


def _members(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return [member for member in archive if member.isfile() and member.size]


def _reset(connection: socket.socket) -> None:
    """Send a RST. The server's own ending would send a FIN first, so the connection is taken from under it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dead, other = socket.socketpair()
    with dead, other:
        os.dup2(dead.fileno(), connection.fileno(), inheritable=False)
