"""Machines that are containers, volumes that are the engine's: the runtime that counts for a gate."""

from __future__ import annotations

import logging
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from tempfile import TemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Mount

from . import engine, kept
from .addresses import Address, Addresses
from .base import Conditions, MachineError, MachineSpec, NotSupported, Process, RuntimeUnavailable
from .freeze import freeze_patiently, paused
from .ownership import RUN_LABEL, WORKER_LABEL
from .placeholders import fill
from .reach import find_reach
from .volume import KeptVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from docker import DockerClient

    from .base import InjectedFault, Machine, Volume
    from .ownership import Owner
    from .volume import KeeperClient, KeptInjection

log = logging.getLogger(__name__)

DATA: Final = "/data"
HOME: Final = "/opt/implementation"
"""Where an implementation lies in its image."""

_OFF_SECONDS = 60.0
_REMOVERS = 8
_CONFLICT = 409


class _Gone(MachineError):
    """The container does not exist any more."""


class DockerMachine:
    """A `base.Machine` that is a container.

    Its first process is what the specification says, with no init above it: an image that wants one brings its own.
    """

    def __init__(
        self,
        runtime: DockerRuntime,
        name: str,
        container: str,
        port: int,
        volume: Volume | None,
        joined: Address | None,
        salvage: Mapping[str, Path],
    ) -> None:
        """`joined` is the address that was made ahead for it; None where its network is its own."""
        self.name = name
        self.volume = volume
        self._joined = joined
        self._salvage = salvage
        self._runtime = runtime
        self._api = runtime.client.api
        self._container = container
        self._port = port
        self._address = ""
        self._url = ""
        self._started = False
        self._removed = False
        self._last_words: bytes | None = None
        """Kept ahead of the removal, while which the engine gives no console."""
        self._last_status: int | None = None

    def start(self) -> None:
        if self._started and self.running():
            raise MachineError(f"{self.name} is running already")
        with self._refusals("did not start"):
            self._api.start(self._container)
        self._started = True
        if self._joined is not None:
            self._address = self._joined.ip
            self._url = f"http://{self._address}:{self._port}"
            return
        settings = self._inspect()["NetworkSettings"]
        # One that has ended by now has given its address back.
        self._address = settings["Networks"][self._runtime.network]["IPAddress"] or self._address
        bindings = (settings["Ports"] or {}).get(f"{self._port}/tcp")
        if self._runtime.published_host is None:
            self._url = f"http://{self._address}:{self._port}"
        elif bindings:
            self._url = f"http://{self._runtime.published_host}:{bindings[0]['HostPort']}"

    def stop(self, grace: float) -> None:
        state = {} if self._last_words is not None else self._state()
        if not state.get("Running"):
            return
        if state["Paused"]:  # it hears nothing, so that there is nothing to wait for
            self.kill()
            return
        self._send("SIGTERM")
        try:
            self.wait(grace)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        if self.running():
            self._send("SIGKILL")
            self.wait(_OFF_SECONDS)

    def pause(self) -> None:
        with self._refusals("cannot be paused"):
            freeze_patiently(partial(self._api.pause, self._container))

    def resume(self) -> None:
        with self._refusals("cannot be resumed"):
            self._api.unpause(self._container)

    def running(self) -> bool:
        return self._last_words is None and bool(self._state()["Running"])

    def exit_status(self) -> int | None:
        if self._last_words is not None:
            return self._last_status
        state = self._state() if self._started else {"Running": True}
        return None if state["Running"] else int(state["ExitCode"])

    def wait(self, timeout: float) -> int:
        if not self._started:
            raise MachineError(f"{self.name} was never started")
        if self._last_status is not None:
            return self._last_status
        try:
            with self._refusals("cannot be waited for"):
                # The stubs know whole seconds only.
                return int(self._api.wait(self._container, timeout=timeout)["StatusCode"])  # type: ignore[arg-type]
        # The first where no answer had begun, the second where it had, as some proxies and engines do.
        except (requests.Timeout, requests.ConnectionError) as error:
            raise TimeoutError(f"{self.name} still runs after {timeout:g} s") from error

    def url(self) -> str:
        if not self._url:
            raise MachineError(f"{self.name} has no address: it was never started, or ended at once")
        return self._url

    def address(self) -> str:
        if not self._address:
            raise MachineError(f"{self.name} has no address: it was never started, or ended at once")
        return self._address

    def console(self) -> bytes:
        try:
            return self._last_words if self._last_words is not None else self._console()
        except MachineError:
            if self._last_words is None:
                raise
            return self._last_words  # its removal began meanwhile

    def processes(self) -> list[Process]:
        init = 0 if self._last_words is not None else int(self._state()["Pid"])
        return self._runtime.keeper().processes(init) if init else []

    def inject(self, fault: InjectedFault) -> KeptInjection:
        init = 0 if self._last_words is not None else int(self._state()["Pid"])
        if not init:
            raise MachineError(f"{self.name} is off")
        try:
            return self._runtime.keeper().inject(init, fault, DATA)
        except ProcessLookupError as error:
            raise MachineError(f"{self.name} is off") from error
        except FileNotFoundError as error:
            raise NotSupported(
                "the base image has no strace, with which faults are injected; put it in, or let the harness build one"
            ) from error
        except PermissionError as error:
            raise NotSupported(f"this engine lets no container trace another ({error.strerror})") from error

    def remove(self) -> None:
        if self._removed:
            return
        with suppress(_Gone):  # somebody else removed it, and its console with it
            if self._last_words is None:
                self.kill()
                self._last_status, self._last_words = self.exit_status(), self._console()
            for inside, target in self._salvage.items():
                self._save(inside, target)
            with self._refusals("cannot be removed"):
                self._api.remove_container(self._container, force=True, v=True)
        self._last_words = self._last_words or b""
        self._removed = True
        if self._joined is not None:
            self._runtime.addresses.give_back(self._joined)

    def _console(self) -> bytes:
        with self._refusals("has no console"):
            return bytes(self._api.logs(self._container, stdout=True, stderr=True))

    def _save(self, inside: str, target: Path) -> None:
        """Nothing where the machine left nothing there."""
        with suppress(NotFound), TemporaryFile() as packed:
            for piece in self._api.get_archive(self._container, inside)[0]:
                packed.write(piece)
            packed.seek(0)
            target.mkdir(parents=True, exist_ok=True)
            with tarfile.open(fileobj=packed) as archive:
                archive.extractall(target, filter="data")

    def frozen(self) -> bool:
        return bool(self._state()["Paused"])

    def _inspect(self) -> dict[str, Any]:
        with self._refusals("is gone"):
            return dict(self._api.inspect_container(self._container))

    def _state(self) -> dict[str, Any]:
        return dict(self._inspect()["State"])

    def _send(self, signal: str) -> None:
        try:
            self._api.kill(self._container, signal)
        except APIError as error:
            if error.status_code != _CONFLICT:  # it ended by itself meanwhile
                raise MachineError(f"{self.name} cannot be sent {signal}: {engine.words(error)}") from error

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            raise _Gone(f"{self.name} {what}: {engine.words(error)}") from error
        except APIError as error:
            raise MachineError(f"{self.name} {what}: {engine.words(error)}") from error


class DockerRuntime:
    """A `base.Runtime` on a container engine: one network and one keeper a worker.

    Where the engine's networks end on this computer, machines are reached at their own addresses, and they reach this
    computer at their network's gateway. Elsewhere (Docker Desktop, rootless and remote engines) ports are published.
    """

    name = "docker"

    def __init__(
        self, owner: Owner, *, keeper_image: str, advertise_host: str | None = None, at: str | None = None
    ) -> None:
        """`keeper_image` is any image that has python3, cp and strace. `advertise_host` is the host by which an
        engine on another computer reaches this one; `at` is the engine's address. Raises RuntimeUnavailable.
        """
        self.client: DockerClient = engine.connect(at)
        self._at = at
        self._owner = owner
        self._labels = owner.labels()
        self._keeper_image = keeper_image
        self._keeper: kept.KeeperContainer | None = None
        self._keeper_lock = Lock()
        self._machines: list[DockerMachine] = []
        self._volumes: list[str] = []
        self._closed = False
        self.network = owner.named("network")
        try:
            self._reach = find_reach(self._make_network(), engine.published_host(at), advertise_host)
        except BaseException:
            with suppress(APIError):
                self._remove_network(self.network)
            self.client.close()
            raise
        self.bind_host = self._reach.bind_host
        self.advertise_host = self._reach.advertise_host
        self.published_host = self._reach.published_host
        self.addresses = Addresses(
            self.client.api,
            image=keeper_image,
            network=self.network,
            named=owner.named,
            labels=self._labels,
            host_entry=self._reach.host_entry,
        )

    def keeper(self) -> KeeperClient:
        """What looks into volumes, started if it was not yet. Raises MachineError."""
        with self._keeper_lock:
            if self._keeper is None:
                self._keeper = kept.start(
                    self.client,
                    name=self._owner.named("keeper"),
                    image=self._keeper_image,
                    network=self.network,
                    prefix=self._owner.prefix,
                    labels=self._labels,
                    published_host=self.published_host,
                    at=self._at,
                )
            return self._keeper.client

    def host_of(self, name: str) -> str:
        return self._owner.named(name)

    def create_volume(self, name: str) -> KeptVolume:
        full = self._owner.named(name)
        with suppress(NotFound):
            self.client.volumes.get(full)
            raise FileExistsError(f"volume {full} exists already")
        self.client.volumes.create(full, labels=self._labels)
        self._volumes.append(full)
        return KeptVolume(self.keeper(), full)

    def copy_volume(self, source: Volume, name: str) -> KeptVolume:
        copy = self.create_volume(name)
        with self._frozen(source):
            self.keeper().copy(source.name, copy.name)
        return copy

    def remove_volume(self, volume: Volume) -> None:
        try:
            self._remove_volume(volume.name)
        except APIError as error:
            raise MachineError(f"volume {volume.name} cannot be removed: {engine.words(error)}") from error
        with suppress(ValueError):
            self._volumes.remove(volume.name)

    def require(self, conditions: Conditions) -> None:
        if conditions.at is not None and self.published_host is not None:
            raise NotSupported("this engine gives each machine the address that it likes")

    def create_machine(self, spec: MachineSpec, volume: Volume | None = None) -> Machine:
        full = self._owner.named(spec.name)
        if spec.image is None:
            raise MachineError(f"{full} has no image, and the docker runtime runs nothing else")
        places = {"data": DATA, "port": str(spec.port), "python": "python3", "home": HOME}
        command = [fill(part, places) for part in spec.command]
        self.require(Conditions(at=spec.at))
        # What has a data volume is called by its address, which can be made ahead; what has none, by its name.
        joins = (volume is not None or spec.at is not None) and self.published_host is None
        joined = None
        try:
            joined = self._address_for(spec) if joins else None
            container = self.client.api.create_container(
                spec.image,
                name=full,
                hostname=None if joined else spec.name[:63],
                # The command is the whole command; none at all means the image's own.
                entrypoint=command[:1] or None,
                command=command[1:] or None,
                environment={key: fill(value, places) for key, value in spec.environment.items()},
                labels=self._labels,
                ports=None if joined else [spec.port],
                networking_config=None if joined else self._endpoint(),
                host_config=self.client.api.create_host_config(
                    network_mode=f"container:{joined.holder}" if joined else self.network,
                    # A blank volume stays blank, whatever the image has at its place.
                    mounts=[Mount(DATA, volume.name, read_only=spec.read_only, no_copy=True)]
                    if volume
                    else [],
                    port_bindings={spec.port: self._reach.binding} if self.published_host else {},
                    extra_hosts=None if joined else {"host.docker.internal": self._reach.host_entry},
                    mem_limit=spec.memory,
                    memswap_limit=spec.memory,
                ),
            )
        except ImageNotFound as error:
            self._give_back(joined)
            raise MachineError(
                f"{full} has no image: {engine.words(error)}; build it, or pull it first"
            ) from error
        except APIError as error:
            self._give_back(joined)
            raise MachineError(f"{full} cannot be made: {engine.words(error)}") from error
        machine = DockerMachine(self, full, container["Id"], spec.port, volume, joined, spec.salvage)
        self._machines.append(machine)
        return machine

    def _address_for(self, spec: MachineSpec) -> Address:
        """Raises MachineError, APIError."""
        if spec.at is None:
            return self.addresses.take()
        address = self.addresses.take_again(urlsplit(spec.at).hostname or "")
        if address is None:
            raise MachineError(
                f"{spec.name} cannot be at {spec.at}: a machine has that address, or none ever had"
            )
        return address

    def way_into(self, machine: Machine) -> str:
        if machine.running():
            return f"{self._docker} exec -it {machine.name} sh"
        return f"{self._docker} logs {machine.name}"

    def way_to(self, volume: Volume) -> str:
        mount = f"-v {volume.name}:{DATA} -w {DATA}"
        return f"{self._docker} run --rm -it {mount} --entrypoint sh {self._keeper_image}"

    @property
    def _docker(self) -> str:
        """The client, told of this engine."""
        return "docker" if self._at is None else f"docker -H {self._at}"

    def leftovers(self) -> list[str]:
        # With a connection of its own, since this is asked after `close`.
        client = engine.connect(self._at)
        try:
            mine = {"label": [f"{RUN_LABEL}={self._owner.run}", f"{WORKER_LABEL}={self._owner.worker}"]}
            containers = client.api.containers(all=True, filters=mine)
            return [
                *(f"machine {each['Names'][0].lstrip('/')} ({each['Status']})" for each in containers),
                *(f"volume {each.name}" for each in client.volumes.list(filters=mine)),
                *(f"network {each.name}" for each in client.networks.list(filters=mine)),
            ]
        finally:
            client.close()

    def close(self) -> None:
        if self._closed:
            return
        failures: list[Exception] = []
        with ThreadPoolExecutor(_REMOVERS, thread_name_prefix="remove") as removers:

            def each(remove: Callable[[Any], None], things: list[Any]) -> None:
                for done in [removers.submit(remove, thing) for thing in reversed(things)]:
                    error = done.exception()
                    if isinstance(error, Exception):
                        failures.append(error)

            each(DockerMachine.remove, self._machines)
            each(self._remove_volume, self._volumes)
            each(Addresses.close, [self.addresses])
            each(kept.KeeperContainer.close, [self._keeper] if self._keeper else [])
            each(self._remove_network, [self.network])
        if failures:
            raise ExceptionGroup(f"not everything of {self._owner.prefix}* could be removed", failures)
        self._closed = True
        self.client.close()

    def _give_back(self, joined: Address | None) -> None:
        if joined is not None:
            self.addresses.give_back(joined)

    def _endpoint(self) -> Any:
        api = self.client.api
        return api.create_networking_config({self.network: api.create_endpoint_config()})  # type: ignore[arg-type]  # a slip of the stubs

    def _remove_volume(self, name: str) -> None:
        with suppress(NotFound):
            self.client.api.remove_volume(name)

    def _remove_network(self, name: str) -> None:
        with suppress(NotFound):
            self.client.api.remove_network(name)

    def _make_network(self) -> str:
        """Its gateway's address."""
        try:
            # The engine itself would allow two networks of one name.
            network = self.client.networks.create(
                self.network, driver="bridge", labels=self._labels, check_duplicate=True
            )
        except APIError as error:
            raise RuntimeUnavailable(
                f"no network for the machines: {engine.words(error)}; if it is for want of addresses, "
                "remove networks that are not used (`harness sweep`, `docker network prune`)"
            ) from error
        network.reload()
        return str(network.attrs["IPAM"]["Config"][0]["Gateway"]).partition("/")[0]

    @contextmanager
    def _frozen(self, volume: Volume) -> Iterator[None]:
        """Nothing writes to the volume meanwhile."""
        awake = [
            machine
            for machine in list(self._machines)
            if machine.volume is not None
            and machine.volume.name == volume.name
            and machine.running()
            and not machine.frozen()
        ]
        with paused(awake):
            yield
