"""A judge makes checks, keeps what they came to, and says failures as a narrative."""

from __future__ import annotations

import pytest

from harness.contract.requirements import ContractProblem, load_contract
from harness.oracle.canaries import bootstrap_canaries
from harness.oracle.check import MAX_PROBLEMS, ContractBroken, Judge, NotApplicable, Saw, check
from harness.oracle.search import Search
from harness.report.ledger import WaiverLine
from harness.runtime.base import NotSupported


@check("SKL-1")
def skl_1_counts(problems: int) -> Saw:
    """There are no problems."""
    return Saw("a few skills", tuple(f"problem {number}" for number in range(problems)))


@check("SKL-2")
def skl_2_fails() -> Saw:
    """It never holds."""
    return Saw("nothing", ("not there",))


@check("HEAL-8")
def heal_8_keeps_nothing() -> Saw:
    """It never holds, and is a SHOULD."""
    return Saw("nothing", ("not kept",))


@check("SKL-8")
def skl_8_needs_a_limit() -> Saw:
    """It fits."""
    raise NotSupported("no memory limit here")


@check("GEN-2")
def gen_2_needs_the_source() -> Saw:
    """Nothing special."""
    raise NotApplicable("the manifest names no source")


def waiver(requirement: str = "", check: str = "") -> WaiverLine:
    return WaiverLine(
        requirement, check, "It is being mended", "Ada", "https://issues.example/7", "2026-06-30"
    )


@pytest.fixture
def judge() -> Judge:
    return Judge(load_contract(), "scenarios/test_it.py::test_it")


def test_a_check_that_holds_is_kept_and_lets_the_scenario_pass(judge: Judge) -> None:
    assert judge(skl_1_counts, 0)

    judge.conclude()
    assert [(line.requirement, line.verdict, line.saw) for line in judge.lines] == [
        ("SKL-1", "pass", "a few skills")
    ]


def test_a_check_that_fails_fails_the_scenario_at_its_end_with_all_it_saw(judge: Judge) -> None:
    judge.step = "restart (boot 2)"
    assert not judge(skl_1_counts, 2)
    assert judge(skl_1_counts, 0)

    with pytest.raises(ContractBroken) as broken:
        judge.conclude()

    said = str(broken.value)
    for words in ("SKL-1 does not hold, at step: restart (boot 2)", "saw:   a few skills", "- problem 1"):
        assert words in said


@pytest.mark.parametrize(
    "what", [{"requirement": "SKL-1", "check": ""}, {"requirement": "", "check": "skl_1_counts"}]
)
def test_a_waived_failure_is_kept_as_such_and_lets_the_scenario_pass(what: dict[str, str]) -> None:
    judge = Judge(load_contract(), "scenarios/test_it.py::test_it", [waiver(**what)])
    assert not judge(skl_1_counts, 1), "what comes next must know"
    assert not judge.anew()(skl_1_counts, 1)

    judge.conclude()

    assert [(line.verdict, line.problems) for line in judge.lines] == [("waived", ["problem 0"])]


def test_a_waiver_covers_nothing_else(judge: Judge) -> None:
    other = Judge(
        load_contract(), "scenarios/test_it.py::test_it", [waiver("SKL-2"), waiver("", "skl_1_other")]
    )
    other(skl_1_counts, 1)

    with pytest.raises(ContractBroken):
        other.conclude()


def test_a_should_lets_the_scenario_pass_unless_the_run_is_strict(judge: Judge) -> None:
    strict = Judge(load_contract(), "scenarios/test_it.py::test_it", strict=True)
    for each in (judge, strict, strict.anew()):
        assert not each(heal_8_keeps_nothing)
        assert [line.verdict for line in each.lines] == ["fail"]

    judge.conclude()
    for each in (strict, strict.anew()):
        each(heal_8_keeps_nothing)
        with pytest.raises(ContractBroken, match="SHOULD"):
            each.conclude()


def test_a_scenario_that_cannot_go_on_ends_by_a_failure_that_does_not_count() -> None:
    judge = Judge(load_contract(), "scenarios/test_it.py::test_it", [waiver("SKL-1")])
    judge.end_if_failed()
    judge(skl_1_counts, 1)

    with pytest.raises(ContractBroken, match=r"\(waived\)") as ended:
        judge.end_if_failed()

    assert judge.tolerates(ended.value)


def test_one_failure_that_counts_among_waived_ones_is_not_tolerated() -> None:
    judge = Judge(load_contract(), "scenarios/test_it.py::test_it", [waiver("SKL-1")])
    judge(skl_1_counts, 1)
    judge(skl_2_fails)

    with pytest.raises(ContractBroken) as ended:
        judge.conclude()

    assert not judge.tolerates(ended.value)


def test_what_could_not_run_or_does_not_apply_is_neither_passed_nor_failed(judge: Judge) -> None:
    judge(skl_8_needs_a_limit)
    judge(gen_2_needs_the_source)

    assert [line.verdict for line in judge.lines] == ["could not run", "not applicable"]


def test_a_thousand_problems_are_bounded_and_counted(judge: Judge) -> None:
    judge(skl_1_counts, 1000)

    (line,) = judge.lines
    assert len(line.problems) == MAX_PROBLEMS + 1
    assert line.problems[-1] == f"… and {1000 - MAX_PROBLEMS} more"


def test_a_check_is_named_after_its_requirement() -> None:
    with pytest.raises(ValueError, match="is named bnd_1_…"):
        check("BND-1")(skl_1_counts.look)


def test_a_check_of_no_requirement_cannot_be_made(judge: Judge) -> None:
    @check("SKL-99")
    def skl_99_invented() -> Saw:
        return Saw("nothing")

    with pytest.raises(ContractProblem, match="SKL-99"):
        judge(skl_99_invented)


def test_what_the_scenario_is_about_is_told_before_what_the_universal_oracle_saw(judge: Judge) -> None:
    with judge.universally():
        judge(skl_1_counts, 1)
    judge(skl_1_counts, 2)

    with pytest.raises(ContractBroken) as broken:
        judge.conclude()

    assert [line.universal for line in broken.value.failed] == [False, True]


def test_a_secret_that_a_problem_quotes_is_not_kept(judge: Judge) -> None:
    (canary, *_) = bootstrap_canaries(b"a key of this test", "acme").values()
    judge.hide([canary])
    part = canary.core[8:]

    @check("BND-4")
    def bnd_4_says_too_much() -> Saw:
        """Quotes what it found."""
        return Saw(canary.value, (f"found {canary.value}", f"found {part}"))

    judge(bnd_4_says_too_much)

    assert Search([canary]).sightings(str(judge.lines).encode(), "the lines") == []
    assert all("<canary acme/db_password>" in problem for problem in judge.lines[0].problems)
