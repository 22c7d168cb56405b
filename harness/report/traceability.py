"""From requirement to scenarios and checks: made from what ran, never from what the source seems to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.contract.requirements import Contract

from .ledger import Ledger, LedgerProblem, Verdict, verdicts_by_requirement


@dataclass(frozen=True, slots=True)
class Trace:
    """One requirement, and what exercised it in a run."""

    requirement: str
    verdict: Verdict
    checks: tuple[str, ...]
    scenarios: tuple[str, ...]
    """Without their parameters: a scenario over three templates and two transports is one."""


def latest_ledger(reports: Path) -> Path:
    """The ledger that was finished last. Raises LedgerProblem where there is none."""
    found = sorted(reports.glob("*/ledger.jsonl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise LedgerProblem(
            f"{reports}: no run has left a ledger here; run the scenarios first (make conformance)"
        )
    return found[-1]


def traces(contract: Contract, ledger: Ledger) -> list[Trace]:
    """One for each requirement of the contract, in its order. Raises LedgerProblem for another revision's ledger."""
    ledger.require_words_of(contract)
    verdicts = verdicts_by_requirement(ledger.checks, contract.requirements)
    made: dict[str, dict[str, None]] = {name: {} for name in contract.requirements}
    acted: dict[str, dict[str, None]] = {name: {} for name in contract.requirements}
    for line in ledger.checks:
        made[line.requirement][line.check] = None
        acted[line.requirement][line.scenario.partition("[")[0]] = None
    return [
        Trace(name, verdicts[name][0], tuple(sorted(made[name])), tuple(sorted(acted[name])))
        for name in contract.requirements
    ]
