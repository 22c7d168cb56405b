"""Machines that are child processes of this one, with a private directory as volume: what runs where no engine answers.

A machine is a session of processes. What leaves the session is still known by a variable in its environment.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

import psutil

from . import workdir
from .base import Conditions, MachineError, MachineSpec, NotSupported, Process
from .freeze import paused
from .placeholders import fill
from .ports import Port
from .tracer import Tracer
from .volume import DirectoryVolume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import InjectedFault, Machine, Volume
    from .ownership import Owner

log = logging.getLogger(__name__)

OWNER_VARIABLE: Final = "CONFORMANCE_RUN"
"""Environment of every machine: the owner's labels as JSON."""
MACHINE_VARIABLE: Final = "CONFORMANCE_MACHINE"
"""Environment of every machine: its full name."""
RECORD: Final = "machine.json"
"""In a machine's directory: its session's id (`session`) and start (`started`, seconds since 1970), once it ran."""

_LOCALHOST = "127.0.0.1"
_END_SECONDS = 30
_NO_STRACE = (
    "faults are injected with strace, which is not on the PATH; install strace, or use the docker runtime"
)


def members(machine: str, session: int | None) -> list[psutil.Process]:
    """The processes of a machine, by its full name and its session, if that is known to be the machine's own."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = session is not None and os.getsid(process.pid) == session
            if not mine and process.environ().get(MACHINE_VARIABLE) != machine:
                continue
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
            continue
    return found


def kill_members(machine: str, session: int | None) -> int:
    """SIGKILL to all, until none is left that could have started another. How many there were."""
    killed: set[psutil.Process] = set()
    while fresh := set(members(machine, session)) - killed:
        for process in fresh:
            with suppress(ProcessLookupError):
                _kill(process.pid)
        killed |= fresh
    return len(killed)


def _kill(pid: int) -> None:
    """Kill, and wait for the end. It need not be a child of this process, and nobody need reap it."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        if not end.poll(_END_SECONDS * 1000):
            raise MachineError(f"process {pid} does not end, {_END_SECONDS} s after SIGKILL")
    finally:
        os.close(descriptor)


class ProcessMachine:
    """A `base.Machine` of this computer. Its root disk is a directory with its home and its temporary files."""

    def __init__(
        self, name: str, spec: MachineSpec, owner: Owner, directory: Path, volume: Volume | None
    ) -> None:
        self.name = name
        self._directory = directory
        self.volume = volume
        self.frozen = False
        self._data = volume.root if isinstance(volume, DirectoryVolume) else str(directory / "data")
        self._port = Port.any_free() if spec.at is None else Port.of(spec.at)
        self._child: subprocess.Popen[bytes] | None = None
        self._waiter: Thread | None = None
        self._last_words: bytes | None = None
        places = {
            "data": self._data,
            "port": str(self._port.number),
            "python": sys.executable,
            "home": str(Path(spec.home).resolve()),
        }
        self._command = [fill(part, places) for part in spec.command]
        for part in ("home", "tmp"):
            (directory / part).mkdir(parents=True)
        # Nothing of this process's own environment: it may hold what a machine must not see.
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(directory / "home"),
            "TMPDIR": str(directory / "tmp"),
            **{key: fill(value, places) for key, value in spec.environment.items()},
            OWNER_VARIABLE: json.dumps(owner.labels()),
            MACHINE_VARIABLE: name,
        }

    def start(self) -> None:
        if self._last_words is not None:
            raise MachineError(f"{self.name} was removed")
        if self.running():
            raise MachineError(f"{self.name} is running already")
        with self._console.open("ab") as console:
            try:
                child = subprocess.Popen(
                    self._command,
                    cwd=self._directory / "home",
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    start_new_session=True,
                )
            except OSError as error:
                raise MachineError(f"{self.name} cannot run {self._command[0]!r}: {error}") from error
        started = psutil.Process(child.pid).create_time()
        (self._directory / RECORD).write_text(json.dumps({"session": child.pid, "started": started}))
        self._child = child
        self.frozen = False
        self._waiter = Thread(
            target=self._power_off_after, args=(child,), name=f"wait-{self.name}", daemon=True
        )
        self._waiter.start()

    def stop(self, grace: float) -> None:
        if self._child is None or not self.running():
            return
        if self.frozen:  # it hears nothing, so that there is nothing to wait for
            self.kill()
            return
        self._signal(signal.SIGTERM)
        try:
            self.wait(grace)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        if self._child is None or self._waiter is None or not self.running():
            return
        self._signal(signal.SIGKILL)
        self._waiter.join()

    def pause(self) -> None:
        self._require_running()
        frozen: set[psutil.Process] = set()
        while fresh := set(self._members()) - frozen:  # one that is not stopped yet may start another
            for process in fresh:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            frozen |= fresh
        for process in frozen:
            _await_stop(process)
        self.frozen = True

    def resume(self) -> None:
        self._require_running()
        for process in self._members():
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self.frozen = False

    def running(self) -> bool:
        return self._waiter is not None and self._waiter.is_alive()

    def exit_status(self) -> int | None:
        return None if self._child is None or self.running() else self._child.returncode

    def wait(self, timeout: float) -> int:
        if self._child is None or self._waiter is None:
            raise MachineError(f"{self.name} was never started")
        self._waiter.join(timeout)
        if self._waiter.is_alive():
            raise TimeoutError(f"{self.name} still runs after {timeout:g} s")
        return int(self._child.returncode)

    def url(self) -> str:
        return f"http://{_LOCALHOST}:{self._port.number}"

    def address(self) -> str:
        return _LOCALHOST

    def console(self) -> bytes:
        if self._last_words is not None:
            return self._last_words
        return self._console.read_bytes() if self._console.exists() else b""

    def processes(self) -> list[Process]:
        found = []
        for process in self._members() if self.running() else []:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found.append(Process(process.pid, tuple(process.cmdline()), process.environ()))
        return found

    def inject(self, fault: InjectedFault) -> Tracer:
        self._require_running()
        assert self._child is not None
        there = [process.pid for process in self._members()]
        try:
            return Tracer(
                self._child.pid,
                there,
                calls=dict(fault.calls),
                effect=fault.effect,
                lasting=fault.lasting,
                later_programs=fault.later_programs,
                below=self._data,
            )
        except ProcessLookupError as error:
            raise MachineError(f"{self.name} is off") from error
        except FileNotFoundError as error:
            raise NotSupported(_NO_STRACE) from error
        except PermissionError as error:
            raise NotSupported(
                f"this computer lets strace attach to no machine ({error.strerror}); set kernel.yama.ptrace_scope "
                "to 0, or use the docker runtime"
            ) from error

    def remove(self) -> None:
        self.kill()
        self._last_words = self.console()
        self._port.release()
        _remove_directory(self._directory)

    @property
    def _console(self) -> Path:
        return self._directory / "console"

    def _members(self) -> list[psutil.Process]:
        return members(self.name, None if self._child is None else self._child.pid)

    def _require_running(self) -> None:
        if not self.running():
            raise MachineError(f"{self.name} is off")

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def _power_off_after(self, child: subprocess.Popen[bytes]) -> None:
        """A machine is off when its first process ends; like any machine that is switched off, the rest goes too."""
        # Not reaped yet, so that no stranger can come by the session's id while the rest is looked for.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        kill_members(self.name, child.pid)
        child.wait()


class ProcessRuntime:
    """A `base.Runtime` of this computer. It cannot limit memory, nor mount a volume read-only."""

    name = "process"
    bind_host = _LOCALHOST
    advertise_host = _LOCALHOST

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.directory = workdir.make(owner)
        """Where everything of this runtime is; others may keep things of the worker's in it."""
        self._machines: dict[str, ProcessMachine] = {}

    def host_of(self, name: str) -> str:  # noqa: ARG002 - all of them are on this computer
        return _LOCALHOST

    def create_volume(self, name: str) -> DirectoryVolume:
        full = self._owner.named(name)
        root = self.directory / "volumes" / full
        root.mkdir(parents=True)
        root.chmod(0o755)
        return DirectoryVolume(full, root)

    def copy_volume(self, source: Volume, name: str) -> Volume:
        copy = self.create_volume(name)
        with self._frozen(source):
            _own(source).copy_to(copy.root)
        return copy

    def remove_volume(self, volume: Volume) -> None:
        _remove_directory(Path(_own(volume).root))

    def require(self, conditions: Conditions) -> None:
        if conditions.memory is not None:
            raise NotSupported("the process runtime cannot limit a machine's memory; use the docker runtime")
        if conditions.read_only:
            raise NotSupported("the process runtime cannot mount a volume read-only; use the docker runtime")
        if conditions.fault is not None and shutil.which("strace") is None:
            raise NotSupported(_NO_STRACE)

    def create_machine(self, spec: MachineSpec, volume: Volume | None = None) -> Machine:
        self.require(Conditions(memory=spec.memory, read_only=spec.read_only))
        full = self._owner.named(spec.name)
        directory = self.directory / "machines" / full
        if directory.exists():
            raise MachineError(f"{full} exists already; remove it first, or choose another name")
        machine = ProcessMachine(full, spec, self._owner, directory, volume)
        self._machines[full] = machine
        return machine

    def way_into(self, machine: Machine) -> str:
        return f"cd {self.directory / 'machines' / machine.name}"

    def way_to(self, volume: Volume) -> str:
        return f"cd {_own(volume).root}"

    def leftovers(self) -> list[str]:
        places = [("volume", "volumes/*"), ("machine", "machines/*")]
        lines = [
            f"{kind} {path.name}" for kind, pattern in places for path in sorted(self.directory.glob(pattern))
        ]
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                machine = process.environ().get(MACHINE_VARIABLE, "")
                if machine.startswith(self._owner.prefix) and process.status() != psutil.STATUS_ZOMBIE:
                    lines.append(f"process {process.pid} of machine {machine}")
        return lines

    def close(self) -> None:
        failures: list[Exception] = []
        for machine in reversed(self._machines.values()):
            try:
                machine.remove()
            except Exception as error:  # the rest is to be removed all the same
                failures.append(error)
        try:
            workdir.remove(self.directory)
        except OSError as error:
            failures.append(error)
        if failures:
            raise ExceptionGroup(f"not everything of {self._owner.prefix}* could be removed", failures)
        self._machines.clear()

    @contextmanager
    def _frozen(self, volume: Volume) -> Iterator[None]:
        """Nothing writes to the volume meanwhile."""
        awake = [
            machine
            for machine in list(self._machines.values())
            if machine.volume is not None
            and machine.volume.name == volume.name
            and machine.running()
            and not machine.frozen
        ]
        with paused(awake):
            yield


def _own(volume: Volume) -> DirectoryVolume:
    if not isinstance(volume, DirectoryVolume):
        raise TypeError(f"{volume.name} is not a volume of the process runtime")
    return volume


def _remove_directory(directory: Path) -> None:
    with suppress(FileNotFoundError):
        DirectoryVolume("parent", directory.parent).remove(directory.name)


def _await_stop(process: psutil.Process) -> None:
    """Until it has left the system call it was in. Nobody is told when a child of a child stops, so it is looked at."""
    deadline = time.monotonic() + 5
    with suppress(psutil.NoSuchProcess):
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            if time.monotonic() > deadline:
                raise MachineError(f"process {process.pid} does not stop: {process.status()}")
            time.sleep(0.001)
