"""The floor: trivial implementations, which may pass no requirement that they do not truly meet.

A check that a platform passes which delivers nothing at all would be passed by anybody. What each of them truly meets,
and why, is in its `floor.toml`; a pass beyond that fails, and so does an entry that no longer holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.contract.requirements import Contract, ContractProblem
from harness.contract.strict import Strict, Words
from harness.proof.side_by_side import side_by_side
from harness.proof.suite import ROOT, Suite
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import Verdict, verdicts_by_requirement

TRIVIAL = ROOT / "fixtures" / "trivial"
SCENARIOS = (
    "(fresh_workspace and (minimal or seo)) or (missing_config_is_repaired_by_a_restart and minimal)"
    " or user_edits or observability"
)
"""A small set in which every check that looks at any settled workspace is made."""


class FloorProblem(Exception):
    """A `floor.toml` that cannot be used; one line saying why."""


class _FloorFile(Strict):
    meets: dict[str, Words]
    """Why, by requirement."""


@dataclass(frozen=True, slots=True)
class Trivial:
    """A trivial implementation, and what it truly meets."""

    folder: Path
    meets: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a trivial implementation stands against its floor."""

    trivial: Trivial
    passes: tuple[str, ...]
    problem: str = ""
    """Why nothing can be said of it; empty where something can."""

    @property
    def beyond(self) -> tuple[str, ...]:
        """What it passes and does not truly meet."""
        return tuple(name for name in self.passes if name not in self.trivial.meets)

    @property
    def short(self) -> tuple[str, ...]:
        """What its floor.toml says that it meets, and it does not pass."""
        return tuple(name for name in self.trivial.meets if name not in self.passes)

    @property
    def holds(self) -> bool:
        return not (self.problem or self.beyond or self.short)


def load_trivials(contract: Contract, folder: Path = TRIVIAL) -> list[Trivial]:
    """All of them, by name. Raises FloorProblem."""
    return [_load(path, contract) for path in sorted(folder.glob("*/floor.toml"))]


def _load(path: Path, contract: Contract) -> Trivial:
    try:
        file = _FloorFile.model_validate(tomllib.loads(path.read_text()))
        for requirement in file.meets:
            contract.requirement(requirement)
    except (tomllib.TOMLDecodeError, ValidationError, ContractProblem) as wrong:
        raise FloorProblem(f"{path}: {' '.join(str(wrong).split())}") from None
    return Trivial(path.parent, file.meets)


def stand(
    trivials: list[Trivial],
    contract: Contract,
    folder: Path,
    *,
    workers: int,
    told: Callable[[Standing], None],
) -> list[Standing]:
    """Run the floor's scenarios against each, on the process runtime; `told` hears of each as it is known."""
    suite = Suite()

    def one(trivial: Trivial) -> Standing:
        words = ["-k", SCENARIOS, "--implementation", str(trivial.folder), "-n", "0", "scenarios"]
        return judge(trivial, suite.run(folder / trivial.name, "process", words), contract)

    standings = {}
    for trivial, standing in side_by_side(one, trivials, workers, suite.close):
        told(standing)
        standings[trivial.name] = standing
    return [standings[trivial.name] for trivial in trivials]


def judge(trivial: Trivial, run: SuiteRun, contract: Contract) -> Standing:
    """What it passes: a requirement with a check that passed, and none that came to anything worse."""
    if run.ledger is None:
        return Standing(trivial, (), run.problem)
    verdicts = verdicts_by_requirement(run.ledger.checks, contract.requirements)
    return Standing(
        trivial, tuple(name for name, (verdict, _) in verdicts.items() if verdict is Verdict.PASS)
    )
