"""The kill matrix: what became of each known-bad implementation, and which requirements that proves.

A kill is a scenario that fails against the mutant and passes against the reference in the same proof. It counts for a
requirement that the mutant was made to break; whatever else trips is a false alarm, which is told and is no error.
A scenario that passes against the reference only when it is run again is unsteady: it counts, and is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.contract.requirements import Contract
from harness.proof.mutant import Mutant
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import CheckLine, Ledger, ScenarioLine, Verdict

LONGEST_REASON = 400


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed by the right requirement"
    KILLED_BY_ANOTHER = "killed by another requirement"
    SURVIVED = "survived"
    COULD_NOT_RUN = "could not run"
    """Nothing was judged: the overlay no longer applies, or what could catch it did not run or fails by itself."""
    BROKEN = "broken"
    """It dies before it does anything, which no check need notice."""


class Cell(StrEnum):
    """What a requirement's checks made of a mutant."""

    KILL = "killed it, as it should"
    MISSED = "should have killed it, and did not"
    ALARM = "false alarm"
    UNIVERSAL_ALARM = "false alarm of the universal oracle"
    HELD = "was judged, and holds"
    NOT_JUDGED = "was not judged"


@dataclass(frozen=True, slots=True)
class Trip:
    """A check that failed against the mutant, in scenarios that the reference passes."""

    requirement: str
    check: str
    scenario: str
    """The first in which it failed."""
    scenarios: int
    """In how many it failed."""
    universal: bool
    """Whether only the universal oracle made it: such a check trips for many causes."""
    problem: str


@dataclass(frozen=True, slots=True)
class Row:
    """One mutant."""

    name: str
    breaks: str
    incident: str | None
    suite: str | None
    caught_by: tuple[str, ...]
    outcome: Outcome
    reason: str
    """Of all outcomes but the first, in a line."""
    trips: tuple[Trip, ...]
    """Of one that was killed: first what it should trip, and what a scenario is about before the universal oracle."""
    held: tuple[str, ...]
    """Requirements that were judged and did not fail."""
    scenarios: int
    """How many ran."""
    seconds: float
    reproduce: str
    """The command of the scenario that killed it; empty where none did."""

    @property
    def kills(self) -> tuple[Trip, ...]:
        """The trips that prove a requirement."""
        return tuple(trip for trip in self.trips if trip.requirement in self.caught_by)

    @property
    def false_alarms(self) -> tuple[Trip, ...]:
        return tuple(trip for trip in self.trips if trip.requirement not in self.caught_by)

    def cell(self, requirement: str) -> Cell:
        """What the requirement's checks made of it."""
        trips = [trip for trip in self.trips if trip.requirement == requirement]
        if requirement in self.caught_by:
            return Cell.KILL if trips else Cell.MISSED
        if trips:
            return Cell.UNIVERSAL_ALARM if all(trip.universal for trip in trips) else Cell.ALARM
        return Cell.HELD if requirement in self.held else Cell.NOT_JUDGED


@dataclass(frozen=True, slots=True)
class Reference:
    """What the same scenarios came to without a mutant."""

    implementation: str
    passed: frozenset[str]
    """Ids of scenarios."""
    others: tuple[ScenarioLine, ...]
    """Those that did not pass, so that nothing which they do is a kill."""
    unsteady: tuple[ScenarioLine, ...]
    """What became, the first time, of those that passed only when they were run again."""
    checks: tuple[CheckLine, ...]

    @classmethod
    def of(cls, ledgers: Sequence[Ledger]) -> Reference:
        """One or more, in the order of their runs: of a scenario that ran in several, the last one counts."""
        last = {line.scenario: line for ledger in ledgers for line in ledger.scenarios}
        first = {line.scenario: line for ledger in reversed(ledgers) for line in ledger.scenarios}
        passed = frozenset(name for name, line in last.items() if line.verdict == Verdict.PASS)
        return cls(
            implementation=f"{ledgers[0].header.implementation} {ledgers[0].header.implementation_version}",
            passed=passed,
            others=tuple(line for name, line in last.items() if name not in passed),
            unsteady=tuple(first[name] for name in last if name in passed and first[name] != last[name]),
            checks=tuple(line for ledger in ledgers for line in ledger.checks),
        )

    def why_not(self, scenario: str) -> str:
        """Why what the scenario sees is no kill, as the end of a sentence."""
        line = next((line for line in self.others if line.scenario == scenario), None)
        if line is None:
            return "did not run against the reference"
        return f"does not pass against the reference either: {line.verdict}: {line.reason}"

    def judging(self, requirements: Collection[str]) -> set[str]:
        """The scenarios that it passes and that make a check of any of these requirements."""
        return {line.scenario for line in self.checks if line.requirement in requirements} & self.passed


@dataclass(frozen=True, slots=True)
class Matrix:
    """A whole proof."""

    proof: str
    contract: str
    contract_digest: str
    runtime: str
    reference: Reference
    rows: tuple[Row, ...]
    scope: tuple[str, ...]
    """The requirements that this proof is about, in the contract's order."""
    complete: bool
    """Whether these are all of the contract."""

    @property
    def proven(self) -> frozenset[str]:
        return frozenset(trip.requirement for row in self.rows for trip in row.kills)

    @property
    def unproven(self) -> tuple[str, ...]:
        """Requirements of which nothing shows that a breach would be noticed."""
        return tuple(name for name in self.scope if name not in self.proven)

    @property
    def holds(self) -> bool:
        """Every requirement is proven, and no mutant got by in any way."""
        return not self.unproven and all(row.outcome is Outcome.KILLED for row in self.rows)

    def outcomes(self) -> Counter[Outcome]:
        return Counter(row.outcome for row in self.rows)

    def as_data(self) -> dict[str, Any]:
        """What kill-matrix.json holds."""
        return {
            "proof": self.proof,
            "contract": self.contract,
            "contract_digest": self.contract_digest,
            "runtime": self.runtime,
            "complete": self.complete,
            "holds": self.holds,
            "outcomes": {outcome.value: self.outcomes()[outcome] for outcome in Outcome},
            "requirements": list(self.scope),
            "unproven": list(self.unproven),
            "reference": {
                "implementation": self.reference.implementation,
                "passed": len(self.reference.passed),
                "not_passed": {line.scenario: line.verdict for line in self.reference.others},
                "unsteady": {line.scenario: in_a_line(line.reason) for line in self.reference.unsteady},
            },
            "mutants": [
                {
                    **asdict(row),
                    "killed_by": [trip.requirement for trip in row.kills],
                    "false_alarms": sorted({trip.requirement for trip in row.false_alarms}),
                }
                for row in self.rows
            ],
        }


def scope_of(contract: Contract, mutants: Iterable[Mutant], *, all_of_them: bool) -> tuple[str, ...]:
    """What a proof with these mutants is about: the whole contract, or no more than what they break."""
    named = {requirement for mutant in mutants for requirement in mutant.caught_by}
    return tuple(name for name in contract.requirements if all_of_them or name in named)


def assess(mutant: Mutant, runs: Sequence[SuiteRun], reference: Reference) -> Row:
    """What became of a mutant in one or more runs of disjoint scenarios."""
    ledgers = [run.ledger for run in runs if run.ledger is not None]
    scenarios = [line for ledger in ledgers for line in ledger.scenarios]
    checks = [line for ledger in ledgers for line in ledger.checks]
    failed = {line.scenario: line for line in scenarios if line.verdict == Verdict.FAIL}
    counted = {name: line for name, line in failed.items() if name in reference.passed}
    trips = _trips(mutant, [line for line in checks if line.scenario in counted])
    outcome, reason = _outcome(mutant, runs, scenarios, counted, trips, reference)
    if outcome not in {Outcome.KILLED, Outcome.KILLED_BY_ANOTHER}:
        trips = ()
    verdicts = {
        Verdict(verdict): {line.requirement for line in checks if line.verdict == verdict}
        for verdict in Verdict
    }
    killer = next((counted[trip.scenario] for trip in trips), None)
    return Row(
        name=mutant.name,
        breaks=mutant.breaks,
        incident=mutant.incident,
        suite=mutant.suite,
        caught_by=mutant.caught_by,
        outcome=outcome,
        reason=in_a_line(reason),
        trips=trips,
        held=tuple(sorted(verdicts[Verdict.PASS] - verdicts[Verdict.FAIL])),
        scenarios=len(scenarios),
        seconds=round(sum(line.seconds.get("total", 0.0) for line in scenarios), 1),
        reproduce=killer.reproduce if killer is not None else "",
    )


def _outcome(
    mutant: Mutant,
    runs: Sequence[SuiteRun],
    scenarios: Sequence[ScenarioLine],
    counted: dict[str, ScenarioLine],
    trips: Sequence[Trip],
    reference: Reference,
) -> tuple[Outcome, str]:
    if not runs:
        return Outcome.COULD_NOT_RUN, "it shows in containers only, and no container engine answered"
    if stale := next((run.does_not_apply for run in runs if run.does_not_apply), ""):
        return Outcome.COULD_NOT_RUN, f"the overlay no longer applies: {stale}"
    if dead := next((run.dead for run in runs if run.dead), ""):
        return Outcome.BROKEN, dead
    if counted and not any(run.applied for run in runs):
        return Outcome.COULD_NOT_RUN, (
            "no console says that the overlay was laid over anything, so what failed is not its doing"
        )
    named = ", ".join(sorted({trip.requirement for trip in trips}))
    if any(trip.requirement in mutant.caught_by for trip in trips):
        return Outcome.KILLED, ""
    if trips:
        return Outcome.KILLED_BY_ANOTHER, f"by {named}, not by {' or '.join(mutant.caught_by)}"
    if counted:
        first = next(iter(counted.values()))
        return Outcome.KILLED_BY_ANOTHER, f"by no check: {first.scenario}: {first.reason}"
    if broken := next((run.problem for run in runs if run.problem), ""):
        return Outcome.COULD_NOT_RUN, broken
    for line in scenarios:
        if line.verdict == Verdict.COULD_NOT_RUN:
            return Outcome.COULD_NOT_RUN, f"{line.scenario}: {line.reason}"
        if line.verdict == Verdict.FAIL:
            return Outcome.COULD_NOT_RUN, f"{line.scenario} {reference.why_not(line.scenario)}"
    if not any(line.verdict == Verdict.PASS for line in scenarios):
        return Outcome.COULD_NOT_RUN, "none of its scenarios is applicable"
    missed = [line.scenario for line in scenarios if line.scenario not in reference.passed]
    if missed:
        return Outcome.COULD_NOT_RUN, f"{missed[0]} passes against it, and does not against the reference"
    return Outcome.SURVIVED, f"{len(scenarios)} scenarios saw nothing"


def _trips(mutant: Mutant, checks: Iterable[CheckLine]) -> tuple[Trip, ...]:
    """Each failed check once: first what it should trip, and before the universal oracle what a scenario is about."""
    by_check: dict[tuple[str, str], list[CheckLine]] = {}
    for line in checks:
        if line.verdict == Verdict.FAIL:
            by_check.setdefault((line.requirement, line.check), []).append(line)
    trips = []
    for (requirement, name), lines in by_check.items():
        first = min(lines, key=lambda line: line.universal)
        trips.append(
            Trip(
                requirement=requirement,
                check=name,
                scenario=first.scenario,
                scenarios=len({line.scenario for line in lines}),
                universal=first.universal,
                problem=in_a_line(first.problems[0] if first.problems else first.saw),
            )
        )
    return tuple(
        sorted(trips, key=lambda trip: (trip.requirement not in mutant.caught_by, trip.universal, trip.check))
    )


def in_a_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " …"
