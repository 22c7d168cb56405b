"""Both runtimes, held to one contract."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from harness.runtime import engine
from harness.runtime.base import MachineSpec
from harness.runtime.docker import DockerRuntime
from harness.runtime.image import Images
from harness.runtime.ownership import Owner
from harness.runtime.process import ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient

    from harness.runtime.base import Machine, Runtime, Volume


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerClient]:
    reason = engine.engine_available()
    if reason is not None:
        pytest.skip(reason)
    client = engine.connect()
    yield client
    client.close()


@pytest.fixture(scope="session")
def base_image(docker_engine: DockerClient) -> str:
    return Images(docker_engine).base()


@pytest.fixture(scope="session", params=["process", "docker"])
def make_runtime(request: pytest.FixtureRequest) -> Callable[[], Runtime]:
    if request.param == "process":
        return lambda: ProcessRuntime(Owner.current())
    image: str = request.getfixturevalue("base_image")
    return lambda: DockerRuntime(Owner.current(), keeper_image=image)


@pytest.fixture(scope="session")
def runtime(make_runtime: Callable[[], Runtime]) -> Iterator[Runtime]:
    """Shared by all tests, each of which takes new names."""
    made = make_runtime()
    yield made
    made.close()


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"thing{next(numbers)}"


@pytest.fixture
def volume(runtime: Runtime, new_name: Callable[[], str]) -> Iterator[Volume]:
    made = runtime.create_volume(new_name())
    yield made
    runtime.remove_volume(made)


@pytest.fixture
def boot(
    request: pytest.FixtureRequest, runtime: Runtime, new_name: Callable[[], str], volume: Volume
) -> Iterator[Boot]:
    """Asks for the volume only so that machines go before it."""
    made = Boot(request, runtime, new_name)
    yield made
    for machine in made.machines:
        machine.remove()


class Boot:
    """Makes machines that run a Python program, with the volume's place and the port as its arguments."""

    def __init__(self, request: pytest.FixtureRequest, runtime: Runtime, new_name: Callable[[], str]) -> None:
        self._runtime = runtime
        self._new_name = new_name
        self._image = request.getfixturevalue("base_image") if runtime.name == "docker" else None
        self.machines: list[Machine] = []

    def make(
        self, program: str, volume: Volume | None = None, at: str | None = None, **environment: str
    ) -> Machine:
        command = ("{python}", "-u", "-c", program, "{data}", "{port}")
        spec = MachineSpec(self._new_name(), self._image, command, environment, at=at)
        machine = self._runtime.create_machine(spec, volume)
        self.machines.append(machine)
        return machine

    def __call__(self, program: str, volume: Volume | None = None, **environment: str) -> Machine:
        machine = self.make(program, volume, **environment)
        machine.start()
        return machine


def await_console(machine: Machine, words: bytes, seconds: float = 30) -> None:
    until(lambda: words in machine.console() or not machine.running(), seconds)
    assert words in machine.console(), (
        f"{machine.name} ended with {machine.exit_status()}: {machine.console()!r}"
    )


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """For what nobody announces."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)
