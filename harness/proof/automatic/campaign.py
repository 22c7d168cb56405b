"""Runs mutants against the scenarios that reach what they change."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from harness.contract.manifest import Implementation
from harness.contract.requirements import Contract
from harness.images import lay_out
from harness.proof.mutant import load_mutant
from harness.proof.suite_run import CANNOT_BE_LOADED, DOES_NOT_APPLY
from harness.report.recording import shown
from harness.runtime.placeholders import fill

from .kept import Kept
from .mutation import Module, Mutation
from .outcome import KILLS, SURVIVORS, Outcome, Row
from .pool import Pool
from .reach import Reach, Reached, about, around, choose
from .servers import Answer, Server

_TIMES, _MORE = 3.0, 5.0
"""A scenario may take so many times what it took the good implementation, and so many seconds more."""
_STAND_UP = 20.0
"""Seconds that the first of them may take besides: its cloud has to be stood up."""
_LOAD_SECONDS = 60.0


@dataclass
class Campaign:
    """What all mutants of a draw share."""

    folder: Path
    """Of its own; `mutants/<id>` in it is what `pytest --mutant` takes."""
    contract: Contract
    implementation: Implementation
    modules: Sequence[Module]
    reach: Reach
    kept: Sequence[Kept]
    bound: int
    """How many scenarios a mutant has to survive, before those about its module's requirements."""
    _good: dict[str, bool] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def run(self, pool: Pool, mutations: Sequence[Mutation]) -> Iterator[Row]:
        """In the order in which they are done. Raises ServerBroken."""
        return pool.each(self._judge, mutations)

    def _judge(self, server: Server, mutation: Mutation) -> Row:
        began = time.monotonic()
        diff = mutation.edit.shown(mutation.path, self._module(mutation).text)
        entry = next((each for each in self.kept if each.explains(mutation)), None)
        reaching = self.reach.reaching(mutation, self.modules)
        chosen = choose(reaching, mutation.module, around(mutation, self.modules), self.bound)
        if entry is None:  # an explained one is expected to survive these as well
            others = [each for each in reaching if each not in chosen]
            chosen += about(others, self._requirements(mutation))
        if not chosen:
            if entry is not None:
                return Row(mutation, Outcome.EQUIVALENT, entry.reason, diff=diff)
            return Row(mutation, Outcome.NOT_REACHED, "no quick scenario runs what it changes", diff=diff)
        laid = lay(mutation, self.folder / "mutants" / mutation.id, self.contract, diff)
        outcome, reason, ran = self._meet(server, mutation, laid, chosen)
        again = shlex.join(
            ["pytest", *ran[-1:], "--runtime", "process", "--strict", "--mutant", shown(laid)]
            if outcome in KILLS
            else ["pytest", *ran, "--runtime", "process", "--strict", "--mutant", shown(laid)]
        )
        if entry is not None and outcome in SURVIVORS:
            outcome, reason = Outcome.EQUIVALENT, entry.reason
        elif entry is not None and outcome in KILLS:
            outcome, reason = Outcome.DISPROVED, f"{reason}; yet it is kept as equivalent: {entry.reason}"
        return Row(mutation, outcome, reason, tuple(ran), time.monotonic() - began, diff, again)

    def _meet(
        self, server: Server, mutation: Mutation, laid: Path, chosen: Sequence[Reached]
    ) -> tuple[Outcome, str, list[str]]:
        """The outcome, why, and the scenarios that were run."""
        ran: list[str] = []
        left, doubtful = list(chosen), ""
        while left:
            answer = server.run(limits(left), mutant=laid)
            ended = [each.scenario for each in answer.done]
            ran += ended
            stopped = answer.beyond_its_limit or (answer.failed.scenario if answer.failed is not None else "")
            if answer.broke and not answer.failed:
                return Outcome.COULD_NOT_RUN, "the process that ran it came to an end", ran
            if not stopped:
                break
            if answer.beyond_its_limit:
                ran.append(stopped)
            if (wrong := self._broken(mutation, laid, answer)) is not None:
                return wrong[0], wrong[1], ran
            seconds = next(each.seconds for each in chosen if each.scenario == stopped)
            slow = bool(answer.beyond_its_limit)
            if self._passes(server, stopped, seconds, anew=slow) and (
                not slow or self._fails_again(server, stopped, seconds, laid)
            ):
                shutil.rmtree(answer.folder, ignore_errors=True)
                if answer.failed is None:
                    return Outcome.TIMED_OUT, f"{stopped} takes {seconds:.1f} s else", ran
                return Outcome.KILLED, ", ".join(answer.failed.checks) or answer.failed.reason, ran
            # What the good implementation fails as well, or the mutant only once, says nothing: go on behind it.
            doubtful = stopped
            left = left[1 + [each.scenario for each in left].index(stopped) :]
        if doubtful and len(ran) == 1:
            return Outcome.COULD_NOT_RUN, f"{doubtful} fails with the good implementation too", ran
        return Outcome.SURVIVED, f"{len(ran)} scenarios", ran

    def _passes(self, server: Server, scenario: str, seconds: float, *, anew: bool) -> bool:
        """Whether the good implementation passes it here and now: once a proof, or `anew` where time is what counts."""
        with self._lock:
            if not anew and scenario in self._good:
                return self._good[scenario]
        answer = server.run(limits([Reached(scenario, seconds, {})]))
        passes = [each.verdict for each in answer.done] == ["pass"]
        shutil.rmtree(answer.folder, ignore_errors=True)
        with self._lock:
            self._good[scenario] = passes
        return passes

    def _fails_again(self, server: Server, scenario: str, seconds: float, laid: Path) -> bool:
        """Whether it was the mutant that took so long, and not a computer that was busy for a while."""
        answer = server.run(limits([Reached(scenario, seconds, {})]), mutant=laid)
        shutil.rmtree(answer.folder, ignore_errors=True)
        return bool(answer.beyond_its_limit) or answer.failed is not None

    def _broken(self, mutation: Mutation, laid: Path, answer: Answer) -> tuple[Outcome, str] | None:
        """Why what failed is no kill; None where it is one."""
        said = [answer.failed.reason] if answer.failed is not None else []
        said += [path.read_text(errors="replace") for path in answer.folder.glob("artifacts/*/*.txt")]
        for console in said:
            for words in (CANNOT_BE_LOADED, DOES_NOT_APPLY):
                _, found, rest = console.partition(words)
                if found:
                    return Outcome.BROKEN, f"{words}{rest.splitlines()[0]}"
        if mutation.statement.at_import and (wrong := self._does_not_load(laid)):
            return Outcome.BROKEN, wrong
        return None

    def _does_not_load(self, laid: Path) -> str:
        """How the implementation's modules fail to be imported; empty where they do not."""
        overlay = laid / "laid-out"
        lay_out(load_mutant(laid, self.contract), overlay)
        program = self.implementation.provisioner.process
        path = program.environment.get("PYTHONPATH", "") if program is not None else ""
        own = fill(path, {"home": str(self.implementation.home.resolve())})
        # A __main__ is a program, and would run.
        names = [each.name for each in self.modules if not each.name.endswith(".__main__")]
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, *names],
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": f"{overlay}:{own}"},
            capture_output=True, text=True, timeout=_LOAD_SECONDS, check=False,
        )  # fmt: skip
        shutil.rmtree(overlay)
        return done.stderr.strip().splitlines()[-1] if done.returncode else ""

    def _requirements(self, mutation: Mutation) -> set[str]:
        """Those that the mutant's module names, as what it is for."""
        text = self._module(mutation).text
        return {each for each in self.contract.requirements if re.search(rf"\b{each}\b", text)}

    def _module(self, mutation: Mutation) -> Module:
        return next(each for each in self.modules if each.name == mutation.module)


_LOAD = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def limits(chosen: Sequence[Reached]) -> list[tuple[str, float]]:
    """In seconds."""
    return [
        (each.scenario, _TIMES * each.seconds + _MORE + (_STAND_UP if number == 0 else 0.0))
        for number, each in enumerate(chosen)
    ]


def lay(mutation: Mutation, folder: Path, contract: Contract, diff: str) -> Path:
    """Make of it a mutant as `pytest --mutant` takes it: anything of the contract may catch it."""
    folder.mkdir(parents=True, exist_ok=True)
    where = f"{mutation.module}{f', {mutation.statement.within}' if mutation.statement.within else ''}"
    breaks = f"Line {mutation.edit.line} of {where}, by {mutation.operator}."
    (folder / "mutant.toml").write_text(
        f"breaks = {json.dumps(breaks)}\ncaught_by = {json.dumps(list(contract.requirements))}\n"
        f'scenarios = "test"\n'
    )
    edit = mutation.edit
    (folder / "overlay.py").write_text(
        f"from mutation import edit\n\nedit({mutation.module!r}, line={edit.line}, "
        f"was={list(edit.was)!r}, becomes={list(edit.becomes)!r})\n"
    )
    (folder / "mutant.diff").write_text(f"{diff}\n")
    return folder
