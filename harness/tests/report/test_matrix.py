"""Runs side by side."""

from __future__ import annotations

from rich.console import Console

from harness.report.ledger import Ledger, Verdict
from harness.report.matrix import matrix

from .ledgers import CONTRACT, SCENARIOS, ledger


def shown(*runs: Ledger) -> list[list[str]]:
    console = Console(width=200, record=True, color_system=None, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(matrix(runs, list(CONTRACT.requirements)))
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in captured.get().splitlines()
        if line.startswith("│")
    ]


def test_a_requirement_has_a_row_and_a_run_a_column() -> None:
    bad = ledger(verdicts={SCENARIOS[0]: Verdict.FAIL}, requirements=["HEAL-1"], run="two")

    rows = shown(ledger(run="one", requirements=["BND-1"]), bad)

    assert rows == [["BND-1", "pass", "·"], ["HEAL-1", "·", "FAIL"]]


def test_a_requirement_of_another_revision_has_a_row_too() -> None:
    rows = shown(ledger(requirements=["NEW-1"]), ledger(requirements=["BND-1"]))

    assert rows == [["BND-1", "·", "pass"], ["NEW-1", "pass", "·"]]
