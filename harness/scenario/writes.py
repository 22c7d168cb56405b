"""Where in a boot its volume is written to, so that a fault can be aimed at it and not at what else a machine does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from harness.runtime.base import Conditions, InjectedFault
from harness.runtime.tracer import Rival

from .scenario import Scenario
from .workspace import Workspace

NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat")
REMOVAL = ("unlink", "unlinkat", "rmdir")
MODES = ("chmod", "fchmod", "fchmodat", "fchmodat2")
CONTENT = (
    "pwrite64",
    "pwritev",
    "pwritev2",
    "copy_file_range",
    "sendfile",
    "fallocate",
    "truncate",
    "ftruncate",
)
DURABILITY = ("fsync", "fdatasync", "syncfs")
PLAIN = ("write", "writev")
"""They are also how programs speak to each other, and to a console."""
CHANGES = (*NAMES, *REMOVAL, *MODES, *CONTENT, *DURABILITY, *PLAIN)
"""The system calls that change what is on a volume, or make it durable."""


class Write(NamedTuple):
    """One system call of a boot: the `number`-th of its name that its process makes."""

    call: str
    number: int
    rival: Rival
    """Who else makes a call of that name and number."""

    @property
    def killing(self) -> InjectedFault:
        """Cuts the power at it."""
        later_programs = self.rival == "nobody"
        return InjectedFault({self.call: self.number}, "KILL", later_programs=later_programs)

    def __str__(self) -> str:
        return f"{self.call} no. {self.number}"


def writes_of_a_restart(scenario: Scenario, workspace: Workspace) -> list[Write]:
    """Restart it, and see which calls change its volume, in order. A boot like this one will make them too.

    Left out are those at which no fault could be aimed.
    """
    with workspace.next_machine(Conditions(fault=InjectedFault(dict.fromkeys(CHANGES, 1), None))) as trial:
        workspace.restart()
    seen = trial.injection.on_volume() if trial.injection is not None else []
    writes = [write for write in (Write(*call) for call in seen) if write.rival != "anybody"]
    scenario.proven("an undisturbed boot was seen to write to its volume", len(writes))
    return writes


def spread(writes: Sequence[Write], points: int) -> list[Write]:
    """The first, the last, and those that lie evenly between."""
    last = len(writes) - 1
    return [writes[round(number * last / (points - 1))] for number in range(points)]


def failing_with(errno: str, calls: Collection[str], writes: Sequence[Write]) -> InjectedFault:
    """Each of these calls fails from the first of `writes` that it is one of: on this volume, and from then on."""
    first: dict[str, int] = {}
    for write in writes:
        if write.call in calls and write.rival == "nobody":
            first.setdefault(write.call, write.number)
    return InjectedFault(first, errno)
