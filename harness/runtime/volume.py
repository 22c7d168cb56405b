"""Volumes of both kinds: a directory of this computer, and one that a keeper looks into."""

from __future__ import annotations

import errno
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from harness.tls import trusted

from .base import Entry, InjectedFault, Process
from .keeper import FRAME, Row, Tree
from .tracer import Rival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Listing(ABC):
    """Turns the rows of a tree into entries."""

    @abstractmethod
    def rows(self, under: str = "", *, digest: bool = True) -> list[Row]: ...

    def entries(self, under: str = "", *, digest: bool = True) -> dict[str, Entry]:
        return {row[0]: Entry(*row) for row in self.rows(under, digest=digest)}


class DirectoryVolume(Tree, _Listing):
    """A `base.Volume` that is a directory of this computer."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(str(root))
        self.name = name

    def __repr__(self) -> str:
        return f"<volume {self.name} at {self.root}>"


class KeeperClient:
    """Speaks to a keeper that listens at `url`. Safe to use from many threads."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(300, connect=10),
            verify=trusted(),
            trust_env=False,  # a proxy for the world outside does not lead into a container
        )

    def close(self) -> None:
        self._http.close()

    def copy(self, source: str, target: str) -> None:
        self.call("copy_to", source, {"target": target})

    def processes(self, init: int) -> list[Process]:
        """What runs in the pid namespace of process `init` of the engine's computer."""
        answer = json.loads(self.call("processes", str(init), {}))
        return [Process(pid, tuple(argv), environment) for pid, argv, environment in answer]

    def inject(self, init: int, fault: InjectedFault, below: str) -> KeptInjection:
        """Into all processes of the machine that ends with process `init`; `below` is where its volume is mounted."""
        arguments = {
            "calls": dict(fault.calls),
            "effect": fault.effect,
            "lasting": fault.lasting,
            "later_programs": fault.later_programs,
            "below": below,
        }
        return KeptInjection(self, json.loads(self.call("trace", str(init), arguments)))

    def call(self, verb: str, name: str, arguments: dict[str, Any], content: bytes = b"") -> bytes:
        answer = self._http.post(_route(verb, name, arguments), content=content)
        _raise_refusal(answer)
        return answer.content

    def stream(self, name: str, under: str) -> Iterator[tuple[str, bytes]]:
        with self._http.stream("POST", _route("files", name, {"under": under})) as answer:
            if answer.is_error:
                answer.read()
            _raise_refusal(answer)
            pieces = _Pieces(answer.iter_raw())
            while True:
                path_length, length = FRAME.unpack(pieces.take(FRAME.size))
                if path_length == 0:
                    return
                path = pieces.take(path_length).decode("utf-8", "surrogateescape")
                yield path, pieces.take(length)


class KeptVolume(_Listing):
    """A `base.Volume` that a keeper looks into: each verb is one request, and raises what `keeper.Tree`'s raises."""

    def __init__(self, keeper: KeeperClient, name: str) -> None:
        self._keeper = keeper
        self.name = name

    def __repr__(self) -> str:
        return f"<volume {self.name}>"

    def rows(self, under: str = "", *, digest: bool = True) -> list[Row]:
        answer: list[Row] = json.loads(
            self._keeper.call("rows", self.name, {"under": under, "digest": digest})
        )
        return answer

    def read(self, path: str) -> bytes:
        return self._keeper.call("read", self.name, {"path": path})

    def files(self, under: str = "") -> Iterator[tuple[str, bytes]]:
        return self._keeper.stream(self.name, under)

    def write(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        self._keeper.call("write", self.name, {"path": path, "mode": mode}, content)

    def make_directory(self, path: str) -> None:
        self._keeper.call("make_directory", self.name, {"path": path})

    def make_link(self, path: str, target: str) -> None:
        self._keeper.call("make_link", self.name, {"path": path, "target": target})

    def make_fifo(self, path: str) -> None:
        self._keeper.call("make_fifo", self.name, {"path": path})

    def chmod(self, path: str, mode: int) -> None:
        self._keeper.call("chmod", self.name, {"path": path, "mode": mode})

    def remove(self, path: str) -> None:
        self._keeper.call("remove", self.name, {"path": path})


class KeptInjection:
    """A `base.Injection` that a keeper sees to."""

    def __init__(self, keeper: KeeperClient, name: str) -> None:
        self._keeper = keeper
        self._name = name

    def hits(self) -> int:
        return int(self._told()["hits"])

    def on_volume(self) -> list[tuple[str, int, Rival]]:
        return [(name, number, rival) for name, number, rival in self._told()["on_volume"]]

    def close(self) -> None:
        self._keeper.call("untrace", self._name, {})

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._keeper.call("traced", self._name, {}))
        return told


class _Pieces:
    """Takes exactly so many bytes of a stream that comes in chunks of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()

    def take(self, size: int) -> bytes:
        """Raises OSError if the stream ends before."""
        try:
            while len(self._held) < size:
                self._held += next(self._chunks)
        except (httpx.TransportError, StopIteration) as error:
            raise OSError(errno.EIO, "the keeper broke off in the middle of a volume") from error
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


def _route(verb: str, name: str, arguments: dict[str, Any]) -> str:
    return f"/{verb}/{quote(name, safe='')}?{quote(json.dumps(arguments), safe='')}"


def _raise_refusal(answer: httpx.Response) -> None:
    """Raise what the keeper's operating system said, as if it had been this one."""
    if answer.status_code == httpx.codes.BAD_REQUEST:
        refused = answer.json()
        raise OSError(refused["errno"], refused["message"], refused["path"])
    answer.raise_for_status()
