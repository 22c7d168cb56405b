"""Lets chosen system calls of a machine fail, or end it, by attaching strace to its processes from outside.

Used in this process, or by a keeper in a container, so nothing but the standard library may be imported.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from collections import Counter, defaultdict
from contextlib import suppress
from threading import Condition, Thread
from typing import Literal

KILL = "KILL"
Rival = Literal["nobody", "a later program", "anybody"]
"""The second is passed over by a fault that spares later programs, unlike the process whose rival it is."""

_RIVALS: tuple[Rival, ...] = ("anybody", "a later program")
_WITHIN = 20.0
"""Seconds that strace has for attaching, or for letting go."""
_ATTACHED = re.compile(r"strace: Process \d+ attached")
_REFUSED = re.compile(r"strace: attach: .*: (?P<why>.+)")
_CALL = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\(")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. ")
_KILLED = re.compile(r"(?P<pid>\d+) +\+\+\+ killed by SIGKILL")


class Tracer:
    """An strace that follows some processes and all that they start, until they end or `close`."""

    def __init__(
        self,
        init: int,
        processes: list[int],
        *,
        calls: dict[str, int],
        effect: str | None,
        lasting: bool,
        later_programs: bool,
        below: str,
    ) -> None:
        """Returns once it is attached. `init` is the process with which the machine ends, `below` where its volume is.

        Raises FileNotFoundError without strace, PermissionError where it may not attach, OSError.
        """
        self._init = init
        self._there = frozenset(processes)
        self._effect = effect
        self._first = calls
        self._places = (f"<{below}>", f"<{below}/", f'"{below}/')
        self._changed = Condition()
        self._calls: Counter[tuple[int, str]] = Counter()
        self._latest: dict[int, str] = {}
        self._touched: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        self._unfinished: dict[int, str] = {}
        self._hits = 0
        self._answered = 0
        self._refusal: str | None = None
        self._ended = False
        # A question mark: a name that this architecture does not have is passed over.
        chosen = ",".join(f"?{call}" for call in calls)
        command = ["strace", "-f", "-y", "-e", f"trace={chosen}", "-e", "signal=KILL"]
        if not later_programs:
            command += ["-b", "execve"]  # let go of a process at the program that it executes
        command += ["-o", "/dev/stderr"]  # told by name, it puts the process before each line
        if effect is not None:
            what = f"signal={KILL}" if effect == KILL else f"error={effect}"
            for call, first in calls.items():
                command += ["-e", f"inject=?{call}:{what}:when={first}{'+' if lasting else ''}"]
        for process in processes:
            command += ["-p", str(process)]
        self._strace = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = Thread(target=self._read, name=f"strace-{init}", daemon=True)
        self._reader.start()
        self._await_attachment(len(processes))

    def hits(self) -> int:
        """How often the effect came about: on the volume, if it is an error."""
        with self._changed:
            return self._hits

    def on_volume(self) -> list[tuple[str, int, Rival]]:
        """The calls that concerned the volume, in order, by name and number: of the process that made most of them.

        With each, who else made a call of that name and number.
        """
        with self._changed:
            if not self._touched:
                return []
            process = max(self._touched, key=lambda each: len(self._touched[each]))
            rivals: Counter[tuple[Rival, str]] = Counter()
            for (other, name), count in self._calls.items():
                if other != process:
                    passed_over = process in self._there and other not in self._there
                    rival: Rival = "a later program" if passed_over else "anybody"
                    rivals[rival, name] = max(rivals[rival, name], count)
            return [
                (name, number, next((each for each in _RIVALS if rivals[each, name] >= number), "nobody"))
                for name, number in self._touched[process]
            ]

    def close(self) -> None:
        """Let go; the processes go on. What was counted stays. Safe to call twice."""
        self._strace.terminate()
        try:
            self._strace.wait(_WITHIN)
        except subprocess.TimeoutExpired:
            self._strace.kill()
            self._strace.wait()
        self._reader.join()

    def _await_attachment(self, processes: int) -> None:
        with self._changed:
            settled = self._changed.wait_for(lambda: self._ended or self._answered >= processes, _WITHIN)
            refusal = self._refusal or "it gave no reason"
        forbidden = "not permitted" in refusal
        if settled and not forbidden and not self._ended:
            return  # a process that had ended by then is no loss
        self.close()
        code = errno.EPERM if forbidden else errno.ESRCH
        raise OSError(code, f"strace could not attach: {refusal}", str(self._init))

    def _read(self) -> None:
        assert self._strace.stderr is not None
        with self._strace.stderr as lines:
            for line in lines:
                with self._changed:
                    self._take(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        if call := _CALL.match(line):
            process = int(call["pid"])
            name = self._latest[process] = call["name"]
            self._calls[process, name] += 1
            if self._concerns_the_volume(line):
                self._touched[process].append((name, self._calls[process, name]))
            if "<unfinished ..." in line:
                self._unfinished[process] = line
        elif resumed := _RESUMED.match(line):
            line = self._unfinished.pop(int(resumed["pid"]), "") + line
        if "(INJECTED)" in line and self._effect != KILL:
            self._hits += self._concerns_the_volume(line)
        elif (killed := _KILLED.match(line)) and self._effect == KILL:
            # A process that had not come so far was killed by somebody else.
            process = int(killed["pid"])
            name = self._latest.get(process, "")
            if self._calls[process, name] >= self._first.get(name, 1) and name and not self._hits:
                self._hits = 1
                with suppress(ProcessLookupError):
                    os.kill(self._init, signal.SIGKILL)
        elif _ATTACHED.search(line):
            self._answered += 1
        elif refused := _REFUSED.search(line):
            self._answered += 1
            self._refusal = refused["why"]

    def _concerns_the_volume(self, line: str) -> bool:
        return any(place in line for place in self._places)
