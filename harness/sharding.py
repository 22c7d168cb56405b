"""The pytest plugin behind `--shard`: keeps one part of what was collected."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

import pytest

from harness.report.ledger import LedgerProblem
from harness.report.population import is_scenario
from harness.report.shard import Shard, ShardProblem, Timings, population, split

POPULATION = "conformance_shard_of"
PROBLEM = "conformance_shard_problem"
"""What a worker of xdist tells the process that controls the run, by these names."""


class Sharding:
    """In each process that collects. `population` is known once one of them has."""

    def __init__(self, shard: Shard, timings: Timings, output: dict[str, Any] | None) -> None:
        """`output` is that of a worker of xdist."""
        self.shard = shard
        self.timings = timings
        self.population: str | None = None
        self._output = output
        self._problem: str | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> Self:
        """By what was asked. Raises ShardProblem."""
        option, output = config.option, getattr(config, "workeroutput", None)
        shard = Shard.parse(option.shard)
        if option.timings is None:
            return cls(shard, Timings.latest(config.rootpath / option.reports), output)
        try:
            return cls(shard, Timings.of(Path(option.timings)), output)
        except LedgerProblem as problem:
            raise ShardProblem(f"--timings {problem}; give the ledger.jsonl of a whole run") from None

    def __str__(self) -> str:
        known = self.timings.ledger
        return f"{self.shard} by {f'the times of {known}' if known is not None else 'number, as no times are known'}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """What `-k` and the like leave is split: scenarios by their time, tests of the harness by their number."""
        done = yield
        scenarios = {item.nodeid for item in items if is_scenario(item)}
        others = {item.nodeid for item in items} - scenarios
        self.population = population(scenarios)
        if 0 < len(scenarios) < self.shard.of:
            items.clear()
            self._refuse(
                f"--shard {self.shard}: there are only {len(scenarios)} scenarios to split; ask for fewer shards"
            )
            return done
        part = self.shard.number - 1
        mine = (
            split(scenarios, self.shard.of, self.timings.seconds)[part]
            | split(others, self.shard.of, {})[part]
        )
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in mine])
        items[:] = [item for item in items if item.nodeid in mine]
        return done

    def _refuse(self, problem: str) -> None:
        """In a worker of xdist, for the process that controls the run to raise it: it would take it for a crash."""
        self._problem = problem
        if self._output is None:
            raise pytest.UsageError(problem)

    def pytest_sessionfinish(self) -> None:
        if self._output is not None:
            self._output[POPULATION] = self.population
            self._output[PROBLEM] = self._problem

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker has to say; one that crashed has nothing."""
        told: dict[str, Any] = getattr(node, "workeroutput", {})
        self.population = told.get(POPULATION, self.population)
        if told.get(PROBLEM) is not None:
            raise pytest.UsageError(told[PROBLEM])
