"""Scenarios are split evenly, in the same way on every machine, and each into one part."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from harness.report.ledger import LedgerProblem
from harness.report.shard import Shard, ShardProblem, Timings, population, split

from .ledgers import SCENARIOS, ledger, shards


@pytest.mark.parametrize(
    "text", ["", "2", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1 / 4", "01/4", "²/4"]
)
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(ShardProblem, match=r"no part of a whole; give I/N") as refused:
        Shard.parse(text)
    assert str(refused.value).startswith(f"--shard {text}: ")


def test_a_shard_reads_as_it_is_typed() -> None:
    assert str(Shard.parse("2/4")) == "2/4"


def test_each_scenario_is_in_one_part() -> None:
    parts = split(SCENARIOS, 3, {SCENARIOS[0]: 9.0})

    assert sorted(chain.from_iterable(parts)) == sorted(SCENARIOS)


def test_the_longest_goes_first_and_each_to_the_part_with_least_to_do() -> None:
    seconds = {"long": 10.0, "middle": 6.0, "short": 3.0, "shorter": 2.0}

    assert split(seconds, 2, seconds) == [{"long"}, {"middle", "short", "shorter"}]


def test_without_any_times_parts_are_equal_in_number() -> None:
    assert sorted(map(len, split(SCENARIOS, 3, {}))) == [2, 3, 3]


def test_a_scenario_that_never_ran_counts_as_the_mean_of_the_others() -> None:
    assert split(["new", "long", "short"], 2, {"long": 9.0, "short": 1.0}) == [{"long"}, {"new", "short"}]


def test_the_order_of_collection_has_no_bearing() -> None:
    seconds = {name: float(number % 3) for number, name in enumerate(SCENARIOS)}
    shuffled = list(SCENARIOS)
    random.Random(1).shuffle(shuffled)

    assert split(shuffled, 3, seconds) == split(SCENARIOS, 3, dict(reversed(seconds.items())))


def test_a_population_is_told_by_its_members_alone() -> None:
    assert population(reversed(SCENARIOS)) == population([*SCENARIOS, SCENARIOS[0]])
    assert population(SCENARIOS[1:]) != population(SCENARIOS)


def test_times_are_of_whole_scenarios(tmp_path: Path) -> None:
    run = ledger(SCENARIOS[:1])
    replace(run, scenarios=run.scenarios * 2).write(tmp_path / "ledger.jsonl")

    timings = Timings.of(tmp_path / "ledger.jsonl")

    assert timings.seconds == {SCENARIOS[0]: 2.0}
    assert timings.digest is not None


def test_the_latest_times_are_of_a_run_that_was_whole_and_came_to_its_end(tmp_path: Path) -> None:
    for age, (name, run) in enumerate(
        {"older": ledger(), "whole": ledger(), "shard": shards()[0], "broken": ledger()}.items()
    ):
        path = tmp_path / name / "ledger.jsonl"
        run.write(path)
        if name == "broken":
            path.write_text(path.read_text()[:-5])
        os.utime(path, (1000 + age, 1000 + age))

    assert Timings.latest(tmp_path).ledger == tmp_path / "whole" / "ledger.jsonl"


def test_where_nothing_ran_no_times_are_known(tmp_path: Path) -> None:
    assert Timings.latest(tmp_path / "nothing") == Timings(None, None, {})


def test_times_are_not_taken_from_a_ledger_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger().write(path)
    path.write_text(path.read_text()[:-5])

    with pytest.raises(LedgerProblem, match="not JSON lines"):
        Timings.of(path)
