"""What the commands say of a run that is over, from its ledger alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.ledger import Ledger, LedgerProblem, Verdict
from harness.tests.report.runs import check, run, waiver, written


@pytest.mark.parametrize(
    ("ledger", "options", "status", "words"),
    [
        (run(), ["--gate", "--strict"], 0, "conforms"),
        (run(runtime="process"), ["--gate"], 6, "use --runtime docker"),
        (run([check(verdict=Verdict.FAIL)]), [], 1, "HEAL-1 does not hold"),
        (run(waivers=[waiver()]), [], 1, "the waiver is stale, so remove it"),
        (run(waivers=[waiver(expires="2026-05-31")]), [], 1, "the waiver has expired"),
        (run(footer={"checks": {"pass": 1}}), [], 3, "the ledger is not whole"),
        (run(contract_digest="0" * 64), [], 4, "judged by other words"),
    ],
)
def test_a_verdict_needs_nothing_but_the_ledger(
    tmp_path: Path, ledger: Ledger, options: list[str], status: int, words: str
) -> None:
    path = written(ledger, tmp_path / "ledger.jsonl")

    told = CliRunner().invoke(app, ["verdict", str(path), *options])

    assert told.exit_code == status, told.output
    assert words in told.output


@pytest.mark.parametrize("lines", [1, 2, -1])
def test_a_ledger_that_was_cut_is_never_green(tmp_path: Path, lines: int) -> None:
    path = written(run(), tmp_path / "ledger.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))

    told = CliRunner().invoke(app, ["verdict", str(path)])

    assert told.exit_code == 3
    assert "no footer: the run broke before its end" in told.output


def test_wherever_a_ledger_was_cut_it_is_not_believed(tmp_path: Path) -> None:
    path = written(run(), tmp_path / "ledger.jsonl")
    whole = path.read_bytes()

    for length in range(0, len(whole.rstrip()), len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(LedgerProblem):
            Ledger.read(path)


def test_a_ledger_that_lost_lines_from_its_middle_is_never_green(tmp_path: Path) -> None:
    path = written(run(), tmp_path / "ledger.jsonl")
    first, _, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, *others]))

    told = CliRunner().invoke(app, ["verdict", str(path)])

    assert told.exit_code == 3
    assert "the ledger is not whole" in told.output
