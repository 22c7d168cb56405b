"""What a run showed of each requirement, put together from its checks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract.requirements import Contract, Requirement
from harness.proof.mutant import Mutant

from ..ledger import CheckLine, Verdict, verdicts_by_requirement, worst_of
from .references import Reference

LONGEST_SAW = 400
MOST_NAMED = 25
"""Failing scenarios that a requirement names, of those that are not about it."""

Counts = tuple[tuple[Verdict, int], ...]
"""How many came to what, the worst first."""


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check, however often it was made."""

    name: str
    verdict: Verdict
    counts: Counts
    sample: CheckLine
    """One of the worst it came to."""
    saw: str
    where: Reference
    universal: bool
    """Whether it was made only because it must always hold."""


@dataclass(frozen=True, slots=True)
class Group:
    """A scenario with all its parameters."""

    suite: str
    function: str
    scenarios: tuple[Reference, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class RequirementView:
    """One requirement of the contract, and all that bears on it."""

    requirement: Requirement
    verdict: Verdict
    counts: Counts
    checks: tuple[CheckView, ...]
    about: tuple[Group, ...]
    """Scenarios that are about it."""
    passing: int
    """Further scenarios in which it was looked at because it must always hold, and held."""
    tripped: tuple[Reference, ...]
    """Further scenarios in which it was looked at because it must always hold, and did not hold."""
    untold: int
    """How many of those are not named."""
    mutants: tuple[Mutant, ...]
    """Known-bad implementations that a run must catch by it, or by another of their requirements."""


def evidence(
    contract: Contract,
    checks: Sequence[CheckLine],
    scenarios: Mapping[str, Reference],
    mutants: Iterable[Mutant],
) -> tuple[RequirementView, ...]:
    """One for each requirement of the contract, in its order."""
    made: defaultdict[str, list[CheckLine]] = defaultdict(list)
    for line in checks:
        made[line.requirement].append(line)
    proofs: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        for name in mutant.caught_by:
            proofs[name].append(mutant)
    verdicts = verdicts_by_requirement(checks, contract.requirements)
    return tuple(
        _view(requirement, *verdicts[name], made[name], scenarios, proofs[name])
        for name, requirement in contract.requirements.items()
    )


def in_order(counts: Counter[Verdict]) -> Counts:
    return tuple((verdict, counts[verdict]) for verdict in reversed(Verdict) if counts[verdict])


def _view(
    requirement: Requirement,
    verdict: Verdict,
    counts: Counter[Verdict],
    lines: Sequence[CheckLine],
    scenarios: Mapping[str, Reference],
    mutants: Sequence[Mutant],
) -> RequirementView:
    came_to = worst_of((line.scenario, Verdict(line.verdict)) for line in lines)
    own = dict.fromkeys(line.scenario for line in lines if not line.universal)
    others = {name: found for name, found in came_to.items() if name not in own}
    tripped = [scenarios[name] for name, found in others.items() if found is Verdict.FAIL]
    return RequirementView(
        requirement,
        verdict,
        in_order(counts),
        _checks(lines, scenarios),
        _groups([(scenarios[name], came_to[name]) for name in own]),
        passing=sum(found is Verdict.PASS for found in others.values()),
        tripped=tuple(tripped[:MOST_NAMED]),
        untold=max(0, len(tripped) - MOST_NAMED),
        mutants=tuple(mutants),
    )


def _checks(lines: Sequence[CheckLine], scenarios: Mapping[str, Reference]) -> tuple[CheckView, ...]:
    by_name: defaultdict[str, list[CheckLine]] = defaultdict(list)
    for line in lines:
        by_name[line.check].append(line)
    views = []
    for name, made in by_name.items():
        # Of the worst, one that its scenario is about tells most.
        sample = max(made, key=lambda line: (Verdict(line.verdict).rank, not line.universal))
        views.append(
            CheckView(
                name,
                Verdict(sample.verdict),
                in_order(Counter(Verdict(line.verdict) for line in made)),
                sample,
                shortened(sample.saw, LONGEST_SAW),
                scenarios[sample.scenario],
                all(line.universal for line in made),
            )
        )
    return tuple(sorted(views, key=lambda view: (-view.verdict.rank, view.universal, view.name)))


def _groups(acted: Sequence[tuple[Reference, Verdict]]) -> tuple[Group, ...]:
    by_function: defaultdict[tuple[str, str], list[tuple[Reference, Verdict]]] = defaultdict(list)
    for scenario, verdict in acted:
        by_function[scenario.suite, scenario.function].append((scenario, verdict))
    return tuple(
        Group(
            suite,
            function,
            tuple(scenario for scenario, _ in sorted(found, key=lambda each: each[0].parameters)),
            in_order(Counter(verdict for _, verdict in found)),
        )
        for (suite, function), found in sorted(by_function.items())
    )


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
