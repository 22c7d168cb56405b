"""What survives, and nobody explains, meets all scenarios about the requirements that its module names."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.proof.automatic.kept import Kept
from harness.proof.automatic.mutation import Module
from harness.proof.automatic.outcome import Outcome
from harness.proof.automatic.pool import Pool
from harness.proof.automatic.reach import Reached

from .invented import NAMES, module, mutation
from .scripted import Scripted, campaign

FIRST, OTHER, SLOW, ABOUT = "test_a_first", "test_another", "test_a_slow_one_about_it", "test_one_about_it"


@pytest.fixture
def of(tmp_path: Path) -> Module:
    """A module that is there for CHN-10, and not for CHN-1."""
    return module(tmp_path, '    """Asks again (CHN-10)."""\n\n' + NAMES)


@pytest.fixture
def scenarios(of: Module) -> list[Reached]:
    line = next(number for number, words in enumerate(of.text.splitlines(), 1) if "if name:" in words)
    arcs = {of.name: frozenset({(-1, line), (line, line + 1)})}
    elsewhere = {of.name: frozenset({(-1, 1)})}
    about = frozenset({"CHN-10", "OBS-1"})
    return [
        Reached(FIRST, 1.0, arcs),
        Reached(OTHER, 2.0, arcs, frozenset({"CHN-1"})),
        Reached(SLOW, 9.0, arcs, about),
        Reached(ABOUT, 3.0, arcs, about),
        Reached("test_one_that_is_elsewhere", 1.0, elsewhere, about),
    ]


def test_a_survivor_meets_those_about_its_modules_requirements(
    tmp_path: Path, of: Module, scenarios: list[Reached]
) -> None:
    scripted = Scripted(tmp_path / "run", ["passes"])

    (row,) = campaign(tmp_path / "campaign", of, scenarios, bound=1).run(
        cast(Pool, scripted), [mutation(of, "if name:", "if not name:")]
    )

    assert row.outcome is Outcome.SURVIVED
    assert scripted.asked == [(True, (FIRST, ABOUT, SLOW))]


def test_what_is_explained_meets_no_more_than_the_bound(
    tmp_path: Path, of: Module, scenarios: list[Reached]
) -> None:
    scripted = Scripted(tmp_path / "run", ["passes"])
    kept = Kept(
        module=of.name, within="shout", was="if name:", becomes=("if not name:",), reason="So it is said."
    )

    (row,) = campaign(tmp_path / "campaign", of, scenarios, bound=1, kept=[kept]).run(
        cast(Pool, scripted), [mutation(of, "if name:", "if not name:")]
    )

    assert row.outcome is Outcome.EQUIVALENT
    assert scripted.asked == [(True, (FIRST,))]
