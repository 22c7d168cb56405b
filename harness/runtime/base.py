"""What a machine and a volume are, whoever runs them: the seam between the world and a container engine.

Neither scenarios nor the oracle know anything below this line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from .tracer import Rival

Kind = Literal["file", "directory", "link", "fifo", "other"]


class RuntimeUnavailable(Exception):
    """This runtime cannot run here; the message says why and how to mend it."""


class MachineError(Exception):
    """A machine could not be made or started, or is not in the state that was asked for; in the engine's words."""


class NotSupported(Exception):
    """This runtime cannot do what was asked; what needed it could not run (which is not a failure)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a volume, as its file system tells it."""

    path: str
    """Relative to the volume's root, `/` between parts; bytes that are not UTF-8 are surrogate-escaped."""
    kind: Kind
    mode: int
    """Permission bits, 0 to 0o7777."""
    size: int
    inode: int
    mtime_ns: int
    ctime_ns: int
    sha256: str | None
    """Lower-case hex, of files only, and only where it was asked for and the file could be read."""
    target: str | None
    """Where a link points."""


class Volume(Protocol):
    """A persisted directory tree that outlives machines. Paths are relative to its root."""

    @property
    def name(self) -> str: ...

    def entries(self, under: str = "", *, digest: bool = True) -> dict[str, Entry]:
        """Every path at or below `under` but the root (links not followed), keyed by path, parents first.

        Empty if `under` does not exist, or lies behind a link.
        """

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError, IsADirectoryError, and OSError where a link or a fifo is, or is on the way.

        So do the verbs below: none of them follows a link.
        """

    def files(self, under: str = "") -> Iterator[tuple[str, bytes]]:
        """Every regular file with its content, one after another."""

    def write(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        """Write in place (same inode where the file exists), making parents.

        `mode` None keeps the mode that is there, or takes 0o644.
        """

    def make_directory(self, path: str) -> None: ...

    def make_link(self, path: str, target: str) -> None:
        """A symbolic link; what was at `path` must be gone."""

    def make_fifo(self, path: str) -> None: ...

    def chmod(self, path: str, mode: int) -> None: ...

    def remove(self, path: str) -> None:
        """A file, a link or a whole tree; the empty path empties the volume. Raises FileNotFoundError."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process inside a machine, seen from outside it."""

    pid: int
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """What befalls certain system calls of a machine."""

    calls: Mapping[str, int]
    """By Linux's name, the number of the first one that it befalls, from 1: each process and thread counts for itself,
    and each name for itself. A name that this architecture does not have is passed over."""
    effect: str | None
    """An errno by name, with which a call fails, not carried out; KILL, that cuts the machine's power before the call
    is carried out; None counts, and does nothing."""
    lasting: bool = True
    """Whether it befalls all further calls of the name too."""
    later_programs: bool = True
    """Whether it befalls also what the machine's processes execute from then on."""


class Injection(Protocol):
    """A fault at work in a machine."""

    def hits(self) -> int:
        """How often it came about: on the machine's volume, if it is an errno."""

    def on_volume(self) -> list[tuple[str, int, Rival]]:
        """The calls that concerned the volume, in order, by name and number: of the process that made most of them.

        With each, who else made a call of that name and number, and so could be befallen in its place.
        """

    def close(self) -> None:
        """Let the machine go on without. What was counted stays. Does nothing the second time."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is to be different about a machine."""

    memory: int | None = None
    """Bytes that it may use."""
    read_only: bool = False
    """Whether its volume is mounted read-only."""
    at: str | None = None
    """The `url` of a machine that was removed, whose address it is to have."""
    fault: InjectedFault | None = None


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What to run. In `command` and `environment`, `{data}`, `{port}`, `{python}` and `{home}` stand for where
    this runtime puts the volume, the port to listen on, a Python interpreter, and the implementation's directory.
    """

    name: str
    image: str | None
    """An image reference; None for runtimes that run commands of this computer."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 8080
    """The port that the program listens on, where the runtime does not have to choose another."""
    home: str = "."
    """The implementation's directory on this computer (process runtime only)."""
    memory: int | None = None
    """Bytes; None is no limit."""
    read_only: bool = False
    """Whether the volume is mounted read-only."""
    at: str | None = None
    """As of `Conditions`."""
    salvage: Mapping[str, Path] = field(default_factory=dict)
    """Directories of its root disk, each with the directory of this computer that its files are saved in before the
    machine is removed. A runtime whose machines have no root disk of their own ignores it."""


class Machine(Protocol):
    """A machine that was made but, until `start`, not powered on."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Power on: for the first time, or again after `stop` or `kill` with the same root disk.

        Raises MachineError.
        """

    def stop(self, grace: float) -> None:
        """Ask to shut down (SIGTERM), and cut the power after `grace` seconds, or at once of one that is frozen.

        Does nothing if off.
        """

    def kill(self) -> None:
        """Cut the power (SIGKILL to everything in it). Does nothing if off."""

    def pause(self) -> None:
        """Freeze every process in it."""

    def resume(self) -> None: ...

    def running(self) -> bool: ...

    def exit_status(self) -> int | None:
        """None while running, or if never started; 128 + n or -n when a signal n ended it."""

    def wait(self, timeout: float) -> int:
        """Wait until it is off, and give its exit status. Raises TimeoutError; MachineError if never started."""

    def url(self) -> str:
        """`http://host:port` of its port, as the harness reaches it. Valid once started."""

    def address(self) -> str:
        """Its own IP address, as other machines reach it. Valid once started."""

    def console(self) -> bytes:
        """Everything written to standard output and error since it was made, over all its starts.

        Also after `remove`.
        """

    def processes(self) -> list[Process]:
        """What runs in it now. Empty if off."""

    def inject(self, fault: InjectedFault) -> Injection:
        """Let it befall what runs in it now and what that starts; at work when this returns.

        Raises NotSupported; MachineError if off.
        """

    def remove(self) -> None:
        """Power off and delete it, its root disk with it; its volume stays. Does nothing the second time."""


class Runtime(Protocol):
    """Where machines run."""

    @property
    def name(self) -> str:
        """`docker` or `process`."""

    @property
    def bind_host(self) -> str:
        """The address that the world's servers listen on."""

    @property
    def advertise_host(self) -> str:
        """The host by which machines reach the world's servers."""

    def host_of(self, name: str) -> str:
        """The host by which machines will reach the machine of this name; known before it is made."""

    def create_volume(self, name: str) -> Volume:
        """An empty one. Raises FileExistsError."""

    def copy_volume(self, source: Volume, name: str) -> Volume:
        """A new volume with the same content, modes, owners and times, as a crash at this instant would leave it."""

    def remove_volume(self, volume: Volume) -> None:
        """Machines that have it, also those that are off, are to be removed before. Raises MachineError."""

    def require(self, conditions: Conditions) -> None:
        """Raises NotSupported where no machine can be made like this."""

    def create_machine(self, spec: MachineSpec, volume: Volume | None = None) -> Machine:
        """Make a machine, with `volume` (if any) at `{data}`. Raises MachineError, NotSupported."""

    def way_into(self, machine: Machine) -> str:
        """The command by which a person gets into a machine, or at least to the console of one that is off."""

    def way_to(self, volume: Volume) -> str:
        """The command by which a person gets to what is on a volume."""

    def leftovers(self) -> list[str]:
        """One line for each thing of this run and worker that still exists."""

    def close(self) -> None:
        """Remove everything this runtime made, machines first. Safe to call twice.

        Raises ExceptionGroup of what could not be removed, after everything else was.
        """
