"""A container that is about to go has its console still, which the engine no longer gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from harness.runtime.base import MachineError
from harness.runtime.docker import DockerMachine


class Engine:
    """One container that has ended. It gives no console while it is marked for removal."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.machine: DockerMachine | None = None
        self.while_removed: list[bytes] = []
        self.removals = 0
        self._stubborn = stubborn
        self._marked = False

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"State": {"Running": False, "ExitCode": 3, "Pid": 0, "Paused": False}}

    def start(self, container: str) -> None:
        pass

    def logs(self, container: str, **options: object) -> bytes:
        if self._marked:
            raise APIError("can not get logs from container which is dead or marked for removal")
        return b"its last words\n"

    def remove_container(self, container: str, **options: object) -> None:
        assert self.machine is not None
        self._marked = True
        self.removals += 1
        self.while_removed.append(self.machine.console())
        if self._stubborn and self.removals == 1:
            raise APIError("device or resource busy")


def machine_in(engine: Engine) -> DockerMachine:
    runtime: Any = SimpleNamespace(client=SimpleNamespace(api=engine))
    engine.machine = DockerMachine(runtime, "i-1", "c1", 8080, None, None, {})
    return engine.machine


def test_a_console_is_there_while_and_after_the_machine_is_removed() -> None:
    engine = Engine()
    machine = machine_in(engine)

    machine.remove()
    machine.remove()

    assert engine.while_removed == [b"its last words\n"]
    assert machine.console() == b"its last words\n"
    assert not machine.running()
    assert engine.removals == 1


def test_a_removal_that_failed_is_tried_again() -> None:
    engine = Engine(stubborn=True)
    machine = machine_in(engine)

    with pytest.raises(MachineError, match="cannot be removed"):
        machine.remove()
    machine.remove()

    assert engine.removals == 2
    assert machine.console() == b"its last words\n"
