"""Work side by side is given up as a whole."""

from __future__ import annotations

from threading import Event

import pytest

from harness.proof.side_by_side import side_by_side


def test_each_task_comes_back_with_what_it_gave() -> None:
    assert dict(side_by_side(len, ["a", "bb", "ccc"], 2, lambda: None)) == {"a": 1, "bb": 2, "ccc": 3}


def test_a_task_that_breaks_ends_those_under_way_and_begins_no_other() -> None:
    begun, told = [], Event()

    def one(task: str) -> None:
        begun.append(task)
        if task == "breaks":
            raise ValueError(task)
        assert told.wait(30)

    with pytest.raises(ValueError, match="breaks"):
        list(side_by_side(one, ["under way", "breaks", *map(str, range(50))], 2, told.set))

    assert told.is_set()
    assert len(begun) < 52


def test_whoever_waits_and_breaks_ends_those_under_way() -> None:
    told = Event()

    def one(task: str) -> None:
        if task == "under way":
            assert told.wait(30)

    def wait() -> None:
        for _ in side_by_side(one, ["under way", "done"], 2, told.set):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait()

    assert told.is_set()
