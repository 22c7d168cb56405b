"""Splitting scenarios over machines, so that all finish at about the same time and each scenario is in one part."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .ledger import Ledger, LedgerProblem


class ShardProblem(Exception):
    """The scenarios cannot be split as asked; one line that says what, why, and the way out."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of several, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`2/4`. Raises ShardProblem."""
        found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text, re.ASCII)
        if found is None or int(found[1]) > int(found[2]):
            raise ShardProblem(
                f"--shard {text}: no part of a whole; give I/N with I from 1 to N, such as --shard 2/4"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True)
class Timings:
    """How long scenarios took in an earlier run, in seconds by scenario; nothing where there was none."""

    ledger: Path | None
    digest: str | None
    """SHA-256 of that ledger."""
    seconds: Mapping[str, float]

    @classmethod
    def of(cls, ledger: Path) -> Self:
        """Raises LedgerProblem."""
        return cls._told_by(Ledger.read(ledger), ledger)

    @classmethod
    def latest(cls, reports: Path) -> Self:
        """Of the latest run that came to its end. Shards do not count: they may be of the run that is being made."""
        newest_first = sorted(
            reports.glob("*/ledger.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        for path in newest_first:
            try:
                ledger = Ledger.read(path)
            except LedgerProblem:
                continue
            if ledger.header.shard is None:
                return cls._told_by(ledger, path)
        return cls(None, None, {})

    @classmethod
    def _told_by(cls, ledger: Ledger, path: Path) -> Self:
        seconds: defaultdict[str, float] = defaultdict(float)
        for line in ledger.scenarios:
            seconds[line.scenario] += line.seconds["total"]
        return cls(path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest(), dict(seconds))


def split(scenarios: Iterable[str], parts: int, seconds: Mapping[str, float]) -> list[set[str]]:
    """The scenarios of each part: the longest first, each to the part that has least to do.

    The order in which they come has no bearing. A scenario that nothing is known of counts as the mean of the others.
    """
    names = sorted(set(scenarios))
    known = [seconds[name] for name in names if name in seconds]
    mean = sum(known) / len(known) if known else 1.0
    made: list[set[str]] = [set() for _ in range(parts)]
    load = [0.0] * parts
    for name in sorted(names, key=lambda name: -seconds.get(name, mean)):
        least = min(range(parts), key=lambda part: (load[part], len(made[part])))
        made[least].add(name)
        load[least] += seconds.get(name, mean)
    return made


def population(scenarios: Iterable[str]) -> str:
    """A digest of which scenarios there are: SHA-256 of their names, sorted, one a line."""
    return hashlib.sha256("\n".join(sorted(set(scenarios))).encode()).hexdigest()
