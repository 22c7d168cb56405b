"""A platform that does nothing may pass nothing but what doing nothing truly meets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.requirements import load_contract
from harness.proof.floor import FloorProblem, Trivial, judge, load_trivials
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import Verdict

from .invented import check, run_of
from .test_prove import prove

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def trivial(**meets: str) -> Trivial:
    return Trivial(Path("/trivial/nothing"), {name.replace("_", "-"): why for name, why in meets.items()})


def test_a_pass_beyond_the_floor_fails() -> None:
    run = run_of({"a": (FAIL, [check("BND-1", PASS), check("SKL-1", PASS), check("CHN-5", FAIL)])})

    standing = judge(trivial(BND_1="It writes nothing."), run, load_contract())

    assert (standing.passes, standing.beyond, standing.short) == (("BND-1", "SKL-1"), ("SKL-1",), ())
    assert not standing.holds


def test_one_failed_check_is_enough_not_to_pass() -> None:
    run = run_of({"a": (PASS, [check("SKL-1", PASS)]), "b": (FAIL, [check("SKL-1", FAIL)])})

    standing = judge(trivial(), run, load_contract())

    assert (standing.passes, standing.holds) == ((), True)


def test_an_entry_that_no_longer_holds_fails() -> None:
    run = run_of({"a": (FAIL, [check("BND-1", FAIL)])})

    standing = judge(trivial(BND_1="It writes nothing."), run, load_contract())

    assert (standing.short, standing.holds) == (("BND-1",), False)


def test_a_run_that_broke_says_nothing_of_the_floor() -> None:
    standing = judge(trivial(), SuiteRun(None, "no scenario ran: 9 deselected"), load_contract())

    assert (standing.problem, standing.holds) == ("no scenario ran: 9 deselected", False)


@pytest.mark.parametrize(
    ("floor", "complaint"),
    [("[meets]\nSKL-99 = 'x'\n", "SKL-99"), ("[meets]\nSKL-1 = ''\n", "SKL-1"), ("[exceeds]\n", "exceeds")],
)
def test_a_floor_that_is_not_well_described_is_refused(tmp_path: Path, floor: str, complaint: str) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "floor.toml").write_text(floor)

    with pytest.raises(FloorProblem, match=complaint):
        load_trivials(load_contract(), tmp_path)


def test_no_trivial_implementation_passes_what_it_does_not_meet(tmp_path: Path) -> None:
    done = prove("--floor", "--reports", str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    for each in load_trivials(load_contract()):
        assert f"{each.name} passes {len(each.meets)} of 75 requirements" in done.stdout
    assert "It writes no secret at all." in done.stdout


def test_the_floor_is_of_all_trivial_implementations() -> None:
    done = prove("--floor", "volume-reused-as-it-is")

    assert done.returncode == 4
    assert "--floor: trivial implementations run in processes" in done.stderr
