"""The score counts what says something of the scenarios, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.proof.automatic.outcome import Outcome, Row, Score

from .invented import NAMES, module


def score(folder: Path, *outcomes: Outcome) -> Score:
    mutation = next(module(folder, NAMES).mutations())
    return Score(1, 9, [Row(mutation, outcome, "") for outcome in outcomes])


def test_what_nothing_reaches_has_survived(tmp_path: Path) -> None:
    of = score(
        tmp_path, *[Outcome.KILLED] * 2, Outcome.TIMED_OUT, Outcome.NOT_REACHED,
        Outcome.EQUIVALENT, Outcome.BROKEN, Outcome.BROKEN,
    )  # fmt: skip

    assert (of.killed, of.counted, of.percent) == (3, 4, 75.0)
    assert [row.outcome for rows in of.survivors().values() for row in rows] == [Outcome.NOT_REACHED]
    assert not of.holds


@pytest.mark.parametrize(
    ("survived", "other", "holds"),
    [
        (1, Outcome.EQUIVALENT, True),
        (2, Outcome.EQUIVALENT, False),
        (1, Outcome.COULD_NOT_RUN, False),
        (1, Outcome.DISPROVED, False),
    ],
)
def test_nine_of_ten_are_enough_where_all_could_run(
    tmp_path: Path, survived: int, other: Outcome, holds: bool
) -> None:
    of = score(tmp_path, *[Outcome.KILLED] * 9, *[Outcome.SURVIVED] * survived, other)

    assert of.holds is holds


def test_a_draw_of_nothing_proves_nothing(tmp_path: Path) -> None:
    assert not score(tmp_path, Outcome.EQUIVALENT).holds
