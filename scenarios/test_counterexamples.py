"""What once broke an implementation, found by generated examples, or is given to `--replay`."""

from __future__ import annotations

from harness.scenario.counterexample import Counterexample
from harness.scenario.life import Life
from harness.scenario.scenario import Scenario


def test_a_counterexample_breaks_nothing(scenario: Scenario, counterexample: Counterexample) -> None:
    scenario.needs_transport(counterexample.transport)
    if counterexample.steps:
        scenario.needs("snapshots")

    life = Life(scenario, counterexample.template, counterexample.transport)
    for step in counterexample.steps:
        life.take(step)
    life.end()
