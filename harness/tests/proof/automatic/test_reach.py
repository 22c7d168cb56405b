"""A mutant meets the scenarios that run what it changes, and of these the quickest that differ most."""

from __future__ import annotations

from pathlib import Path

from harness.proof.automatic.reach import Reach, Reached, around, choose

from .invented import LIMITS, module, mutation

LINES = "invented.only"


def reached(name: str, seconds: float, *lines: int, suite: str = "test_a.py") -> Reached:
    arcs = frozenset(zip((-1, *lines), (*lines, -1), strict=True))
    return Reached(f"{suite}::{name}", seconds, {LINES: arcs})


def test_only_scenarios_that_run_the_changed_line_are_met(tmp_path: Path) -> None:
    of = module(tmp_path, LIMITS)
    lines = {each.strip(): number for number, each in enumerate(of.text.splitlines(), start=1)}
    early = reached("early", 1.0, lines["if count is None:"], lines["return False"])
    late = reached("late", 1.0, lines["if count is None:"], lines["return count < _MOST"])
    reach = Reach((early, late))

    assert reach.reaching(mutation(of, "return False", "return True"), [of]) == [early]
    assert reach.reaching(mutation(of, "if count is None:", "if not count is None:"), [of]) == [early, late]


def test_a_constant_matters_where_it_is_used(tmp_path: Path) -> None:
    of = module(tmp_path, LIMITS)
    lines = {each.strip(): number for number, each in enumerate(of.text.splitlines(), start=1)}
    loads = reached("loads", 1.0, lines["_MOST = 2"])
    uses = reached("uses", 1.0, lines["return count < _MOST"])

    assert Reach((loads, uses)).reaching(mutation(of, "_MOST = 2", "_MOST = 3"), [of]) == [uses]


def test_what_nothing_runs_is_met_by_nothing(tmp_path: Path) -> None:
    of = module(tmp_path, LIMITS)

    assert (
        Reach((reached("other", 1.0, 1),)).reaching(mutation(of, "return False", "return True"), [of]) == []
    )


def test_quick_scenarios_that_run_something_else_come_first() -> None:
    slow = reached("slow", 9.0, 1, 2, 3, 4)
    quick, alike = reached("quick", 1.0, 1, 2), reached("alike", 1.1, 1, 2)
    other = reached("other", 2.0, 1, 3)

    assert choose([slow, alike, quick, other], LINES, {}, 2) == [quick, other]
    assert choose([slow, alike, quick, other], LINES, {}, 9) == [quick, other, slow, alike]


def test_another_kind_of_boot_comes_before_more_of_the_same() -> None:
    quick, alike = reached("quick", 1.0, 1, 2), reached("alike", 1.1, 1, 2)
    heals = Reached("test_a.py::heals", 5.0, {**quick.arcs, "invented.heal": frozenset({(-1, 1), (1, -1)})})

    assert choose([quick, alike, heals], LINES, {}, 2) == [quick, heals]


def test_no_suite_has_a_second_turn_before_each_had_its_first() -> None:
    quick, richer = reached("quick", 1.0, 1, 2), reached("richer", 1.0, 1, 2, 3)
    elsewhere = reached("elsewhere", 9.0, 1, 2, suite="test_b.py")

    assert choose([quick, richer, elsewhere], LINES, {}, 2) == [richer, elsewhere]


def test_another_way_through_the_changed_function_comes_before_another_suite() -> None:
    quick, elsewhere = reached("quick", 1.0, 1, 2), reached("elsewhere", 1.0, 1, 2, suite="test_b.py")
    apart, rare = reached("apart", 1.5, 1, 2, 9), reached("rare", 9.0, 1, 3, 2)

    assert choose([quick, elsewhere, apart, rare], LINES, {LINES: range(3, 5)}, 3) == [rare, elsewhere, apart]


def test_around_a_change_are_the_functions_in_which_it_matters(tmp_path: Path) -> None:
    of = module(tmp_path, LIMITS)
    lines = {each.strip(): number for number, each in enumerate(of.text.splitlines(), start=1)}
    head, last = (
        number for words, number in lines.items() if words.startswith(("def within", "return count"))
    )
    function = {LINES: {*range(head, last + 1)}}

    assert around(mutation(of, "return False", "return True"), [of]) == function
    assert around(mutation(of, "_MOST = 2", "_MOST = 3"), [of]) == function


def test_it_is_kept_as_it_was(tmp_path: Path) -> None:
    healing = Reached("test_a.py::heals", 3.0, {LINES: frozenset({(-1, 1)})}, frozenset({"HEAL-1", "OBS-2"}))
    reach = Reach((reached("quick", 1.0, 1, 2), healing))
    reach.write(tmp_path / "reach.json")

    assert Reach.read(tmp_path / "reach.json") == reach
