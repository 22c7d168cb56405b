"""What is slow only once, or fails with the good implementation too, says nothing of a mutant."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.proof.automatic.outcome import Outcome
from harness.proof.automatic.pool import Pool
from harness.proof.automatic.reach import Reached

from .invented import NAMES, module, mutation
from .scripted import Scripted, campaign

FIRST, SECOND = "test_a_first", "test_a_second"


@pytest.mark.parametrize(
    ("script", "outcome", "asked"),
    [
        # The job; the good implementation, at once; and the mutant again, before it is taken for slow.
        (["slow", "passes", "slow"], Outcome.TIMED_OUT, [(True, 2), (False, 1), (True, 1)]),
        (["slow", "passes", "fails"], Outcome.TIMED_OUT, [(True, 2), (False, 1), (True, 1)]),
        # It was the computer that was slow, so that the other scenario has its turn.
        (["slow", "passes", "passes", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1), (True, 1)]),
        (["slow", "slow", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1)]),
        # A failure is a kill where the good implementation passes, and is not made twice.
        (["fails", "passes"], Outcome.KILLED, [(True, 2), (False, 1)]),
        (["fails", "fails", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1)]),
    ],
    ids=lambda each: " ".join(map(str, each)) if isinstance(each, list) else None,
)  # fmt: skip
def test_a_mutant_dies_of_what_only_it_does(
    tmp_path: Path, script: list[str], outcome: Outcome, asked: list[tuple[bool, int]]
) -> None:
    of = module(tmp_path, NAMES)
    mutant = mutation(of, "if name:", "if not name:")
    arcs = {of.name: frozenset({(-1, 2), (2, 3)})}
    scripted = Scripted(tmp_path / "run", script)
    made = campaign(
        tmp_path / "campaign", of, [Reached(name, 1.0, arcs) for name in (FIRST, SECOND)], bound=2
    )

    (row,) = made.run(cast(Pool, scripted), [mutant])

    assert row.outcome is outcome
    assert [(by_mutant, len(names)) for by_mutant, names in scripted.asked] == asked
