"""Processes that run scenarios against one mutant after another (see `harness.proof.automatic.serving`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.proof.suite import ROOT


class ServerBroken(Exception):
    """A server that does not answer any more; one line saying what it said last."""


@dataclass(frozen=True, slots=True)
class Done:
    """One scenario that came to its end."""

    scenario: str
    verdict: str
    failed: bool
    """Whether that is the implementation's fault."""
    reason: str
    checks: Sequence[str]
    """Those that failed."""
    judged: Sequence[str]
    """The requirements that it is about: those of its own checks, and not of the universal oracle's."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job."""

    folder: Path
    """Where artifacts and measurements are, if there are any."""
    done: tuple[Done, ...]
    """Up to the first that failed."""
    beyond_its_limit: str
    """The scenario that did not come to its end in time; empty where all did."""
    broke: bool
    """Whether the job ended before its end."""

    @property
    def failed(self) -> Done | None:
        return next((each for each in self.done if each.failed), None)


class Server:
    """One such process, which does one job at a time. Its output and its runs are in `folder`."""

    def __init__(self, folder: Path, selection: Sequence[str] = ("scenarios",)) -> None:
        """`selection` are pytest's own words. Raises ServerBroken."""
        folder.mkdir(parents=True)
        self._folder = folder
        jobs_from, self._jobs = os.pipe()
        answers, answers_to = os.pipe()
        command = [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-s", "--strict",
            "-p", "harness.proof.automatic.serving", "--jobs-from", str(jobs_from), "--answers-to", str(answers_to),
            "--runtime", "process", "--examples", "proof", "--reports", str(folder.resolve()), *selection,
        ]  # fmt: skip
        with (folder / "server.txt").open("wb") as output:
            # In a session of its own, so that Ctrl-C ends it once, by `close`.
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(jobs_from, answers_to),
                start_new_session=True,
            )
        os.close(jobs_from)
        os.close(answers_to)
        self._answers = os.fdopen(answers)
        self.scenarios: tuple[str, ...] = tuple(self._hear()["scenarios"])
        """Those that are not long."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self, limits: Sequence[tuple[str, float]], *, mutant: Path | None = None, measured: Path | None = None
    ) -> Answer:
        """Run scenarios in this order, to the first that fails, each to its limit in seconds. Raises ServerBroken.

        `mutant` is a folder as `pytest --mutant` takes it, `measured` the source folder of which it is to be told how
        much of it runs.
        """
        job = {
            "mutant": str(mutant.resolve()) if mutant is not None else None,
            "measured": str(measured) if measured is not None else None,
            "scenarios": [{"scenario": scenario, "limit": limit} for scenario, limit in limits],
        }
        with suppress(BrokenPipeError):  # then it does not answer either
            os.write(self._jobs, json.dumps(job).encode() + b"\n")
        heard = self._hear()
        return Answer(
            folder=self._folder / heard["run"],
            done=tuple(Done(**each) for each in heard["done"]),
            beyond_its_limit=heard["beyond_its_limit"],
            broke=heard["broke"],
        )

    def close(self) -> None:
        """Let it end; what it was doing is killed, and swept by whoever sweeps next."""
        with suppress(OSError):
            os.close(self._jobs)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        self._answers.close()  # not before whoever waits for an answer has heard that there is none

    def _hear(self) -> dict[str, Any]:
        if not (line := self._answers.readline()):
            said = (self._folder / "server.txt").read_text(errors="replace").strip().splitlines()
            raise ServerBroken(
                f"{said[-1] if said else 'it said nothing'}; see {self._folder / 'server.txt'}"
            )
        heard: dict[str, Any] = json.loads(line)
        return heard
