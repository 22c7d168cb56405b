"""One run of scenarios, as the folder that it left tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.report.ledger import Ledger, LedgerProblem, Verdict

OUTPUT = "pytest.txt"
"""What pytest said, beside the folder of the run itself."""
APPLIED = "mutant applied to "
DOES_NOT_APPLY = "mutant does not apply: "
CANNOT_BE_LOADED = "mutant cannot be loaded: "
_NO_PROVISIONER = "the provisioner does not answer"


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """What is known of it."""

    ledger: Ledger | None
    problem: str = ""
    """Why there is no ledger that can be believed, in a line."""
    applied: bool = False
    """Whether any program said that an overlay was laid over it."""
    does_not_apply: str = ""
    """What the overlay would replace and does not find; empty where it found all."""
    dead: str = ""
    """How the implementation died before it did anything; empty where it lived."""

    @classmethod
    def read(cls, folder: Path) -> SuiteRun:
        """Of a folder that `harness.proof.suite.Suite.run` filled."""
        said = (folder / OUTPUT).read_text(errors="replace")
        ledger, problem = _ledger(folder, said)
        consoles = [said, *_consoles(folder)]
        return cls(
            ledger=ledger,
            problem=problem,
            applied=any(APPLIED in console for console in consoles),
            does_not_apply=_first_after(DOES_NOT_APPLY, consoles),
            dead=_death(folder, consoles, ledger),
        )


def _ledger(folder: Path, said: str) -> tuple[Ledger | None, str]:
    found = sorted(folder.glob("*/ledger.jsonl"))
    if not found:
        last = next((line for line in reversed(said.splitlines()) if line.strip(" =")), "pytest said nothing")
        return None, f"no scenario ran: {last.strip(' =')}"
    try:
        return Ledger.read(found[-1]), ""
    except LedgerProblem as problem:
        return None, str(problem)


def _consoles(folder: Path) -> Iterator[str]:
    for kept in sorted(folder.glob("*/artifacts/*")):
        for path in (*sorted(kept.glob("console-*.txt")), kept / "provisioner-start.txt"):
            if path.is_file():
                yield path.read_text(errors="replace")


def _first_after(words: str, consoles: list[str]) -> str:
    for console in consoles:
        _, found, rest = console.partition(words)
        if found:
            return rest.splitlines()[0]
    return ""


def _death(folder: Path, consoles: list[str], ledger: Ledger | None) -> str:
    """It is told from a failure by what the world saw: no machine that lived asked for nothing."""
    if unloaded := _first_after(CANNOT_BE_LOADED, consoles):
        return f"its overlay cannot be loaded: {unloaded}"
    lines = ledger.scenarios if ledger is not None else ()
    if lines and all(
        line.verdict == Verdict.COULD_NOT_RUN and line.reason.startswith(_NO_PROVISIONER) for line in lines
    ):
        return f"the provisioner dies at its start: {lines[0].reason.rstrip().splitlines()[-1]}"
    machines = [kept for kept in sorted(folder.glob("*/artifacts/*")) if any(kept.glob("console-*.txt"))]
    if any(map(_died, machines)) and not any(map(_did_something, machines)):
        return "every machine dies before it does anything: " + _last_words(next(filter(_died, machines)))
    return ""


def _died(kept: Path) -> bool:
    """Whether a machine ended by an error of its program, rather than was taken away before it got anywhere."""
    return any(
        "Traceback (most recent call last)" in path.read_text(errors="replace")
        for path in kept.glob("console-*.txt")
    )


def _did_something(kept: Path) -> bool:
    """Whether a machine asked AWS, in its role, or the template host for anything."""
    calls = [json.loads(line) for line in (kept / "aws-calls.jsonl").read_text().splitlines()]
    asked_aws = any(call["principal"].startswith("assumed-role/") for call in calls)
    return asked_aws or bool((kept / "template-requests.jsonl").read_text())


def _last_words(kept: Path) -> str:
    console = next(iter(sorted(kept.glob("console-*.txt")))).read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(console) if line.strip()), "without a word")
