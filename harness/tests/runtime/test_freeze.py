"""Machines held still: none stays so when another cannot be, and a kernel that is busy is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from harness.runtime.base import Machine, MachineError
from harness.runtime.freeze import freeze_patiently, paused

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = "OCI runtime pause failed: unable to freeze: unknown"


class Held:
    """A machine as far as holding it still goes."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[str] = []
        self._refuses = refuses

    def pause(self) -> None:
        if self._refuses:
            raise MachineError("cannot be paused")
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


def machine(held: Held) -> Machine:
    return cast("Machine", held)


def test_all_go_on_behind_the_block() -> None:
    both = Held(), Held()

    with paused([machine(each) for each in both]):
        assert [each.told for each in both] == [["pause"], ["pause"]]

    assert [each.told for each in both] == [["pause", "resume"], ["pause", "resume"]]


def test_none_stays_held_when_another_cannot_be() -> None:
    first, second = Held(), Held(refuses=True)

    with pytest.raises(MachineError), paused([machine(first), machine(second)]):
        pytest.fail("the block must not run while one of them does")

    assert (first.told, second.told) == (["pause", "resume"], [])


def failing(times: int, error: str) -> tuple[Callable[[], None], list[int]]:
    tries: list[int] = []

    def freeze() -> None:
        tries.append(1)
        if len(tries) <= times:
            raise OSError(error)

    return freeze, tries


def test_a_busy_kernel_is_asked_again() -> None:
    freeze, tries = failing(2, BUSY)

    freeze_patiently(freeze)

    assert len(tries) == 3


def test_one_that_stays_busy_is_given_up() -> None:
    freeze, tries = failing(1000, BUSY)

    with pytest.raises(OSError, match="unable to freeze"):
        freeze_patiently(freeze, patience=0.2)

    assert 1 < len(tries) < 1000


def test_another_refusal_is_final() -> None:
    freeze, tries = failing(1, "No such container")

    with pytest.raises(OSError, match="No such container"):
        freeze_patiently(freeze)

    assert len(tries) == 1
