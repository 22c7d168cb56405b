"""What counts as a kill, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.contract.requirements import load_contract
from harness.proof.matrix import Cell, Matrix, Outcome, Reference, Row, assess, scope_of
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import CheckLine, Verdict

from .invented import check, ledger, mutant, run_of

PASS, FAIL, COULD_NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.COULD_NOT_RUN
REFERENCE = Reference.of(
    [
        ledger({"a": (PASS, [check("HEAL-1", PASS)]), "b": (PASS, [check("SKL-1", PASS)])}),
        ledger({"flaky": (FAIL, [check("HEAL-1", FAIL)])}, reasons={"flaky": "too late"}),
    ]
)


def one(verdict: Verdict, *checks: CheckLine, scenario: str = "a", applied: bool = True) -> Row:
    """The row of a mutant that HEAL-1 should catch, of one scenario."""
    return assess(mutant("HEAL-1"), [run_of({scenario: (verdict, list(checks))}, applied=applied)], REFERENCE)


def test_a_mutant_is_killed_by_the_requirement_that_it_breaks() -> None:
    row = one(
        FAIL,
        check("SKL-1", FAIL),
        check("CHN-5", FAIL, universal=True),
        check("HEAL-1", FAIL),
        check("BND-1", PASS),
    )

    assert (row.outcome, row.reason) == (Outcome.KILLED, "")
    assert [(trip.requirement, trip.check, trip.scenario, trip.problem) for trip in row.kills] == [
        ("HEAL-1", "heal_1_holds", "a", "missing")
    ]
    assert [trip.requirement for trip in row.false_alarms] == ["SKL-1", "CHN-5"]
    assert row.reproduce == "pytest a"
    cells = {name: row.cell(name) for name in ("HEAL-1", "SKL-1", "CHN-5", "BND-1", "MIG-1")}
    assert list(cells.values()) == [
        Cell.KILL, Cell.ALARM, Cell.UNIVERSAL_ALARM, Cell.HELD, Cell.NOT_JUDGED
    ]  # fmt: skip


def test_a_check_that_trips_in_many_scenarios_is_told_once_and_first_where_the_scenario_is_about_it() -> None:
    runs = [
        run_of({"a": (FAIL, [check("HEAL-1", FAIL, universal=True)]), "b": (FAIL, [check("HEAL-1", FAIL)])}),
    ]

    (trip,) = assess(mutant("HEAL-1"), runs, REFERENCE).kills

    assert (trip.scenario, trip.scenarios, trip.universal) == ("b", 2, False)


def test_a_kill_by_another_requirement_proves_nothing() -> None:
    row = one(FAIL, check("SKL-1", FAIL), check("HEAL-1", PASS))

    assert (row.outcome, row.reason) == (Outcome.KILLED_BY_ANOTHER, "by SKL-1, not by HEAL-1")
    assert row.kills == ()
    assert row.cell("HEAL-1") is Cell.MISSED


def test_a_scenario_that_fails_without_a_check_names_no_requirement() -> None:
    row = one(FAIL, check("HEAL-1", PASS))

    assert row.outcome is Outcome.KILLED_BY_ANOTHER
    assert row.reason.startswith("by no check: a:")


def test_a_mutant_that_everything_passes_has_survived() -> None:
    row = one(PASS, check("HEAL-1", PASS))

    assert (row.outcome, row.reason) == (Outcome.SURVIVED, "1 scenarios saw nothing")
    assert row.cell("HEAL-1") is Cell.MISSED
    assert row.reproduce == ""


def test_a_scenario_that_fails_against_the_reference_too_is_no_kill() -> None:
    row = one(FAIL, check("HEAL-1", FAIL), scenario="flaky")

    assert row.outcome is Outcome.COULD_NOT_RUN
    assert row.reason == "flaky does not pass against the reference either: fail: too late"
    assert row.trips == ()


def test_a_scenario_that_the_reference_did_not_run_in_this_proof_is_no_kill() -> None:
    row = one(FAIL, check("HEAL-1", FAIL), scenario="c")

    assert (row.outcome, row.reason) == (Outcome.COULD_NOT_RUN, "c did not run against the reference")
    assert row.trips == ()


def test_a_scenario_that_the_reference_passes_when_it_is_run_again_counts_and_is_told_as_unsteady() -> None:
    first = ledger({"a": (PASS, []), "b": (FAIL, []), "c": (FAIL, [])}, reasons={"b": "too late"})
    again = ledger({"b": (PASS, [check("HEAL-1", PASS)]), "c": (FAIL, [])})

    reference = Reference.of([first, again])

    assert reference.passed == {"a", "b"}
    assert [(line.scenario, line.verdict, line.reason) for line in reference.unsteady] == [
        ("b", "fail", "too late")
    ]
    assert [line.scenario for line in reference.others] == ["c"]
    killed = assess(mutant("HEAL-1"), [run_of({"b": (FAIL, [check("HEAL-1", FAIL)])})], reference)
    assert killed.outcome is Outcome.KILLED


def test_a_failed_check_of_a_scenario_that_could_not_run_is_no_kill() -> None:
    row = one(COULD_NOT_RUN, check("HEAL-1", FAIL))

    assert row.outcome is Outcome.COULD_NOT_RUN
    assert row.trips == ()


def test_what_survives_some_scenarios_while_others_could_not_run_has_not_survived() -> None:
    row = assess(mutant("HEAL-1"), [run_of({"a": (PASS, []), "b": (COULD_NOT_RUN, [])})], REFERENCE)

    assert row.outcome is Outcome.COULD_NOT_RUN


def test_scenarios_that_are_not_applicable_have_judged_nothing() -> None:
    row = one(Verdict.NOT_APPLICABLE)

    assert (row.outcome, row.reason) == (Outcome.COULD_NOT_RUN, "none of its scenarios is applicable")


def test_an_overlay_that_no_longer_applies_is_no_kill_whatever_fails() -> None:
    run = replace(run_of({"a": (FAIL, [check("HEAL-1", FAIL)])}), does_not_apply="reference.x:y is not there")

    row = assess(mutant("HEAL-1"), [run], REFERENCE)

    assert row.outcome is Outcome.COULD_NOT_RUN
    assert row.reason == "the overlay no longer applies: reference.x:y is not there"
    assert (row.kills, row.false_alarms) == ((), ())


def test_what_dies_before_it_does_anything_is_broken_whatever_fails() -> None:
    run = replace(run_of({"a": (FAIL, [check("HEAL-1", FAIL)])}), dead="every machine dies")

    row = assess(mutant("HEAL-1"), [run], REFERENCE)

    assert (row.outcome, row.reason, row.trips) == (Outcome.BROKEN, "every machine dies", ())


def test_a_failure_without_the_overlay_is_not_the_mutants_doing() -> None:
    row = one(FAIL, check("HEAL-1", FAIL), applied=False)

    assert row.outcome is Outcome.COULD_NOT_RUN
    assert "no console says that the overlay was laid" in row.reason


def test_a_run_without_a_ledger_could_not_run() -> None:
    row = assess(mutant("HEAL-1"), [SuiteRun(None, "no scenario ran: 12 deselected")], REFERENCE)

    assert (row.outcome, row.reason) == (Outcome.COULD_NOT_RUN, "no scenario ran: 12 deselected")


def test_a_later_round_can_still_kill() -> None:
    runs = [run_of({"a": (PASS, [])}), run_of({"b": (FAIL, [check("HEAL-1", FAIL)])})]

    row = assess(mutant("HEAL-1"), runs, REFERENCE)

    assert (row.outcome, row.scenarios, row.seconds) == (Outcome.KILLED, 2, 4.0)


def test_the_reference_tells_which_scenarios_judge_a_requirement() -> None:
    assert REFERENCE.judging({"HEAL-1"}) == {"a"}, "of flaky nothing counts"
    assert REFERENCE.judging({"HEAL-1", "SKL-1"}) == {"a", "b"}


def matrix(*rows: Row, scope: tuple[str, ...] = ("HEAL-1",)) -> Matrix:
    return Matrix("proof-1", "1.0", "d" * 64, "process", REFERENCE, rows, scope, complete=False)


def test_a_requirement_without_a_kill_is_unproven() -> None:
    killed = one(FAIL, check("HEAL-1", FAIL), check("SKL-1", FAIL))

    assert matrix(killed).holds
    proof = matrix(killed, scope=("HEAL-1", "SKL-1"))
    assert proof.unproven == ("SKL-1",), "a false alarm proves nothing"
    assert not proof.holds


def test_a_mutant_that_gets_by_fails_the_proof_although_others_prove_its_requirement() -> None:
    proof = matrix(one(FAIL, check("HEAL-1", FAIL)), one(PASS, check("HEAL-1", PASS)))

    assert proof.unproven == ()
    assert not proof.holds


def test_the_data_says_all_that_the_page_says() -> None:
    data = json.loads(json.dumps(matrix(one(FAIL, check("HEAL-1", FAIL), check("SKL-1", FAIL))).as_data()))

    assert data["holds"] is True
    assert data["outcomes"]["killed by the right requirement"] == 1
    assert data["outcomes"]["broken"] == 0
    assert data["reference"]["not_passed"] == {"flaky": "fail"}
    (row,) = data["mutants"]
    assert (row["killed_by"], row["false_alarms"]) == (["HEAL-1"], ["SKL-1"])


def test_a_partial_proof_is_about_no_more_than_its_mutants_break() -> None:
    contract = load_contract()

    assert scope_of(contract, [mutant("SKL-1", "HEAL-1")], all_of_them=False) == ("SKL-1", "HEAL-1")
    assert scope_of(contract, [], all_of_them=True) == tuple(contract.requirements)
