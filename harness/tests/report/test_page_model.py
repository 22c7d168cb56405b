"""What a page says of a run, before it is a page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.proof.mutant import Mutant
from harness.report.ledger import Ledger, LedgerProblem, ScenarioLine, Verdict
from harness.report.page.evidence import RequirementView
from harness.report.page.model import Page, page_of
from harness.report.page.references import references
from harness.report.page.scenarios import ALLOWANCE, MOST_PROBLEMS, Kept, ScenarioView
from harness.report.page.text import duration, printable, prose
from harness.report.page.timeline import boots, parts

from .pages import CONTRACT, HEADER, check, ledger, scenario

A, B = "scenarios/test_restart.py::test_a[git]", "scenarios/test_restore.py::test_b"


def page(run: Ledger, **given: object) -> Page:
    return page_of(run, CONTRACT, **given)  # type: ignore[arg-type]


def requirement(shown: Page, name: str) -> RequirementView:
    (view,) = [each for area in shown.areas for each in area.requirements if each.requirement.id == name]
    return view


def acted(shown: Page, node: str) -> ScenarioView:
    wanted = shown.references[node].id
    (view,) = [each for suite in shown.suites for each in suite.scenarios if each.reference.id == wanted]
    return view


def whole(*more: ScenarioLine, exit_status: int = 0, runtime: str = "docker") -> Ledger:
    """A run that judged every requirement, and found that it holds."""
    lines = [check(name, scenario=A) for name in CONTRACT.requirements]
    return ledger(
        *lines, scenario(A), *more, exit_status=exit_status, header=replace(HEADER, runtime=runtime)
    )


def test_a_whole_run_in_which_all_holds_conforms() -> None:
    assert (page(whole()).conclusion.outcome, page(whole()).conclusion.reasons) == ("pass", ())


@pytest.mark.parametrize(
    ("run", "outcome", "reason"),
    [
        (whole(scenario(B, Verdict.FAIL)), "fail", "test_b"),
        (whole(scenario(B, Verdict.COULD_NOT_RUN)), "partial", "could not run"),
        (whole(runtime="process"), "partial", "use --runtime docker"),
        (ledger(check("BND-1", Verdict.FAIL), scenario()), "fail", "BND-1 does not hold"),
    ],
)  # fmt: skip
def test_a_run_is_no_better_than_what_it_left_open(run: Ledger, outcome: str, reason: str) -> None:
    conclusion = page(run).conclusion

    assert conclusion.outcome == outcome
    assert reason in "; ".join(conclusion.reasons)


def test_what_was_covered_is_said_first() -> None:
    facts = dict(page(whole()).facts)

    assert facts["implementation"] == "reference 0.1.0"
    assert facts["contract"] == f"{CONTRACT.revision} ({CONTRACT.digest[:12]})"
    assert (facts["runtime"], facts["transports"], facts["templates"]) == ("docker", "git", "minimal")
    assert (facts["scenarios"], facts["boots"], facts["checks"]) == (
        "1",
        "2",
        str(len(CONTRACT.requirements)),
    )
    assert (facts["began"], facts["took"]) == ("2026-01-01 00:00 UTC", "1 min 15 s")


def test_a_run_judged_by_other_words_is_refused() -> None:
    run = ledger(header=replace(HEADER, contract_digest="0" * 64))

    with pytest.raises(LedgerProblem, match="judged by other words"):
        page(run)


def test_a_check_is_shown_once_with_one_of_the_worst_it_saw() -> None:
    run = ledger(
        check("BND-1", scenario=A, saw="all is well"),
        check("BND-1", Verdict.FAIL, scenario=B, saw="in passing", universal=True),
        check("BND-1", Verdict.FAIL, scenario=A, saw="what it is about"),
        scenario(A, Verdict.FAIL),
        scenario(B, Verdict.FAIL),
    )

    view = requirement(page(run), "BND-1")

    (shown,) = view.checks
    assert (shown.name, shown.verdict, shown.universal) == ("bnd_1_holds", Verdict.FAIL, False)
    assert shown.counts == ((Verdict.FAIL, 2), (Verdict.PASS, 1))
    assert shown.saw == "what it is about"
    assert shown.where.function == "test_a"


def test_scenarios_about_a_requirement_are_told_from_those_that_looked_in_passing() -> None:
    run = ledger(
        check("BND-1", scenario=A),
        check("BND-1", scenario=A, universal=True),
        check("BND-1", scenario=B, universal=True),
        check("BND-1", Verdict.FAIL, scenario="c.py::test_c", universal=True),
    )

    view = requirement(page(run), "BND-1")

    assert [(group.suite, group.function) for group in view.about] == [("restart", "test_a")]
    assert view.passing == 1
    assert [each.function for each in view.tripped] == ["test_c"]


def test_the_matrix_has_a_cell_where_a_suite_judged_a_requirement() -> None:
    run = ledger(
        check("BND-1", scenario=A),
        check("BND-1", Verdict.FAIL, scenario=B, universal=True),
        check("BND-2", scenario=B),
    )

    matrix = page(run).matrix

    assert matrix.suites == ("restart", "restore")
    of_a, of_b = matrix.rows["BND-1"]
    assert of_a is not None
    assert of_b is not None
    assert (of_a.verdict, of_a.universal) == (Verdict.PASS, False)
    assert (of_b.verdict, of_b.universal) == (Verdict.FAIL, True)
    assert matrix.rows["BND-2"][0] is None
    assert matrix.rows["BND-3"] == (None, None)


def test_a_failed_check_is_told_once_with_all_its_steps_and_what_it_is_about_first() -> None:
    run = ledger(
        check("BND-1", Verdict.FAIL, scenario=A, step="provision", universal=True),
        check("BND-1", Verdict.FAIL, scenario=A, step="restart", universal=True),
        check("HEAL-1", Verdict.FAIL, scenario=A, problems=[f"problem {n}" for n in range(MOST_PROBLEMS + 2)]),
        scenario(A, Verdict.FAIL, reason="the same narrative again"),
    )  # fmt: skip

    view = acted(page(run), A)

    assert [failed.requirement for failed in view.failed] == ["HEAL-1", "BND-1"]
    assert (len(view.failed[0].problems), view.failed[0].more_problems) == (MOST_PROBLEMS, 2)
    assert view.failed[1].steps == ("provision", "restart")
    assert view.reason == ""


def test_what_no_check_says_is_said_by_the_reason() -> None:
    run = ledger(scenario(A, Verdict.COULD_NOT_RUN, reason="needs a container engine"))

    assert acted(page(run), A).reason == "needs a container engine"


def test_a_scenario_whose_teardown_failed_is_one_and_counts_as_what_is_worse() -> None:
    run = ledger(
        scenario(A), scenario(A, Verdict.COULD_NOT_RUN, reason="a leak", boots=(), seconds={"total": 0.1})
    )

    view = acted(page(run), A)

    assert (view.verdict, view.reason, len(view.boots)) == (Verdict.COULD_NOT_RUN, "a leak", 2)
    assert page(run).scenarios == ((Verdict.COULD_NOT_RUN, 1),)


def test_checks_of_a_scenario_that_never_ended_are_shown_all_the_same() -> None:
    shown = page(ledger(check("BND-1", scenario=A)))

    assert shown.suites == ()
    assert requirement(shown, "BND-1").about[0].scenarios[0].verdict is Verdict.NOT_EXERCISED


def test_a_mutant_stands_with_each_requirement_that_catches_it() -> None:
    mutant = Mutant.model_validate(
        {"name": "m", "breaks": "It breaks.", "caught_by": ["HEAL-1"], "scenarios": "x", "folder": "/m"}
    )
    mutated = replace(HEADER, mutant="m")

    caught = page(ledger(check("HEAL-1", Verdict.FAIL), header=mutated), mutants=[mutant])
    missed = page(ledger(check("HEAL-1"), header=mutated), mutants=[mutant])

    assert requirement(caught, "HEAL-1").mutants == (mutant,)
    assert requirement(caught, "HEAL-2").mutants == ()
    assert caught.known_bad is not None
    assert caught.known_bad.caught_by == ("HEAL-1",)
    assert missed.known_bad is not None
    assert missed.known_bad.caught_by == ()


def test_consoles_beyond_what_a_page_can_hold_are_counted() -> None:
    kept = Kept("artifacts/test_a", ("console-i-1.txt",), {"i-1": ("short",), "i-2": ("x" * ALLOWANCE,)})

    view = acted(page(ledger(scenario(A, Verdict.FAIL)), kept={A: kept}), A)

    assert [console.machine for console in view.consoles] == ["i-1"]
    assert view.untold_consoles == 1


def test_where_the_seconds_went_adds_up() -> None:
    spent = parts({"total": 10.0, "world": 1.0, "boots": 6.0, "machine starts": 2.0, "assertions": 1.0})

    assert [(part.name, part.seconds, part.start, part.length) for part in spent] == [
        ("world", 1.0, 0.0, 10.0),
        ("machine start", 2.0, 10.0, 20.0),
        ("implementation", 4.0, 30.0, 40.0),
        ("assertions", 1.0, 70.0, 10.0),
        ("other", 2.0, 80.0, 20.0),
    ]


def test_machine_starts_of_boots_side_by_side_are_no_more_than_the_boots() -> None:
    assert [part.name for part in parts({"total": 1.0, "boots": 1.0, "machine starts": 3.0})] == [
        "machine start"
    ]


def test_boots_are_in_their_order_and_one_that_says_no_time_has_no_length() -> None:
    assert [(boot.name, boot.length) for boot in boots(["provision 1.0 s", "auto-heal 3.0 s", "odd"])] == [
        ("provision", 25.0),
        ("auto-heal", 75.0),
        ("odd", 0.0),
    ]


def test_each_scenario_has_an_address_of_its_own() -> None:
    nodes = [A, "scenarios/test_restart.py::test_a[g/t]", "scenarios/test_restart.py::test_a[g t]", B]

    assert [each.id for each in references((node, Verdict.PASS) for node in nodes).values()] == [
        "restart.test_a-git",
        "restart.test_a-g-t",
        "restart.test_a-g-t.2",
        "restore.test_b",
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("half \ud800", "half \\ud800"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("märkte שלום 🚀", "märkte שלום 🚀"),
    ],
)
def test_nothing_of_a_text_is_invisible(given: str, shown: str) -> None:
    assert printable(given) == shown


def test_code_in_prose_is_marked_and_all_else_is_escaped() -> None:
    assert prose("a `<b>` & c") == "a <code>&lt;b&gt;</code> &amp; c"
    assert prose("a ` <b>") == "a ` &lt;b&gt;"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (192, "3 min 12 s"), (3840, "1 h 04 min")],
)
def test_durations_are_said_as_a_person_does(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
