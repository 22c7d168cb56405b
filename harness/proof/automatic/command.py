"""`harness mutate`: from what was asked to what is told, and the exit status."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from harness.contract.manifest import load_implementation
from harness.contract.requirements import load_contract
from harness.proof.command import BROKEN, INTERRUPTED, NOT_PROVEN, PROVEN, interruptible
from harness.proof.progress import Progress
from harness.proof.suite import ROOT
from harness.session import REFERENCE

from .campaign import Campaign
from .kept import KeptList, KeptProblem, load_kept
from .measure import measure
from .mutation import Module, Mutation, draw, modules, named
from .outcome import KILLS, SURVIVORS, Outcome, Row, Score
from .pool import Pool
from .reach import Reach, digest
from .servers import ServerBroken

KEPT = ROOT / "fixtures" / "equivalents.toml"
SCORE = "score.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command."""

    mutants: tuple[str, ...]
    """Ids; none means a draw."""
    count: int | None
    """How many are drawn; None means all there are."""
    seed: int
    bound: int
    workers: int
    reports: Path


def mutate_as_asked(asked: Asked, console: Console, refuse: Callable[[str], NoReturn]) -> int:
    """The exit status; `refuse` ends the program where it cannot be done as asked."""
    contract = load_contract()
    implementation = load_implementation(REFERENCE, revision=contract.revision)
    source = (implementation.home / (implementation.capabilities.source or ".")).resolve()
    of = modules(source)
    try:
        kept = load_kept(KEPT, of)
    except KeptProblem as problem:
        refuse(str(problem))
    drawn = _chosen(asked, of, kept, refuse)
    counts = Counter(
        kept.leaves_open(module.name, module.statements.at(site.line).within)
        for module in of
        for site in module.sites
    )
    places = counts[False]
    console.print(
        f"{len(drawn)} mutants of {places} places in {len(of)} modules, "
        + ("as named" if asked.mutants else "all" if asked.count is None else f"seed {asked.seed}")
        + f"; {counts[True]} more are left open by the contract, and {len(kept.equivalent)} changes explained "
        f"({KEPT.relative_to(ROOT)})",
        highlight=False,
    )
    folder = asked.reports / f"mutation-{secrets.token_hex(4)}"
    rows: list[Row] = []
    status = None
    try:
        with interruptible(), Pool(folder / "servers", asked.workers) as pool:
            reach = _reach(pool, source, asked.reports, Progress(console))
            campaign = Campaign(folder, contract, implementation, of, reach, kept.equivalent, asked.bound)
            with Progress(console).telling("mutants", len(drawn)) as tell:
                for row in campaign.run(pool, drawn):
                    rows.append(row)
                    tell(_line(row), 1)
    except ServerBroken as broken:
        console.print(f"[red]the harness broke[/]: {escape(str(broken))}", soft_wrap=True, highlight=False)
        status = BROKEN
    except KeyboardInterrupt:
        console.print("interrupted; this is what is known so far")
        status = INTERRUPTED
    score = Score(asked.seed, places, rows)
    if rows:
        _tell(score, folder, console)
    return (PROVEN if score.holds else NOT_PROVEN) if status is None else status


def _chosen(
    asked: Asked, of: Sequence[Module], kept: KeptList, refuse: Callable[[str], NoReturn]
) -> Sequence[Mutation]:
    if asked.mutants:
        found = named(of, asked.mutants)
        if unknown := [id_ for id_ in asked.mutants if id_ not in found]:
            refuse(
                f"{', '.join(unknown)}: no mutant of that id; the source may have changed since it was told"
            )
        return list(found.values())
    if asked.count is None:
        return [
            mutation
            for module in of
            for mutation in module.mutations()
            if not kept.leaves_open(module.name, mutation.statement.within)
        ]
    return draw(of, asked.count, asked.seed, leaving_out=kept.leaves_open)


def _reach(pool: Pool, source: Path, reports: Path, progress: Progress) -> Reach:
    """As it was measured before, if neither the source nor the scenarios have changed. Raises ServerBroken."""
    path = reports / f"reach-{digest(source, ROOT / 'scenarios')}.json"
    if path.is_file():
        return Reach.read(path)
    with progress.telling("the good implementation", len(pool.scenarios)) as tell:
        reach = measure(pool, pool.scenarios, source, lambda more: tell("scenarios measured", more))
    reach.write(path)
    return reach


def _line(row: Row) -> str:
    colour = "green" if row.outcome in KILLS else "red" if row.outcome in SURVIVORS else "yellow"
    return f"{row.mutation.id}: [{colour}]{row.outcome}[/] ({escape(_first_line(row.reason))}), {row.seconds:.0f} s"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:120] if text.strip() else ""


def _tell(score: Score, folder: Path, console: Console) -> None:
    def say(words: str) -> None:
        console.print(words, soft_wrap=True, highlight=False)

    for module, rows in score.survivors().items():
        say(f"\n[bold]{module}[/]")
        for row in rows:
            say(f"[red]{row.outcome}[/] {row.mutation.id} ({row.mutation.operator}; {escape(row.reason)})")
            say(escape(row.diff))
            say(f"  {escape(row.again) or f'harness mutate {row.mutation.id}'}")
    path = folder / SCORE
    path.write_text(json.dumps(score.document(), indent=2) + "\n")
    counts = score.counts
    say(
        f"\n[{'green' if score.holds else 'red'}]{score.percent:.1f} %[/]: {score.killed} of {score.counted} killed; "
        + "; ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts.get(outcome))
    )
    say(f"score: {path}")
