"""What happened in each scenario, as a developer reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..ledger import CheckLine, ScenarioLine, Verdict, worst_of
from .evidence import shortened
from .references import Reference
from .timeline import Segment, boots, parts

MOST_PROBLEMS = 8
MOST_STEPS = 6
LONGEST_REASON = 2000
ALLOWANCE = 500_000
"""Letters of problems and consoles in one page: a run in which all fails must open as fast as any other."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The artifacts of a scenario that failed."""

    folder: str
    """As the page links to it: relative, and without a slash at its end."""
    files: tuple[str, ...]
    consoles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By machine, the last lines."""


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that failed, at however many steps."""

    requirement: str
    check: str
    universal: bool
    steps: tuple[str, ...]
    more_steps: int
    saw: str
    problems: tuple[str, ...]
    more_problems: int


@dataclass(frozen=True, slots=True)
class Console:
    machine: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScenarioView:
    """One scenario."""

    reference: Reference
    verdict: Verdict
    seconds: float
    share: float
    """Of the longest scenario, in percent."""
    parts: tuple[Segment, ...]
    boots: tuple[Segment, ...]
    examples: int
    worker: str
    reproduce: str
    reason: str
    """Where no check says it."""
    failed: tuple[FailedCheck, ...]
    requirements: tuple[tuple[str, Verdict], ...]
    """What it is about."""
    checks: int
    universal: int
    consoles: tuple[Console, ...]
    untold_consoles: int
    kept: Kept | None


@dataclass
class _Allowance:
    left: int

    def takes(self, texts: Sequence[str]) -> bool:
        """Whether there is room for these still, which takes it."""
        need = sum(map(len, texts))
        if need > self.left:
            return False
        self.left -= need
        return True


def scenario_views(
    lines: Iterable[ScenarioLine],
    checks: Iterable[CheckLine],
    references: Mapping[str, Reference],
    kept: Mapping[str, Kept],
) -> tuple[ScenarioView, ...]:
    """One for each scenario: a second line of it, of a teardown that failed, is put together with the first."""
    said: defaultdict[str, list[ScenarioLine]] = defaultdict(list)
    for line in lines:
        said[line.scenario].append(line)
    made: defaultdict[str, list[CheckLine]] = defaultdict(list)
    for check in checks:
        made[check.scenario].append(check)
    longest = max((_seconds(found) for found in said.values()), default=0.0) or 1.0
    allowance = _Allowance(ALLOWANCE)
    return tuple(
        _view(found, made[name], references[name], kept.get(name), longest, allowance)
        for name, found in said.items()
    )


def _view(
    lines: Sequence[ScenarioLine],
    checks: Sequence[CheckLine],
    reference: Reference,
    kept: Kept | None,
    longest: float,
    allowance: _Allowance,
) -> ScenarioView:
    first, worst = lines[0], max(lines, key=lambda line: Verdict(line.verdict).rank)
    failed = _failed(checks, allowance)
    about = worst_of((check.requirement, Verdict(check.verdict)) for check in checks if not check.universal)
    consoles = kept.consoles if kept is not None else {}
    shown = [Console(machine, tail) for machine, tail in consoles.items() if allowance.takes(tail)]
    # Pytest's reason of a failed check is the same narrative again.
    told = bool(failed) and worst.verdict == Verdict.FAIL
    return ScenarioView(
        reference,
        Verdict(worst.verdict),
        seconds=_seconds(lines),
        share=round(100 * _seconds(lines) / longest, 2),
        parts=parts(first.seconds),
        boots=boots(first.boots),
        examples=first.examples,
        worker=first.worker,
        reproduce=worst.reproduce,
        reason="" if told else shortened(worst.reason, LONGEST_REASON),
        failed=failed,
        requirements=tuple(about.items()),
        checks=len(checks),
        universal=sum(check.universal for check in checks),
        consoles=tuple(shown),
        untold_consoles=len(consoles) - len(shown),
        kept=kept,
    )


def _failed(checks: Iterable[CheckLine], allowance: _Allowance) -> tuple[FailedCheck, ...]:
    """What the scenario is about first: the universal oracle often sees the same fault from other sides."""
    by_name: defaultdict[str, list[CheckLine]] = defaultdict(list)
    for check in checks:
        if check.verdict == Verdict.FAIL:
            by_name[check.check].append(check)
    views = []
    for name, made in sorted(by_name.items(), key=lambda item: all(check.universal for check in item[1])):
        first = made[0]
        steps = tuple(dict.fromkeys(check.step for check in made))
        problems = tuple(first.problems[:MOST_PROBLEMS])
        if not allowance.takes(problems):
            problems = ()
        views.append(
            FailedCheck(
                first.requirement,
                name,
                all(check.universal for check in made),
                steps[:MOST_STEPS],
                max(0, len(steps) - MOST_STEPS),
                shortened(first.saw, LONGEST_REASON),
                problems,
                len(first.problems) - len(problems),
            )
        )
    return tuple(views)


def _seconds(lines: Sequence[ScenarioLine]) -> float:
    return max(line.seconds.get("total", 0.0) for line in lines)
