"""Scenarios run by a pytest of their own, as a user would, with everything that they leave in a folder of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from .suite_run import OUTPUT, SuiteRun

ROOT = Path(__file__).parents[2]
"""The folder of the scenarios and fixtures."""
_LONGEST = 2 * 3600.0
"""Seconds after which a run is given up. The whole suite takes a fraction of it, and whoever waits for a mutant that
answers nothing waits for its scenarios' own deadlines."""
_GRACE = 60.0
"""Seconds that an interrupted run has for taking its cloud down."""
_LOOK = 0.5
"""Seconds between two looks at how far a run has come."""


@dataclass
class Suite:
    """Runs scenarios, side by side if asked from several threads."""

    _live: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _closed: bool = False

    def run(
        self,
        folder: Path,
        runtime: str,
        words: Sequence[str],
        *,
        at_each: Callable[[int], None] = lambda _: None,
    ) -> SuiteRun:
        """`words` select scenarios and say what is judged, each SHOULD as strictly as a MUST.

        `at_each` is told how many scenarios have ended.
        """
        folder.mkdir(parents=True)
        command = [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict",
            "--runtime", runtime, "--examples", "proof", "--reports", str(folder.resolve()), *words,
        ]  # fmt: skip
        with (folder / OUTPUT).open("wb") as output:
            # In a session of its own, so that Ctrl-C interrupts it once, by `close`, and not amid its own clearing up.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with self._lock:
                self._live.add(process)
                if self._closed:
                    process.send_signal(signal.SIGINT)
            try:
                _wait(process, folder, at_each)
            except BaseException:
                _interrupt(process)
                raise
            finally:
                with self._lock:
                    self._live.discard(process)
        at_each(_ended(folder))
        return SuiteRun.read(folder)

    def close(self) -> None:
        """Interrupt what still runs, so that it clears up behind itself; nothing may be started any more."""
        with self._lock:
            self._closed = True
            live = list(self._live)
        for process in live:
            process.send_signal(signal.SIGINT)


def divided(workers: int) -> list[str]:
    """The words that have so many workers run one suite."""
    return ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else ["-n", "0"]


def _wait(process: subprocess.Popen[bytes], folder: Path, at_each: Callable[[int], None]) -> None:
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
            return
        at_each(_ended(folder))
    _interrupt(process)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"kind":"scenario"') for path in folder.glob("*/ledger.jsonl"))
