"""The run before: what a run is compared with."""

from __future__ import annotations

import json
from pathlib import Path

from ..ledger import Header, Ledger, LedgerProblem


def run_before(header: Header, reports: Path) -> Ledger | None:
    """The latest whole run of `runs_before`; None where there is none. Runs that broke are passed over."""
    for run in runs_before(header, reports):
        try:
            return Ledger.read(run / "ledger.jsonl")
        except LedgerProblem:
            continue
    return None


def runs_before(header: Header, reports: Path) -> list[Path]:
    """The folders of runs of the same implementation that began before this one, the latest first.

    A mutant is an implementation of its own.
    """
    same = header.implementation, header.mutant
    found = [
        (begun[2], path.parent)
        for path in reports.glob("*/ledger.jsonl")
        if (begun := _begin(path)) is not None and begun[:2] == same and begun[2] < header.started
    ]
    return [run for _, run in sorted(found, reverse=True)]


def _begin(path: Path) -> tuple[object, object, str] | None:
    """(implementation, mutant, time of its start), of the first line alone: a folder may hold many long runs."""
    try:
        with path.open(encoding="utf-8") as lines:
            header = json.loads(lines.readline())
        return header["implementation"], header.get("mutant"), str(header["started"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
