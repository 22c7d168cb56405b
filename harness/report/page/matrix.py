"""Requirement by suite: where each was judged, and what it came to there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ledger import CheckLine, Verdict
from .evidence import Counts, in_order
from .references import suite_of


@dataclass(frozen=True, slots=True)
class Cell:
    """One requirement in one suite."""

    verdict: Verdict
    counts: Counts
    """Of checks."""
    universal: bool
    """Whether the suite has it only because it must always hold."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows by requirement; in each a cell for each suite, None where the suite does not exercise it."""

    suites: tuple[str, ...]
    rows: dict[str, tuple[Cell | None, ...]]


def matrix(checks: Sequence[CheckLine], requirements: Iterable[str]) -> Matrix:
    """Of the suites that made any check, in the order of their names."""
    counts: defaultdict[tuple[str, str], Counter[Verdict]] = defaultdict(Counter)
    own: set[tuple[str, str]] = set()
    for line in checks:
        place = line.requirement, suite_of(line.scenario)
        counts[place][Verdict(line.verdict)] += 1
        if not line.universal:
            own.add(place)
    suites = tuple(sorted({suite for _, suite in counts}))

    def cell(place: tuple[str, str]) -> Cell | None:
        if place not in counts:
            return None
        ordered = in_order(counts[place])
        return Cell(ordered[0][0], ordered, place not in own)

    return Matrix(suites, {name: tuple(cell((name, suite)) for suite in suites) for name in requirements})
