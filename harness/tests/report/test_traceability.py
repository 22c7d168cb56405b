"""What exercised a requirement is told from what ran."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.contract.requirements import load_contract
from harness.report.ledger import CheckLine, Footer, Header, Ledger, LedgerProblem, Verdict
from harness.report.traceability import latest_ledger, traces

CONTRACT = load_contract()


def ledger(*lines: CheckLine) -> Ledger:
    header = Header(
        run="abc", started="", contract="1.0", contract_digest=CONTRACT.digest, implementation="reference",
        implementation_version="1", harness_version="1", runtime="docker", transports=[], templates=[], environment={},
    )  # fmt: skip
    return Ledger(header, lines, (), Footer("", 0, {}, {}))


def check(scenario: str, name: str, requirement: str, verdict: Verdict = Verdict.PASS) -> CheckLine:
    return CheckLine(scenario, "provision", name, requirement, verdict.value, "")


def test_each_requirement_has_its_checks_and_scenarios_once() -> None:
    run = ledger(
        check("a.py::test_a[git]", "bnd_1_x", "BND-1"),
        check("a.py::test_a[archive]", "bnd_1_x", "BND-1"),
        check("b.py::test_b", "bnd_1_y", "BND-1", Verdict.FAIL),
    )

    trace, *others = traces(CONTRACT, run)

    assert (trace.requirement, trace.verdict) == ("BND-1", Verdict.FAIL)
    assert trace.checks == ("bnd_1_x", "bnd_1_y")
    assert trace.scenarios == ("a.py::test_a", "b.py::test_b")
    assert {other.verdict for other in others} == {Verdict.NOT_EXERCISED}
    assert len(others) == len(CONTRACT.requirements) - 1


def test_a_run_judged_by_other_words_is_refused() -> None:
    run = ledger()
    other = replace(run, header=replace(run.header, contract_digest="0" * 64))

    with pytest.raises(LedgerProblem, match="judged by other words"):
        traces(CONTRACT, other)


def test_the_latest_ledger_is_the_one_that_was_written_last(tmp_path: Path) -> None:
    for age, run in enumerate(("older", "newer")):
        (tmp_path / run).mkdir()
        (tmp_path / run / "ledger.jsonl").touch()
        os.utime(tmp_path / run / "ledger.jsonl", (1000 + age, 1000 + age))

    assert latest_ledger(tmp_path).parent.name == "newer"


def test_where_nothing_ran_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerProblem, match="run the scenarios first"):
        latest_ledger(tmp_path)
