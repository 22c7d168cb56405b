"""What is left of a life that broke the contract, when everything is taken out of it that the break does not need.

Hypothesis' own shrinking works on what was drawn, not on steps: it takes several times as many boots, and stops with
steps left in that do nothing for the break.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.oracle.check import ContractBroken
from harness.templates.changes import changed, possible_removals

from .counterexample import Counterexample, Step
from .life import StepNotPossible, live
from .scenario import Scenario


def shortened(scenario: Scenario, life: Counterexample, broken: ContractBroken) -> ContractBroken:
    """How the shortest life breaks the contract in which one of the same checks fails.

    That life becomes the scenario's counterexample.
    """
    shortest, told = life, broken
    checks = {line.check for line in broken.failed}

    def breaks(shorter: Counterexample) -> bool:
        nonlocal shortest, told
        again = _how_it_breaks(scenario, shorter)
        if again is None or checks.isdisjoint(line.check for line in again.failed):
            return False
        shortest, told = shorter, again
        return True

    fewest_steps(life.steps, lambda steps: breaks(replace(life, steps=steps)))
    for change in possible_removals(life.template):
        if change in possible_removals(shortest.template):
            breaks(replace(shortest, template=changed(shortest.template, *change, number=0)))
    scenario.counterexample = shortest
    return told


def fewest_steps(steps: Sequence[Step], breaks: Callable[[Sequence[Step]], bool]) -> Sequence[Step]:
    """Ever shorter runs of steps are left out, the last ones first, where what is left still breaks it."""
    kept = tuple(steps)
    run = len(kept)
    while run:
        for start in range(len(kept) - run, -1, -run):
            shorter = kept[:start] + kept[start + run :]
            if len(shorter) < len(kept) and breaks(shorter):
                kept = shorter
        run //= 2
    return kept


def _how_it_breaks(scenario: Scenario, life: Counterexample) -> ContractBroken | None:
    try:
        with scenario.example() as example:
            live(example, life)
    except ContractBroken as broken:
        return broken
    except StepNotPossible:
        pass
    return None
