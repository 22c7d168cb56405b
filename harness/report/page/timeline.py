"""Where a scenario's seconds went, and its boots, as lengths of one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_BOOT = re.compile(r"(?P<reason>.+) (?P<seconds>\d+(?:\.\d+)?) s")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a line that is 100 long."""

    name: str
    seconds: float
    start: float
    length: float


def parts(seconds: Mapping[str, float]) -> tuple[Segment, ...]:
    """By what the time was spent on. Machine starts are a share of the boots; parts of no length are left out."""
    spent = {name: max(0.0, seconds.get(name, 0.0)) for name in ("world", "boots", "assertions", "teardown")}
    starts = min(max(0.0, seconds.get("machine starts", 0.0)), spent["boots"])
    rows = {
        "world": spent["world"],
        "machine start": starts,
        "implementation": spent["boots"] - starts,
        "assertions": spent["assertions"],
        "teardown": spent["teardown"],
    }
    rows["other"] = max(0.0, seconds.get("total", 0.0) - sum(rows.values()))
    return _line([(name, length) for name, length in rows.items() if length > 0])


def boots(made: Iterable[str]) -> tuple[Segment, ...]:
    """From `provision 1.0 s` and the like, in their order: boots of several workspaces may have run side by side."""
    read = [(boot, _BOOT.fullmatch(boot)) for boot in made]
    return _line(
        [(found["reason"], float(found["seconds"])) if found else (boot, 0.0) for boot, found in read]
    )


def _line(rows: Sequence[tuple[str, float]]) -> tuple[Segment, ...]:
    scale = sum(seconds for _, seconds in rows) or 1.0
    segments, start = [], 0.0
    for name, seconds in rows:
        length = 100 * seconds / scale
        segments.append(Segment(name, seconds, round(start, 2), round(length, 2)))
        start += length
    return tuple(segments)
