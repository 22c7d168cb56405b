"""Network addresses made ahead: most of what a container's start costs an engine is its network.

An address is held by a small container that sleeps; a machine joins the network of its holder, and starts in a third
of the time. A holder serves one machine at a time, and the next one when that is removed. It keeps nothing of the last
one but its address: no process of it is left, and no closed connection lingers on its ports.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docker import APIClient

log = logging.getLogger(__name__)

_SPARE = 3
"""How many are kept ready beyond those in use."""
_MAKERS = 2
_NO_LINGERING = {"net.ipv4.tcp_max_tw_buckets": "0"}
"""A program that does not set SO_REUSEADDR must be able to bind where the last machine closed connections."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the machines' network."""

    holder: str
    """The container whose network it is."""
    ip: str


class Addresses:
    """The addresses of one worker's network. Safe to use from many threads."""

    def __init__(
        self,
        api: APIClient,
        *,
        image: str,
        network: str,
        named: Callable[[str], str],
        labels: Mapping[str, str],
        host_entry: str,
    ) -> None:
        """`image` is any that has `sleep`; `host_entry` is what `host.docker.internal` stands for in a machine."""
        self._api = api
        self._image = image
        self._network = network
        self._named = named
        self._labels = dict(labels)
        self._host_entry = host_entry
        self._lock = Lock()
        self._ready: deque[Future[Address]] = deque()
        self._made = 0
        self._makers = ThreadPoolExecutor(_MAKERS, thread_name_prefix="addresses")

    def take(self) -> Address:
        """One that no machine has. Raises APIError where the engine can make none."""
        with self._lock:
            taken = self._ready.popleft() if self._ready else self._makers.submit(self._make)
            while len(self._ready) < _SPARE:
                self._ready.append(self._makers.submit(self._make))
        return taken.result()

    def take_again(self, ip: str) -> Address | None:
        """The one of this IP address; None where a machine has it, or none ever had."""
        with self._lock:
            for ready in self._ready:
                if ready.done() and ready.exception() is None and ready.result().ip == ip:
                    self._ready.remove(ready)
                    return ready.result()
        return None

    def give_back(self, address: Address) -> None:
        """Its machine is removed."""
        ready: Future[Address] = Future()
        ready.set_result(address)
        with self._lock:
            self._ready.appendleft(ready)

    def close(self) -> None:
        """Remove those that no machine has. Raises APIError."""
        self._makers.shutdown(wait=True)
        for ready in self._ready:
            if ready.exception() is None:
                self._remove(ready.result())
        self._ready.clear()

    def _make(self) -> Address:
        with self._lock:
            self._made += 1
            name = self._named(f"address-{self._made}")
        endpoint = self._api.create_endpoint_config()
        container = self._api.create_container(
            self._image,
            name=name,
            entrypoint=["sleep"],
            command=["infinity"],
            labels=self._labels,
            networking_config=self._api.create_networking_config({self._network: endpoint}),  # type: ignore[arg-type]  # a slip of the stubs
            host_config=self._api.create_host_config(
                network_mode=self._network,
                extra_hosts={"host.docker.internal": self._host_entry},
                sysctls=_NO_LINGERING,
            ),
        )
        self._api.start(container["Id"])
        networks = self._api.inspect_container(container["Id"])["NetworkSettings"]["Networks"]
        return Address(container["Id"], networks[self._network]["IPAddress"])

    def _remove(self, address: Address) -> None:
        try:
            self._api.remove_container(address.holder, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:  # its removal is under way already
                raise
