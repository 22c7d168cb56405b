"""The good implementation runs the quick scenarios, measured, so that it is known which lines each of them reaches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .pool import Pool
from .reach import Arc, Reach, Reached, measured
from .servers import Server

_LIMIT = 120.0
"""Seconds after which one is given up, with the start of its cloud: several times what the slowest takes on an idle
computer, since what only it reaches has to be met by it."""
_TOGETHER = 8
"""How many scenarios share a cloud."""


def measure(pool: Pool, scenarios: Sequence[str], source: Path, ended: Callable[[int], None]) -> Reach:
    """What does not pass is left out: nothing could be told by it. Raises ServerBroken.

    `ended` is told how many more have come to their end.
    """

    def some(server: Server, asked: Sequence[str]) -> list[Reached]:
        reached: list[Reached] = []
        left = list(asked)
        while left:
            answer = server.run([(scenario, _LIMIT) for scenario in left], measured=source)
            if answer.broke or answer.beyond_its_limit:  # its data are lost, and those of what ran before it
                left.remove(answer.beyond_its_limit or left[len(answer.done)])
            else:
                left = []
                arcs = measured(answer.folder / "coverage", source)
                reached = [
                    Reached(
                        each.scenario,
                        each.seconds,
                        _both(arcs.get(each.scenario, {}), arcs.get("", {})),
                        frozenset(each.judged),
                    )
                    for each in answer.done
                    if each.verdict == "pass"
                ]
            shutil.rmtree(answer.folder, ignore_errors=True)
        ended(len(asked))
        return reached

    tasks = [scenarios[begin : begin + _TOGETHER] for begin in range(0, len(scenarios), _TOGETHER)]
    found = [each for reached in pool.each(some, tasks) for each in reached]
    return Reach(tuple(sorted(found, key=lambda each: each.scenario)))


def _both(
    one: Mapping[str, frozenset[Arc]], other: Mapping[str, frozenset[Arc]]
) -> dict[str, frozenset[Arc]]:
    return {
        module: one.get(module, frozenset()) | other.get(module, frozenset()) for module in {*one, *other}
    }
