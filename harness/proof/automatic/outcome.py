"""What became of each mutant, and the score that this comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .mutation import Mutation

ENOUGH = 90.0
"""Percent of the mutants that count, which scenarios have to kill."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    """A scenario that takes the good implementation a third of the time did not come to its end: killed, too."""
    SURVIVED = "survived"
    NOT_REACHED = "not reached"
    """No quick scenario runs what it changes: a survivor, too."""
    EQUIVALENT = "equivalent"
    """It survived, and is in the kept list with its reason."""
    DISPROVED = "disproved"
    """It is in the kept list, and was killed all the same: whatever the reason there says, it is no equivalent."""
    BROKEN = "broken"
    """It cannot be loaded, which no scenario need notice."""
    COULD_NOT_RUN = "could not run"
    """The harness broke, or what failed fails with the good implementation too."""


KILLS = frozenset({Outcome.KILLED, Outcome.TIMED_OUT, Outcome.DISPROVED})
SURVIVORS = frozenset({Outcome.SURVIVED, Outcome.NOT_REACHED})


@dataclass(frozen=True, slots=True)
class Row:
    """One mutant."""

    mutation: Mutation
    outcome: Outcome
    reason: str
    """The check that failed, why it was left out, or how many scenarios it survived."""
    scenarios: tuple[str, ...] = ()
    """Those that were run, the last of which killed it if anything did."""
    seconds: float = 0.0
    diff: str = ""
    again: str = ""
    """The command that runs them again; empty where nothing was run."""


@dataclass(frozen=True)
class Score:
    """Of one draw."""

    seed: int
    drawn_of: int
    """How many places for a mutation there are."""
    rows: Sequence[Row]

    @property
    def counts(self) -> Mapping[Outcome, int]:
        return Counter(row.outcome for row in self.rows)

    @property
    def killed(self) -> int:
        return sum(row.outcome in KILLS for row in self.rows)

    @property
    def counted(self) -> int:
        """Without those that say nothing of the scenarios."""
        return self.killed + sum(row.outcome in SURVIVORS for row in self.rows)

    @property
    def percent(self) -> float:
        return 100.0 * self.killed / self.counted if self.counted else 0.0

    @property
    def holds(self) -> bool:
        return self.percent >= ENOUGH and not self.counts.keys() & {Outcome.COULD_NOT_RUN, Outcome.DISPROVED}

    def survivors(self) -> dict[str, list[Row]]:
        """By module."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: (row.mutation.module, row.mutation.edit.line)):
            if row.outcome in SURVIVORS:
                found.setdefault(row.mutation.module, []).append(row)
        return found

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "places": self.drawn_of,
            "drawn": len(self.rows),
            "percent": round(self.percent, 1),
            "killed": self.killed,
            "counted": self.counted,
            "outcomes": {outcome.value: count for outcome, count in self.counts.items()},
            "mutants": [
                {
                    "id": row.mutation.id,
                    "module": row.mutation.module,
                    "within": row.mutation.statement.within,
                    "line": row.mutation.edit.line,
                    "operator": row.mutation.operator,
                    "outcome": row.outcome.value,
                    "reason": row.reason,
                    "scenarios": list(row.scenarios),
                    "seconds": round(row.seconds, 1),
                    "diff": row.diff,
                    "again": row.again,
                }
                for row in self.rows
            ],
        }
