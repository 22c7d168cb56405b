"""A run conforms only where all that the manifest calls for ran, held, and is there to be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.report.conclusion import Conclusion, Outcome, conclude
from harness.report.ledger import Ledger, LedgerProblem, Verdict

from .runs import CONTRACT, SCENARIO, check, run, scenario, waiver

OTHER = "scenarios/test_it.py::test_another"


def concluded(ledger: Ledger, **how: bool) -> Conclusion:
    return conclude(ledger, CONTRACT, **how)


def test_a_whole_run_in_containers_in_which_all_holds_conforms_and_may_be_signed() -> None:
    conclusion = concluded(run())

    assert conclusion == Conclusion(Outcome.CONFORMS, [], [], interrupted=False)
    assert conclusion.signable
    assert (conclusion.exit_status(gate=False), conclusion.exit_status(gate=True)) == (0, 0)


@pytest.mark.parametrize(
    ("ledger", "outcome", "reason"),
    [
        (
            run([check(verdict=Verdict.FAIL)], [scenario(verdict=Verdict.FAIL)]),
            Outcome.FAILS,
            "HEAL-1 does not hold: heal_1_holds, in test_it[minimal-git]",
        ),
        (
            run(scenarios=[scenario(verdict=Verdict.FAIL, reason="DELETE refused", blame="implementation")]),
            Outcome.FAILS,
            "test_it[minimal-git] fail: DELETE refused",
        ),
        (
            run(
                scenarios=[
                    scenario(verdict=Verdict.COULD_NOT_RUN, reason="no /healthz", blame="implementation")
                ]
            ),
            Outcome.FAILS,
            "test_it[minimal-git] could not run: no /healthz",
        ),
        (
            run(
                scenarios=[
                    scenario(),
                    scenario(OTHER, Verdict.COULD_NOT_RUN, "KeyError: 'i-1'", blame="harness"),
                ]
            ),
            Outcome.BROKEN,
            "test_another could not run: KeyError: 'i-1'",
        ),
        (run(footer={"defects": ["it leaked"]}), Outcome.BROKEN, "it leaked"),
        (
            run(footer={"scenarios": {"pass": 2}}),
            Outcome.BROKEN,
            "the ledger is not whole: its footer counts 2 pass scenarios, and it holds 1 pass",
        ),
        (
            run(footer={"checks": {}}),
            Outcome.BROKEN,
            f"the ledger is not whole: its footer counts no checks, and it holds {len(CONTRACT.requirements)} pass",
        ),
        (
            run(scenarios=[scenario(verdict=Verdict.COULD_NOT_RUN, reason="could not run: no strace here")]),
            Outcome.NOTHING_RAN,
            "no scenario ran, so nothing was judged",
        ),
        (
            run(
                scenarios=[
                    scenario(),
                    scenario(OTHER, Verdict.COULD_NOT_RUN, "could not run: no strace here"),
                ]
            ),
            Outcome.INCOMPLETE,
            "test_another could not run: no strace here",
        ),
        (
            run([check(verdict=Verdict.COULD_NOT_RUN)]),
            Outcome.INCOMPLETE,
            "heal_1_holds could not be checked: what there was",
        ),
        (run(runtime="process"), Outcome.INCOMPLETE, "use --runtime docker"),
        (run(mutant="stale"), Outcome.INCOMPLETE, "leave out --mutant"),
        (run(selection="-k restart"), Outcome.INCOMPLETE, "the run was narrowed; leave out: -k restart"),
        (run(footer={"expected": 9}), Outcome.INCOMPLETE, "1 of 9 scenarios that were collected ran"),
        (run(footer={"expected": None}), Outcome.INCOMPLETE, "it is not known how many scenarios there are"),
        (run(footer={"interrupted": True}), Outcome.INCOMPLETE, "the run was interrupted"),
    ],
)
def test_what_keeps_a_run_from_conforming_is_said_and_keeps_it_from_being_signed(
    ledger: Ledger, outcome: Outcome, reason: str
) -> None:
    conclusion = concluded(ledger)

    assert conclusion.outcome is outcome
    assert reason in "\n".join(conclusion.reasons)
    assert not conclusion.signable


@pytest.mark.parametrize(
    ("ledger", "desk", "gate"),
    [
        (run([check(verdict=Verdict.FAIL)]), 1, 1),
        (run(footer={"defects": ["it leaked"]}), 3, 3),
        (run(scenarios=[scenario(verdict=Verdict.COULD_NOT_RUN)]), 5, 5),
        (run(runtime="process"), 0, 6),
        (run(footer={"interrupted": True}), 2, 2),
        (run([check(verdict=Verdict.FAIL)], footer={"interrupted": True}), 2, 2),
    ],
)
def test_each_outcome_has_an_exit_status_and_only_the_gate_wants_all_of_it(
    ledger: Ledger, desk: int, gate: int
) -> None:
    conclusion = concluded(ledger)

    assert (conclusion.exit_status(gate=False), conclusion.exit_status(gate=True)) == (desk, gate)


def test_what_fails_counts_for_more_than_a_harness_that_broke_elsewhere_and_both_are_said() -> None:
    broke = scenario(OTHER, Verdict.COULD_NOT_RUN, "KeyError", blame="harness")

    conclusion = concluded(run([check(verdict=Verdict.FAIL)], [scenario(verdict=Verdict.FAIL), broke]))

    assert conclusion.outcome is Outcome.FAILS
    assert [reason.split()[0] for reason in conclusion.reasons] == ["HEAL-1", "test_another"]


def test_a_requirement_that_nothing_exercised_leaves_the_run_incomplete() -> None:
    whole = run()
    without = replace(whole, checks=tuple(line for line in whole.checks if line.requirement != "ISO-1"))
    ledger = replace(without, footer=replace(without.footer, checks={"pass": len(without.checks)}))

    conclusion = concluded(ledger)

    assert (conclusion.outcome, conclusion.reasons) == (Outcome.INCOMPLETE, ["no check was made of ISO-1"])
    inapplicable = scenario(OTHER, Verdict.NOT_APPLICABLE, "not applicable: it does not claim `migration`")
    scenarios = (*ledger.scenarios, inapplicable)
    footer = replace(ledger.footer, scenarios={"pass": 1, "not applicable": 1}, expected=2)
    assert concluded(replace(ledger, scenarios=scenarios, footer=footer)).signable


def test_many_scenarios_with_one_reason_are_one_line() -> None:
    could_not = [
        scenario(
            f"scenarios/test_it.py::test_{number}", Verdict.COULD_NOT_RUN, "could not run: no strace here"
        )
        for number in range(5)
    ]

    conclusion = concluded(run(scenarios=[scenario(), *could_not]))

    assert conclusion.reasons == ["test_0, test_1, test_2 and 2 more could not run: no strace here"]


def test_a_run_that_was_judged_by_other_words_is_not_concluded() -> None:
    with pytest.raises(LedgerProblem, match="judged by other words"):
        concluded(run(contract_digest="0" * 64))


def test_a_should_that_does_not_hold_is_said_and_fails_a_strict_run() -> None:
    mild: dict[str, Any] = {"checks": [check("HEAL-8", Verdict.FAIL)]}
    said = "HEAL-8 {}: heal_8_holds, in test_it[minimal-git]"

    lenient = concluded(run(**mild))

    assert lenient.signable
    assert lenient.notes == [said.format("is a SHOULD that does not hold")]
    for strict in (concluded(run(**mild), strict=True), concluded(run(**mild, strict=True))):
        assert strict.outcome is Outcome.FAILS
        assert strict.reasons == [said.format("does not hold")]


def test_a_scenario_that_failed_by_more_than_a_should_fails_a_lenient_run_too() -> None:
    failed = scenario(verdict=Verdict.FAIL, reason="DELETE refused", blame="implementation")

    conclusion = concluded(run([check("HEAL-8", Verdict.FAIL)], [failed]))

    assert conclusion.outcome is Outcome.FAILS
    assert conclusion.reasons == ["test_it[minimal-git] fail: DELETE refused"]


@pytest.mark.parametrize("named", [waiver(), waiver("", "heal_1_holds")])
def test_a_waived_failure_is_said_with_its_owner_and_expiry_and_fails_nothing(named: Any) -> None:
    conclusion = concluded(
        run([check(verdict=Verdict.WAIVED), check()], [scenario(verdict=Verdict.WAIVED)], [named])
    )

    assert conclusion.signable
    (note,) = conclusion.notes
    for words in ("waived", named.what, "Ada", "2026-06-30", "https://issues.example/7"):
        assert words in note


def test_a_waiver_of_what_holds_is_stale_and_fails_a_whole_run_by_name() -> None:
    conclusion = concluded(run(waivers=[waiver()]))

    assert conclusion.outcome is Outcome.FAILS
    assert conclusion.exit_status(gate=False) == 1
    (reason,) = conclusion.reasons
    assert reason.startswith("nothing fails of what is waived: HEAL-1")
    assert "stale" in reason


@pytest.mark.parametrize(
    "part",
    [
        run(waivers=[waiver()], selection="-k restart"),
        run([check("ISO-1", Verdict.FAIL)], waivers=[waiver()]),
        run(waivers=[waiver()], footer={"defects": ["it leaked"]}),
    ],
)
def test_whether_a_waiver_is_stale_is_not_told_by_a_run_that_left_something_out(part: Ledger) -> None:
    conclusion = concluded(part)

    assert "stale" not in "\n".join(conclusion.reasons)
    (note,) = conclusion.notes
    assert note.startswith("nothing fails of what is waived: HEAL-1")
    assert "a whole run would fail" in note


@pytest.mark.parametrize(("expires", "holds"), [("2026-06-01", True), ("2026-05-31", False)])
def test_a_waiver_holds_to_the_end_of_its_last_day(expires: str, holds: bool) -> None:
    old = waiver(expires=expires)
    conclusion = concluded(run([check(verdict=Verdict.WAIVED)], waivers=[old]))

    assert conclusion.signable is holds
    expired = f"the waiver has expired, so mend what it was for or renew it: {old}"
    assert conclusion.reasons == ([] if holds else [expired])


def test_nothing_of_a_scenario_is_told_twice() -> None:
    twice = [check(verdict=Verdict.FAIL), check(verdict=Verdict.FAIL)]

    conclusion = concluded(run(twice, [scenario(SCENARIO, Verdict.FAIL, "HEAL-1 does not hold\nMUST: …")]))

    assert conclusion.reasons == ["HEAL-1 does not hold: heal_1_holds, in test_it[minimal-git]"]
