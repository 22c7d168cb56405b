"""The matrix as a page that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.contract.requirements import load_contract
from harness.proof import page
from harness.proof.matrix import Matrix, Reference, assess
from harness.report.ledger import Verdict

from .invented import check, ledger, mutant, run_of

HOSTILE = "<script>alert('x')</script>"
REFERENCE = Reference.of([ledger({"a": (Verdict.PASS, []), "b": (Verdict.FAIL, [])})])


def matrix() -> Matrix:
    killed = run_of({"a": (Verdict.FAIL, [check("HEAL-1", Verdict.FAIL, problem=HOSTILE)])})
    survived = run_of({"a": (Verdict.PASS, [check("SKL-1", Verdict.PASS)])})
    return Matrix(
        proof="proof-1",
        contract="1.0",
        contract_digest="d" * 64,
        runtime="process",
        reference=REFERENCE,
        rows=(
            assess(
                mutant("HEAL-1", name="reused", incident="It ran on a stub for ever."), [killed], REFERENCE
            ),
            assess(mutant("SKL-1", name="capped"), [survived], REFERENCE),
        ),
        scope=("SKL-1", "HEAL-1"),
        complete=False,
    )


def test_the_summary_comes_first_and_what_is_unproven_is_named() -> None:
    shown = page.render(matrix(), load_contract())

    places = [
        shown.index(words)
        for words in ("Not proven", "<b>1</b>survived", "Unproven requirements", "× requirement")
    ]
    assert places == sorted(places)
    assert "1 of 2 requirements proven" in shown
    unproven = shown[shown.index("Unproven requirements") : shown.index("Mutant × requirement")]
    assert re.findall(r"<code>([A-Z]+-\d+)</code>", unproven) == ["SKL-1"]


def test_a_kill_is_told_with_its_incident_its_check_and_the_command() -> None:
    shown = page.render(matrix(), load_contract())

    assert "Incident: It ran on a stub for ever." in shown
    assert re.search(r'<td class="killed-it-as-it-should" title="HEAL-1 × reused: killed it', shown)
    assert re.search(r'<td class="should-have-killed-it-and-did-not" title="SKL-1 × capped', shown)
    assert "<code>heal_1_holds</code> in <code>a</code>" in shown
    assert "Again: <code>pytest a</code>" in shown


def test_nothing_that_an_implementation_says_becomes_markup() -> None:
    shown = page.render(matrix(), load_contract())

    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown


def test_it_asks_nobody_for_anything() -> None:
    shown = page.render(matrix(), load_contract())

    assert not re.search(r"<script|<link|<img|src=|url\(|https?://|@import", shown)


def test_both_files_are_written_where_the_proof_is(tmp_path: Path) -> None:
    shown, data = page.write(matrix(), load_contract(), tmp_path)

    assert shown == tmp_path / "kill-matrix.html"
    assert shown.read_text().startswith("<!doctype html>")
    assert json.loads(data.read_text())["unproven"] == ["SKL-1"]
