"""What once broke an implementation, found by generated examples, or is given to `--replay`."""

from __future__ import annotations

from harness.scenario.counterexample import Counterexample
from harness.scenario.life import live
from harness.scenario.scenario import Scenario


def test_a_counterexample_breaks_nothing(scenario: Scenario, counterexample: Counterexample) -> None:
    scenario.needs_transport(counterexample.transport)
    if counterexample.steps:
        scenario.needs("snapshots")

    live(scenario, counterexample)
