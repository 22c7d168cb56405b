"""What is slow only once, or fails with the good implementation too, says nothing of a mutant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.contract.manifest import load_implementation
from harness.contract.requirements import load_contract
from harness.proof.automatic.campaign import Campaign
from harness.proof.automatic.outcome import Outcome
from harness.proof.automatic.pool import Pool
from harness.proof.automatic.reach import Reach, Reached
from harness.proof.automatic.servers import Answer, Done
from harness.session import REFERENCE

from .invented import NAMES, module, mutation

FIRST, SECOND = "test_a_first", "test_a_second"


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
    return Done(scenario, "fail" if failed else "pass", failed, "it does not hold" if failed else "", (), 1.0)


@pytest.mark.parametrize(
    ("script", "outcome", "asked"),
    [
        # The job; the good implementation, at once; and the mutant again, before it is taken for slow.
        (["slow", "passes", "slow"], Outcome.TIMED_OUT, [(True, 2), (False, 1), (True, 1)]),
        (["slow", "passes", "fails"], Outcome.TIMED_OUT, [(True, 2), (False, 1), (True, 1)]),
        # It was the computer that was slow, so that the other scenario has its turn.
        (["slow", "passes", "passes", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1), (True, 1)]),
        (["slow", "slow", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1)]),
        # A failure is a kill where the good implementation passes, and is not made twice.
        (["fails", "passes"], Outcome.KILLED, [(True, 2), (False, 1)]),
        (["fails", "fails", "passes"], Outcome.SURVIVED, [(True, 2), (False, 1), (True, 1)]),
    ],
    ids=lambda each: " ".join(map(str, each)) if isinstance(each, list) else None,
)  # fmt: skip
def test_a_mutant_dies_of_what_only_it_does(
    tmp_path: Path, script: list[str], outcome: Outcome, asked: list[tuple[bool, int]]
) -> None:
    of = module(tmp_path, NAMES)
    mutant = mutation(of, "if name:", "if not name:")
    arcs = {of.name: frozenset({(-1, 2), (2, 3)})}
    scripted = Scripted(tmp_path / "run", script)
    contract = load_contract()
    campaign = Campaign(
        folder=tmp_path / "campaign",
        contract=contract,
        implementation=load_implementation(REFERENCE, revision=contract.revision),
        modules=[of],
        reach=Reach(tuple(Reached(name, 1.0, arcs) for name in (FIRST, SECOND))),
        kept=[],
        bound=2,
    )

    (row,) = campaign.run(cast(Pool, scripted), [mutant])

    assert row.outcome is outcome
    assert [(by_mutant, len(names)) for by_mutant, names in scripted.asked] == asked
