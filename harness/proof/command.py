"""`harness prove`: from what was asked to what is told, and the exit status."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from harness.contract.requirements import Contract, ContractProblem, load_contract
from harness.session import UsageProblem, choose

from . import page
from .changed import UnknownRevision, affected, changed_since
from .cries import DATA, Hearing, known_variants, listen
from .floor import FloorProblem, Standing, load_trivials, stand
from .matrix import Outcome, in_a_line
from .overlaid import OverlaidProblem
from .progress import Progress
from .prove import Aim, Proof, ProofBroken, ProofProblem, chosen_mutants
from .suite import ROOT

PROVEN, NOT_PROVEN, INTERRUPTED, BROKEN = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command."""

    mutants: tuple[str, ...]
    requirements: tuple[str, ...]
    changed_since: str | None
    runtime: str
    workers: int | None
    reports: Path
    matrix_only: bool


def prove_as_asked(asked: Asked, console: Console, refuse: Callable[[str], NoReturn]) -> int:
    """The exit status; `refuse` ends the program where it cannot be done as asked."""
    contract = load_contract()
    try:
        if asked.matrix_only:
            return _conclude(_latest(asked, contract), contract, console)
        aim = _aim(asked, contract)
        if not aim.mutants:
            return _without_mutants(aim, console)
        _check_runtime(asked.runtime)
        proof = Proof.new(asked.reports, aim, asked.runtime)
        with interruptible():
            proof.run(asked.workers or os.cpu_count() or 1, Progress(console))
        return _conclude(proof, contract, console)
    except (ContractProblem, OverlaidProblem, ProofProblem, UnknownRevision, UsageProblem) as problem:
        refuse(" ".join(str(problem).split()))
    except ProofBroken as broken:
        _say(console, f"[red]the harness broke[/]: {escape(str(broken))}")
        return BROKEN
    except KeyboardInterrupt:
        console.print("interrupted; harness prove --matrix-only tells what is known so far")
        return INTERRUPTED


def stand_on_the_floor(
    reports: Path, workers: int | None, console: Console, refuse: Callable[[str], NoReturn]
) -> int:
    """The exit status: whether no trivial implementation passes what it does not truly meet."""
    contract = load_contract()
    folder = reports / f"floor-{secrets.token_hex(4)}"
    try:
        trivials = load_trivials(contract)
        with interruptible():
            standings = stand(
                trivials,
                contract,
                folder,
                workers=workers or os.cpu_count() or 1,
                told=lambda standing: _say_standing(standing, len(contract.requirements), console),
            )
    except FloorProblem as problem:
        refuse(str(problem))
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED
    _say(console, f"runs: {folder}")
    if any(standing.problem for standing in standings):
        return BROKEN
    return PROVEN if all(standing.holds for standing in standings) else NOT_PROVEN


def _say_standing(standing: Standing, of: int, console: Console) -> None:
    name, meets = standing.trivial.name, standing.trivial.meets
    if standing.problem:
        _say(console, f"[red]{name}[/]: {escape(standing.problem)}")
        return
    _say(
        console,
        f"[{'green' if standing.holds else 'red'}]{name}[/] passes {len(standing.passes)} of {of} requirements",
    )
    for requirement in standing.passes:
        if requirement in meets:
            _say(console, f"  {requirement:8} {escape(meets[requirement])}")
    for requirement in standing.beyond:
        _say(
            console,
            f"  [red]{requirement:8} passes, and does not truly meet it: its checks pass where nothing is done[/]",
        )
    for requirement in standing.short:
        _say(console, f"  [red]{requirement:8} is said to be met in its floor.toml, and does not pass[/]")


def hear_variants(
    named: Sequence[str],
    runtime: str,
    reports: Path,
    workers: int | None,
    console: Console,
    refuse: Callable[[str], NoReturn],
) -> int:
    """The exit status: whether every other good implementation passes."""
    folder = reports / f"variants-{secrets.token_hex(4)}"
    try:
        _check_runtime(runtime)
        variants = known_variants(named)
        console.print(f"{len(variants)} variants, the whole suite for each", highlight=False)
        with interruptible():
            hearings = listen(
                variants,
                folder,
                runtime,
                workers=workers or os.cpu_count() or 1,
                progress=Progress(console),
                told=lambda hearing: _say_hearing(hearing, console),
            )
    except (OverlaidProblem, UsageProblem) as problem:
        refuse(str(problem))
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED
    _say(console, f"runs: {folder}\ndata: {folder / DATA}")
    if any(hearing.cries for hearing in hearings):
        return NOT_PROVEN
    return BROKEN if any(hearing.problem for hearing in hearings) else PROVEN


def _say_hearing(hearing: Hearing, console: Console) -> None:
    name = hearing.variant.name
    if hearing.holds:
        more = f", {hearing.could_not_run} could not run here" if hearing.could_not_run else ""
        _say(console, f"[green]{name}[/] passes: {hearing.passed} scenarios{more}")
    if hearing.problem:
        _say(console, f"[red]{name}[/]: {escape(hearing.problem)}")
    if hearing.cries:
        _say(console, f"[red]{name}[/] is good, and fails: {escape(hearing.variant.left_open)}")
    for cry in hearing.cries:
        _say(
            console, f"  [red]{cry.requirement or 'no check':8}[/] {escape(cry.check)}: {escape(cry.problem)}"
        )
        _say(console, f"  {'':8} {escape(cry.reproduce)}")


def _latest(asked: Asked, contract: Contract) -> Proof:
    """Raises ProofProblem, OverlaidProblem."""
    if asked.mutants or asked.requirements or asked.changed_since is not None:
        raise ProofProblem(
            "--matrix-only tells the latest proof as it was asked for; leave out what selects mutants"
        )
    return Proof.latest(asked.reports, contract)


def _aim(asked: Asked, contract: Contract) -> Aim:
    """Raises ProofProblem, OverlaidProblem, ContractProblem, UnknownRevision."""
    mutants = chosen_mutants(asked.mutants, asked.requirements, contract)
    if asked.changed_since is not None:
        mutants = affected(mutants, changed_since(asked.changed_since, ROOT), ROOT)
    return Aim(
        contract=contract,
        mutants=tuple(mutants),
        requirements=asked.requirements if asked.changed_since is None else (),
        complete=not (asked.mutants or asked.requirements or asked.changed_since is not None),
    )


def _without_mutants(aim: Aim, console: Console) -> int:
    if not aim.scope:
        console.print("nothing that a mutant rests on has changed, so there is nothing to prove")
        return PROVEN
    for name in aim.scope:
        _say_unproven(name, aim.contract, console)
    return NOT_PROVEN


def _check_runtime(runtime: str) -> None:
    """Raises UsageProblem now rather than in each run."""
    if runtime == "auto":
        raise UsageProblem("--runtime auto: a proof is of one runtime; choose process or docker")
    choose(
        runtime=runtime,
        implementation=None,
        mutant=None,
        advertise_host=None,
        templates=(),
        skills=(),
        fixtures=ROOT / "fixtures",
    )


@contextmanager
def interruptible() -> Iterator[None]:
    """Being told to end is as Ctrl-C, so that no run is left behind.

    Ctrl-C itself is ignored by what a shell starts in the background, and by all that this starts in turn: runs could
    not be interrupted. What is handled here is not ignored there.
    """

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _conclude(proof: Proof, contract: Contract, console: Console) -> int:
    """Raises ProofBroken."""
    matrix = proof.matrix()
    shown, data = page.write(matrix, contract, proof.folder)
    for row in matrix.rows:
        if row.outcome is not Outcome.KILLED:
            _say(console, f"[red]{row.outcome}[/]: [bold]{row.name}[/]: {escape(row.reason)}")
    for name in matrix.unproven:
        _say_unproven(name, contract, console)
    for line in matrix.reference.unsteady:
        _say(
            console,
            f"[yellow]unsteady[/]: {line.scenario} passes against the reference only when it is run again: "
            + escape(in_a_line(line.reason)),
        )
    counts = matrix.outcomes()
    proven = len(matrix.scope) - len(matrix.unproven)
    _say(
        console,
        f"[{'green' if matrix.holds else 'red'}]{'proven' if matrix.holds else 'NOT PROVEN'}[/]: "
        + "; ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
        + f"; {proven} of {len(matrix.scope)} requirements proven"
        + ("" if matrix.complete else " (a partial proof)"),
    )
    _say(console, f"matrix: {shown}\ndata:   {data}")
    return PROVEN if matrix.holds else NOT_PROVEN


def _say_unproven(name: str, contract: Contract, console: Console) -> None:
    _say(console, f"[red]unproven[/]: [bold]{name}[/] {escape(contract.requirements[name].text)}")


def _say(console: Console, words: str) -> None:
    """A line, in rich's markup, that is wrapped by no width and coloured by nothing else."""
    console.print(words, soft_wrap=True, highlight=False)
