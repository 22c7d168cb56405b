"""The one stream that everything shown is derived from: JSON lines with a header and a mandatory footer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TextIO


class LedgerProblem(Exception):
    """A ledger that must not be believed; the message says why."""


class Verdict(StrEnum):
    """What a check, a scenario or a requirement came to; the worse, the later."""

    NOT_EXERCISED = "not exercised"
    NOT_APPLICABLE = "not applicable"
    PASS = "pass"  # noqa: S105 - a verdict
    COULD_NOT_RUN = "could not run"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)


@dataclass(frozen=True, slots=True)
class Header:
    """What was judged, by what, and where."""

    run: str
    started: str
    contract: str
    contract_digest: str
    implementation: str
    implementation_version: str
    harness_version: str
    runtime: str
    transports: list[str]
    templates: list[str]
    environment: dict[str, str]
    mutant: str | None = None
    kind: str = "header"


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check, made once."""

    scenario: str
    step: str
    check: str
    requirement: str
    verdict: str
    saw: str
    problems: list[str] = field(default_factory=list)
    universal: bool = False
    """Whether it was made because it must always hold, and not because the scenario is about it."""
    kind: str = "check"


@dataclass(frozen=True, slots=True)
class ScenarioLine:
    """One scenario, with the steps it took and where its time went (seconds)."""

    scenario: str
    verdict: str
    reason: str
    boots: list[str]
    examples: int
    """How many generated ones it looked at."""
    seconds: dict[str, float]
    reproduce: str
    worker: str
    kind: str = "scenario"


@dataclass(frozen=True, slots=True)
class Footer:
    """Proof that the run came to its end. Counts are of scenarios, by verdict."""

    finished: str
    exit_status: int
    scenarios: dict[str, int]
    checks: dict[str, int]
    kind: str = "footer"


class Writer:
    """Appends to a ledger and flushes each line, so that a broken run still tells how far it came."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: TextIO = path.open("x", encoding="utf-8")
        self._scenarios: Counter[str] = Counter()
        self._checks: Counter[str] = Counter()
        self._write(asdict(header))

    def add(self, line: Mapping[str, Any]) -> None:
        """A check or a scenario, as `dataclasses.asdict` gives it (it may have come from another process)."""
        if line["kind"] == "check":
            self._checks[line["verdict"]] += 1
        else:
            self._scenarios[line["verdict"]] += 1
        self._write(line)

    def close(self, *, finished: str, exit_status: int) -> None:
        """Write the footer. Without it the ledger is that of a broken run."""
        self._write(asdict(Footer(finished, exit_status, dict(self._scenarios), dict(self._checks))))
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")
        self._file.flush()


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole run."""

    header: Header
    checks: tuple[CheckLine, ...]
    scenarios: tuple[ScenarioLine, ...]
    footer: Footer

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises LedgerProblem: no such file, not JSON lines, no header, no footer, lines behind the footer."""
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            raise LedgerProblem(f"{path}: no such ledger") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as wrong:
            raise LedgerProblem(
                f"{path}: not JSON lines ({wrong}): the run broke, or the file was cut"
            ) from None
        if not lines or lines[0].get("kind") != "header":
            raise LedgerProblem(f"{path}: no header: this is no ledger")
        if lines[-1].get("kind") != "footer":
            raise LedgerProblem(f"{path}: no footer: the run broke before its end, so it proves nothing")
        try:
            return cls(
                Header(**lines[0]),
                tuple(CheckLine(**line) for line in lines[1:-1] if line["kind"] == "check"),
                tuple(ScenarioLine(**line) for line in lines[1:-1] if line["kind"] == "scenario"),
                Footer(**lines[-1]),
            )
        except (KeyError, TypeError) as wrong:
            raise LedgerProblem(f"{path}: a line is not what this harness writes: {wrong}") from None


def verdicts_by_requirement(
    lines: Iterable[CheckLine], requirements: Iterable[str]
) -> dict[str, tuple[Verdict, Counter[Verdict]]]:
    """The worst verdict of each requirement's checks, and how many checks came to what."""
    counts: dict[str, Counter[Verdict]] = {name: Counter() for name in requirements}
    for line in lines:
        counts[line.requirement][Verdict(line.verdict)] += 1
    return {
        name: (max(seen, key=lambda verdict: verdict.rank, default=Verdict.NOT_EXERCISED), seen)
        for name, seen in counts.items()
    }
