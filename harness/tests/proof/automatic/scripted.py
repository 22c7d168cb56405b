"""A campaign whose scenarios come to what is said beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.contract.manifest import load_implementation
from harness.contract.requirements import load_contract
from harness.proof.automatic.campaign import Campaign
from harness.proof.automatic.kept import Kept
from harness.proof.automatic.mutation import Module
from harness.proof.automatic.reach import Reach, Reached
from harness.proof.automatic.servers import Answer, Done
from harness.session import REFERENCE


class Scripted:
    """In place of a pool and its one server: what becomes of each job is said beforehand."""

    def __init__(self, folder: Path, script: Sequence[str]) -> None:
        self.asked: list[tuple[bool, tuple[str, ...]]] = []
        """Whether with the mutant, and the scenarios."""
        self._folder = folder
        self._script = list(script)

    def each(self, do: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        return (do(self, task) for task in tasks)

    def run(self, limits: Sequence[tuple[str, float]], *, mutant: Path | None = None) -> Answer:
        """`slow` or `fails` says what becomes of the first scenario of the job; `passes` what becomes of all."""
        names = tuple(name for name, _ in limits)
        self.asked.append((mutant is not None, names))
        word = self._script.pop(0)
        if word == "slow":
            return Answer(self._folder, (), names[0], broke=False)
        if word == "fails":
            return Answer(self._folder, (done(names[0], failed=True),), "", broke=False)
        return Answer(self._folder, tuple(done(name, failed=False) for name in names), "", broke=False)


def done(scenario: str, *, failed: bool) -> Done:
    return Done(
        scenario, "fail" if failed else "pass", failed, "it does not hold" if failed else "", (), (), 1.0
    )


def campaign(
    folder: Path, of: Module, scenarios: Sequence[Reached], *, bound: int, kept: Sequence[Kept] = ()
) -> Campaign:
    contract = load_contract()
    return Campaign(
        folder=folder,
        contract=contract,
        implementation=load_implementation(REFERENCE, revision=contract.revision),
        modules=[of],
        reach=Reach(tuple(scenarios)),
        kept=kept,
        bound=bound,
    )
