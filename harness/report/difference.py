"""What turned worse or better from one run to another: made of two ledgers and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .ledger import Header, Ledger, Verdict, verdicts_by_requirement


class Turn(StrEnum):
    """Which way something changed; the more it matters, the earlier."""

    WORSE = "worse"
    LOST = "no longer judged"
    BETTER = "better"
    GAINED = "newly judged"


@dataclass(frozen=True, slots=True)
class Change:
    """A requirement, or a scenario, that came to something else than before."""

    name: str
    before: Verdict
    after: Verdict
    """NOT_EXERCISED is also what a scenario came to that is in one of the runs only."""
    turn: Turn


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about the runs themselves that differs, so that a change may come of it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Difference:
    """From an old run to a new one."""

    old: Header
    new: Header
    conditions: tuple[Condition, ...]
    requirements: tuple[Change, ...]
    scenarios: tuple[Change, ...]
    seconds: tuple[float, float]
    """What all scenarios took together, before and after."""

    @property
    def worse(self) -> bool:
        """Whether anything turned worse, or a requirement that was judged is so no longer.

        A scenario that is gone is none of it: where it alone judged a requirement, that one is lost.
        """
        return any(change.turn in {Turn.WORSE, Turn.LOST} for change in self.requirements) or any(
            change.turn is Turn.WORSE for change in self.scenarios
        )


def difference(old: Ledger, new: Ledger) -> Difference:
    """Each requirement and each scenario whose verdict is another one than before, what matters most first."""
    names = dict.fromkeys(line.requirement for ledger in (old, new) for line in ledger.checks)
    before, after = (
        {name: verdict for name, (verdict, _) in verdicts_by_requirement(ledger.checks, names).items()}
        for ledger in (old, new)
    )
    was, now = ({line.scenario: Verdict(line.verdict) for line in ledger.scenarios} for ledger in (old, new))
    return Difference(
        old=old.header,
        new=new.header,
        conditions=tuple(_conditions(old.header, new.header)),
        requirements=_changes(before, after),
        scenarios=_changes(was, now),
        seconds=(_seconds(old), _seconds(new)),
    )


def _changes(before: Mapping[str, Verdict], after: Mapping[str, Verdict]) -> tuple[Change, ...]:
    changes = []
    for name in {**after, **before}:
        was, now = before.get(name, Verdict.NOT_EXERCISED), after.get(name, Verdict.NOT_EXERCISED)
        if (turn := _turn(was, now)) is not None:
            changes.append(Change(name, was, now, turn))
    order = list(Turn)
    return tuple(sorted(changes, key=lambda change: order.index(change.turn)))


def _turn(before: Verdict, after: Verdict) -> Turn | None:
    unjudged = {Verdict.NOT_EXERCISED, Verdict.COULD_NOT_RUN}
    if before is after:
        return None
    if after is Verdict.NOT_EXERCISED:
        return None if before in unjudged else Turn.LOST
    if before is Verdict.NOT_EXERCISED:
        return Turn.WORSE if after in {Verdict.FAIL, Verdict.COULD_NOT_RUN} else Turn.GAINED
    # To be claimed no longer is worse than to pass, though it ranks below.
    fell = after is not Verdict.PASS and (before is Verdict.PASS or after.rank > before.rank)
    return Turn.WORSE if fell else Turn.BETTER


def _conditions(old: Header, new: Header) -> Iterable[Condition]:
    then, now = _said(old), _said(new)
    return (Condition(name, then[name], now[name]) for name in now if then[name] != now[name])


def _said(header: Header) -> dict[str, str]:
    return {
        "implementation": f"{header.implementation} {header.implementation_version}",
        "mutant": header.mutant or "",
        "contract": f"{header.contract} ({header.contract_digest[:12]})",
        "harness": header.harness_version,
        "runtime": header.runtime,
        "transports": ", ".join(header.transports),
        "templates": ", ".join(header.templates),
        "arguments": header.environment.get("arguments", ""),
    }


def _seconds(ledger: Ledger) -> float:
    return sum(line.seconds.get("total", 0.0) for line in ledger.scenarios)
