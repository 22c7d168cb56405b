"""Joining the ledgers of a run's shards into that of one run, which is judged as if it had been made at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from .ledger import Footer, Header, Ledger
from .shard import Shard, population


class MergeProblem(Exception):
    """Ledgers that are not the shards of one run; one line that names the two that do not fit, and the way out."""


@dataclass(frozen=True, slots=True)
class Same:
    """What all shards of a run have in common."""

    what: str
    of: Callable[[Ledger], Any]
    way_out: str


_ONE = "let every machine judge the same one"
SAME = (
    Same("implementation", attrgetter("header.implementation", "header.implementation_version"), _ONE),
    Same("mutant", attrgetter("header.mutant"), _ONE),
    Same("transports", attrgetter("header.transports"), _ONE),
    Same("source", attrgetter("header.source"), _ONE),
    Same("images", lambda ledger: sorted(each.partition("@")[0] for each in ledger.header.images), _ONE),
    Same("waivers", attrgetter("waivers"), _ONE),
    Same(
        "contract",
        attrgetter("header.contract", "header.contract_digest"),
        "let every machine judge by the same words",
    ),
    Same(
        "harness version", attrgetter("header.harness_version"), "install the same harness on every machine"
    ),
    Same("harness commit", attrgetter("header.harness_commit"), "check out the same commit on every machine"),
    Same("runtime", attrgetter("header.runtime"), "name one with --runtime on every machine"),
    Same(
        "templates",
        attrgetter("header.template_digests"),
        "give every machine the same --template and --skills",
    ),
    Same(
        "examples",
        lambda ledger: ledger.header.seeds.get("--examples"),
        "name one with --examples on every machine",
    ),
    Same("strictness", attrgetter("header.strict"), "give --strict to every machine or to none"),
    Same("selection", attrgetter("header.selection"), "narrow the run in the same way on every machine"),
    Same(
        "timings",
        attrgetter("header.timings"),
        "name the same file with --timings on every machine, and run them again",
    ),
    Same(
        "scenarios to be split",
        attrgetter("footer.population", "footer.expected"),
        "collect the same ones on every machine, and run them again",
    ),
)


def merge(shards: Sequence[Ledger]) -> Ledger:
    """One ledger, the shards in their order; its exit status is still to be concluded. Raises MergeProblem."""
    ordered = sorted(shards, key=lambda ledger: _shard(ledger).number)
    _every_one_once(ordered)
    first = ordered[0]
    for other in ordered[1:]:
        for same in SAME:
            mine, theirs = same.of(first), same.of(other)
            if mine != theirs:
                raise MergeProblem(
                    f"{_named(first)} and {_named(other)} differ in their {same.what} "
                    f"({_shown(mine) or 'none'}, and {_shown(theirs) or 'none'}); {same.way_out}"
                )
    _no_scenario_twice(ordered)
    if population(_scenarios(ordered)) != first.footer.population:
        raise MergeProblem(
            f"the {len(ordered)} shards together are not all the scenarios that were to be split: one of them "
            "stopped before its end (interrupted, or -x); run that one again"
        )
    return Ledger(
        _header(ordered),
        tuple(line for each in ordered for line in each.checks),
        tuple(line for each in ordered for line in each.scenarios),
        _footer(ordered),
        first.waivers,
    )


def _shard(ledger: Ledger) -> Shard:
    if ledger.header.shard is None:
        raise MergeProblem(
            f"run {ledger.header.run} is no shard: it was made without --shard, and is whole by itself"
        )
    return Shard.parse(ledger.header.shard)


def _every_one_once(ordered: Sequence[Ledger]) -> None:
    runs = Counter(each.header.run for each in ordered)
    for run, count in runs.items():
        if count > 1:
            raise MergeProblem(f"run {run} is given {count} times; give the ledger of each shard once")
    first, *others = ordered
    for other in others:
        if _shard(other).of != _shard(first).of:
            raise MergeProblem(
                f"{_named(first)} and {_named(other)} are of different splits; give the shards of one"
            )
    numbers = Counter(_shard(each).number for each in ordered)
    for number, count in numbers.items():
        if count > 1:
            twice = " and ".join(_named(each) for each in ordered if _shard(each).number == number)
            raise MergeProblem(f"{twice} are the same shard; give each shard once")
    if missing := [number for number in range(1, _shard(first).of + 1) if number not in numbers]:
        names = ", ".join(str(Shard(number, _shard(first).of)) for number in missing)
        raise MergeProblem(
            f"no ledger is given of shard {names}, so what it judges is not known; run it, or give its ledger"
        )


def _no_scenario_twice(ordered: Sequence[Ledger]) -> None:
    seen: dict[str, Ledger] = {}
    for ledger in ordered:
        for scenario in sorted(_scenarios([ledger])):
            if (other := seen.setdefault(scenario, ledger)) is not ledger:
                raise MergeProblem(
                    f"{scenario} is in {_named(other)} and in {_named(ledger)}; shards of one split share none: "
                    "run them again with the same --timings"
                )


def _scenarios(ledgers: Sequence[Ledger]) -> Iterator[str]:
    return (line.scenario for ledger in ledgers for line in ledger.scenarios)


def _header(ordered: Sequence[Ledger]) -> Header:
    headers = [each.header for each in ordered]
    runs = [each.run for each in headers]
    names = {name: None for each in headers for name in each.environment}
    return replace(
        headers[0],
        run=hashlib.sha256(" ".join(runs).encode()).hexdigest()[:8],
        started=min(each.started for each in headers),
        environment={
            name: "; ".join(
                dict.fromkeys(each.environment[name] for each in headers if name in each.environment)
            )
            for name in names
        },
        images=sorted({image for each in headers for image in each.images}),
        harness_changes=sorted({path for each in headers for path in each.harness_changes}),
        seeds={
            name: ", ".join(dict.fromkeys(each.seeds[name] for each in headers)) for name in headers[0].seeds
        },
        shard=None,
        shards=runs,
    )


def _footer(ordered: Sequence[Ledger]) -> Footer:
    scenarios: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    for each in ordered:
        scenarios.update(each.footer.scenarios)
        checks.update(each.footer.checks)
    return Footer(
        finished=max(each.footer.finished for each in ordered),
        exit_status=0,
        scenarios=dict(scenarios),
        checks=dict(checks),
        expected=ordered[0].footer.expected,
        interrupted=any(each.footer.interrupted for each in ordered),
        defects=[f"{_named(each)}: {defect}" for each in ordered for defect in each.footer.defects],
        population=ordered[0].footer.population,
    )


def _named(ledger: Ledger) -> str:
    return f"shard {ledger.header.shard} (run {ledger.header.run})"


def _shown(value: Any) -> str:
    words = " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value or "")
    return words if len(words) <= 60 else f"{words[:59]}…"
