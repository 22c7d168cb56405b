"""What turned worse or better between two runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report.difference import Condition, Turn, difference
from harness.report.ledger import Ledger, Verdict

from .pages import check, ledger, scenario

PASS, FAIL = Verdict.PASS, Verdict.FAIL
NOT_RUN, NOT_APPLICABLE, NOTHING = Verdict.COULD_NOT_RUN, Verdict.NOT_APPLICABLE, Verdict.NOT_EXERCISED


def of_requirement(verdict: Verdict) -> Ledger:
    return ledger(*([] if verdict is NOTHING else [check("BND-1", verdict)]))


@pytest.mark.parametrize(
    ("before", "after", "turn"),
    [
        (PASS, FAIL, Turn.WORSE),
        (PASS, NOT_RUN, Turn.WORSE),
        (PASS, NOT_APPLICABLE, Turn.WORSE),
        (NOT_APPLICABLE, FAIL, Turn.WORSE),
        (NOT_RUN, FAIL, Turn.WORSE),
        (NOTHING, FAIL, Turn.WORSE),
        (NOTHING, NOT_RUN, Turn.WORSE),
        (FAIL, PASS, Turn.BETTER),
        (NOT_RUN, PASS, Turn.BETTER),
        (NOT_APPLICABLE, PASS, Turn.BETTER),
        (FAIL, NOT_RUN, Turn.BETTER),
        (PASS, NOTHING, Turn.LOST),
        (FAIL, NOTHING, Turn.LOST),
        (NOTHING, PASS, Turn.GAINED),
    ],
)
def test_each_change_of_a_requirement_turns_one_way(before: Verdict, after: Verdict, turn: Turn) -> None:
    found = difference(of_requirement(before), of_requirement(after))

    (change,) = found.requirements
    assert (change.name, change.before, change.after, change.turn) == ("BND-1", before, after, turn)
    assert found.worse is (turn in {Turn.WORSE, Turn.LOST})


@pytest.mark.parametrize("verdict", Verdict)
def test_what_stays_as_it_was_is_no_change(verdict: Verdict) -> None:
    found = difference(of_requirement(verdict), of_requirement(verdict))

    assert (found.requirements, found.scenarios, found.conditions, found.worse) == ((), (), (), False)


def test_what_could_not_run_before_and_is_left_out_now_is_not_lost() -> None:
    assert difference(of_requirement(NOT_RUN), of_requirement(NOTHING)).requirements == ()


def test_a_scenario_that_is_gone_is_named_and_is_not_for_the_worse() -> None:
    found = difference(ledger(scenario("a.py::test_a")), ledger(scenario("a.py::test_b")))

    assert {change.name: change.turn for change in found.scenarios} == {
        "a.py::test_a": Turn.LOST,
        "a.py::test_b": Turn.GAINED,
    }
    assert not found.worse


def test_a_scenario_that_fails_now_is_for_the_worse_though_no_check_of_it_failed() -> None:
    found = difference(ledger(scenario("a.py::test_a")), ledger(scenario("a.py::test_a", FAIL)))

    assert [change.turn for change in found.scenarios] == [Turn.WORSE]
    assert found.worse


def test_what_turned_worse_comes_first() -> None:
    old = ledger(check("BND-1", FAIL), check("BND-2", PASS), check("BND-3", PASS))
    new = ledger(check("BND-1", PASS), check("BND-3", FAIL), check("BND-4", PASS))

    assert [(change.name, change.turn) for change in difference(old, new).requirements] == [
        ("BND-3", Turn.WORSE),
        ("BND-2", Turn.LOST),
        ("BND-1", Turn.BETTER),
        ("BND-4", Turn.GAINED),
    ]


def test_what_differs_about_the_runs_is_told_apart() -> None:
    old = ledger(scenario("a.py::test_a", seconds={"total": 2.0}))
    new = replace(old, header=replace(old.header, runtime="docker", implementation_version="2"))

    found = difference(old, new)

    assert found.conditions == (
        Condition("implementation", "reference 0.1.0", "reference 2"),
        Condition("runtime", "process", "docker"),
    )
    assert found.seconds == (2.0, 2.0)
