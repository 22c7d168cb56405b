"""What a bad wire does to an answer of any server of the world: the body breaks off."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Literal

from werkzeug.wrappers import Response

Ending = Literal["short", "reset", "close-delimited"]
"""How a body breaks off: in good order, though more was announced; by a reset; or in good order with no length
announced, so that by HTTP alone the half is the whole."""


def half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def broken_off(answer: Response, ending: Ending, connection: socket.socket) -> Response:
    """The answer, of whose body half is sent on the connection, and then no more."""
    body = answer.get_data()
    head = f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.content_type}\r\nConnection: close\r\n\r\n"

    def cut() -> Iterator[bytes]:
        if ending == "close-delimited":
            connection.sendall(head.encode() + half(body))
            connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("ended, as told")
        yield half(body)
        if ending == "reset":
            _reset(connection)
            raise ConnectionResetError("reset, as told")
        raise ConnectionAbortedError("cut, as told")

    answer.response = cut()
    answer.content_length = len(body)
    return answer


def _reset(connection: socket.socket) -> None:
    """Send a RST. The server's own ending would send a FIN first, so the connection is taken from under it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dead, other = socket.socketpair()
    with dead, other:
        os.dup2(dead.fileno(), connection.fileno(), inheritable=False)
