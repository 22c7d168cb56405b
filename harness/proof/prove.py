"""The proof that the harness catches what it is there for: the scenarios against each known-bad implementation.

A proof is a folder of reports: `reference/<round>` and `mutants/<name>/<round>` hold one run each. Everything that is
told is derived from what these runs left.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.contract.requirements import Contract
from harness.proof.matrix import Matrix, Outcome, Reference, Row, assess, scope_of
from harness.proof.mutant import Mutant, load_mutant
from harness.proof.progress import Progress
from harness.proof.side_by_side import side_by_side
from harness.proof.suite import ROOT, Suite, divided
from harness.proof.suite_run import OUTPUT, SuiteRun
from harness.runtime.engine import engine_available

MUTANTS = ROOT / "fixtures" / "mutants"
OWN = "1-its-own"
OWN_ELSEWHERE = "1-its-own-on-"
"""With the name of the runtime behind it, where that is not the proof's."""
JUDGING = "2-judging-its-requirements"
REST = "3-all-the-rest"
AGAIN = "-again"
"""Behind the name of a round, of what the reference did not pass in it."""
_ASKED = "asked.json"


class ProofBroken(Exception):
    """The proof itself went wrong, so that nothing of it counts; one line saying how."""


class ProofProblem(Exception):
    """A proof cannot be made as asked; one line saying why, and the way out."""


def known_mutants(contract: Contract) -> list[Mutant]:
    """All of fixtures/mutants, by name. Raises OverlaidProblem."""
    return [load_mutant(path.parent, contract) for path in sorted(MUTANTS.glob("*/mutant.toml"))]


def chosen_mutants(named: Sequence[str], requirements: Sequence[str], contract: Contract) -> list[Mutant]:
    """The mutants of these names or folders (none: all), as far as they break one of the requirements (none: any).

    Raises ProofProblem, OverlaidProblem and ContractProblem.
    """
    for requirement in requirements:
        contract.requirement(requirement)
    known = known_mutants(contract)
    by_name = {mutant.name: mutant for mutant in known}
    found: dict[Path, Mutant] = {}
    for name in named:
        mutant = by_name.get(name)
        if mutant is None and not Path(name).is_dir():
            raise ProofProblem(f"{name}: no mutant of that name; see ls fixtures/mutants, or give a folder")
        mutant = mutant or load_mutant(Path(name), contract)
        found[mutant.folder] = mutant
    if doubled := {mutant.name for mutant in found.values() if _count(found.values(), mutant.name) > 1}:
        raise ProofProblem(
            f"{', '.join(sorted(doubled))}: two mutants of one name; rename one of the folders"
        )
    return [
        mutant
        for mutant in (found.values() if named else known)
        if not requirements or set(requirements) & set(mutant.caught_by)
    ]


def _count(mutants: Iterable[Mutant], name: str) -> int:
    return sum(mutant.name == name for mutant in mutants)


@dataclass(frozen=True)
class Aim:
    """What a proof is to show."""

    contract: Contract
    mutants: tuple[Mutant, ...]
    requirements: tuple[str, ...] = ()
    """Only these, whatever else the mutants break; none means what `complete` says."""
    complete: bool = False
    """Whether it is about the whole contract, so that a requirement without any mutant is unproven."""

    @property
    def scope(self) -> tuple[str, ...]:
        if self.requirements:
            return tuple(name for name in self.contract.requirements if name in self.requirements)
        return scope_of(self.contract, self.mutants, all_of_them=self.complete)


class Proof:
    """One proof, in a folder of its own."""

    def __init__(self, folder: Path, aim: Aim, runtime: str) -> None:
        self.folder = folder
        self._aim = aim
        self._runtime = runtime

    @classmethod
    def new(cls, reports: Path, aim: Aim, runtime: str) -> Proof:
        """In a new folder of `reports`."""
        folder = reports / f"proof-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        asked = {
            "contract": aim.contract.digest,
            "runtime": runtime,
            "mutants": [str(mutant.folder) for mutant in aim.mutants],
            "requirements": list(aim.requirements),
            "complete": aim.complete,
        }
        (folder / _ASKED).write_text(json.dumps(asked, indent=2) + "\n")
        return cls(folder, aim, runtime)

    @classmethod
    def latest(cls, reports: Path, contract: Contract) -> Proof:
        """The one that was begun last. Raises ProofProblem where there is none of these words, and OverlaidProblem."""
        found = sorted(reports.glob(f"proof-*/{_ASKED}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise ProofProblem(f"{reports}: no proof was made here; run harness prove without --matrix-only")
        asked = json.loads(found[-1].read_text())
        if asked["contract"] != contract.digest:
            raise ProofProblem(f"{found[-1].parent}: made by other words of the contract; prove it anew")
        mutants = tuple(load_mutant(Path(folder), contract) for folder in asked["mutants"])
        aim = Aim(contract, mutants, tuple(asked["requirements"]), asked["complete"])
        return cls(found[-1].parent, aim, asked["runtime"])

    def run(self, workers: int, progress: Progress) -> Matrix:
        """Run what the proof needs, `workers` runs at a time. Raises ProofBroken."""
        suite = Suite()
        own = {
            mutant.name: ["-k", mutant.scenarios, "scenarios"]
            for mutant in self._aim.mutants
            if mutant not in self._elsewhere
        }
        union = _any_of(mutant for mutant in self._aim.mutants if mutant not in self._elsewhere)
        try:
            if own:
                self._run_reference(suite, OWN, union, workers, progress)
                self._run_mutants(suite, OWN, own, workers, progress)
            self._run_elsewhere(suite, workers, progress)
            if self._left({Outcome.SURVIVED, Outcome.KILLED_BY_ANOTHER}):
                self._run_reference(suite, REST, f"not ({union})", workers, progress)
                reference = self.reference()
                judging = {
                    mutant.name: self._not_yet(mutant, reference.judging(mutant.caught_by))
                    for mutant in self._left({Outcome.SURVIVED, Outcome.KILLED_BY_ANOTHER})
                }
                self._run_mutants(suite, JUDGING, judging, workers, progress)
                rest = {
                    mutant.name: self._not_yet(mutant, reference.passed)
                    for mutant in self._left({Outcome.SURVIVED})
                }
                self._run_mutants(suite, REST, rest, workers, progress)
        finally:
            suite.close()
        return self.matrix()

    @property
    def _elsewhere(self) -> list[Mutant]:
        """The mutants that show on another runtime only. They are tried there with their own scenarios, and no more."""
        return [each for each in self._aim.mutants if each.runtime not in {None, self._runtime}]

    def _run_elsewhere(self, suite: Suite, workers: int, progress: Progress) -> None:
        """Nothing where no engine answers, which leaves these mutants without a run."""
        mutants = self._elsewhere
        if not mutants or engine_available() is not None:
            return
        round_ = f"{OWN_ELSEWHERE}docker"
        self._run_reference(suite, round_, _any_of(mutants), workers, progress)
        selections = {mutant.name: ["-k", mutant.scenarios, "scenarios"] for mutant in mutants}
        self._run_mutants(suite, round_, selections, workers, progress)

    def matrix(self) -> Matrix:
        """What the runs so far come to. Raises ProofBroken where the reference has not run to its end."""
        reference = self.reference()
        return Matrix(
            proof=self.folder.name,
            contract=self._aim.contract.revision,
            contract_digest=self._aim.contract.digest,
            runtime=self._runtime,
            reference=reference,
            rows=tuple(self.row(mutant, reference) for mutant in self._aim.mutants),
            scope=self._aim.scope,
            complete=self._aim.complete,
        )

    def reference(self) -> Reference:
        """Raises ProofBroken."""
        ledgers = []
        for run in _runs(self.folder / "reference"):
            if run.ledger is None:
                raise ProofBroken(f"the reference's own run: {run.problem}; see {self.folder / 'reference'}")
            ledgers.append(run.ledger)
        if not ledgers:
            raise ProofBroken(f"{self.folder}: no run of the reference in it, so nothing counts as a kill")
        return Reference.of(ledgers)

    def row(self, mutant: Mutant, reference: Reference) -> Row:
        """What the runs of a mutant so far come to."""
        return assess(mutant, _runs(self._folder_of(mutant.name)), reference)

    def _run_reference(
        self, suite: Suite, round_: str, expression: str, workers: int, progress: Progress
    ) -> None:
        """Once, and what it did not pass once more by itself: what load did to a scenario is no verdict on a mutant."""
        folder, runtime = self.folder / "reference" / round_, self._runtime_of(round_)
        with progress.counting("reference") as ended:
            words = ["-k", expression, *divided(workers), "scenarios"]
            run = suite.run(folder, runtime, words, at_each=ended)
        self.reference()
        scenarios = run.ledger.scenarios if run.ledger is not None else ()
        if again := [line.scenario for line in scenarios if line.blame]:
            with progress.counting("reference, again") as ended:
                suite.run(Path(f"{folder}{AGAIN}"), runtime, ["-n", "0", *again], at_each=ended)
            self.reference()

    def _run_mutants(
        self,
        suite: Suite,
        round_: str,
        selections: Mapping[str, Sequence[str]],
        workers: int,
        progress: Progress,
    ) -> None:
        reference = self.reference()
        mutants = {mutant.name: mutant for mutant in self._aim.mutants}
        selections = {name: words for name, words in selections.items() if words}
        words = f"mutants, {round_[2:].replace('-', ' ')}"

        def one(name: str) -> None:
            suite.run(
                self._folder_of(name) / round_,
                self._runtime_of(round_),
                ["--mutant", str(mutants[name].folder), "-n", "0", *selections[name]],
            )

        with progress.through(words, len(selections)) as done:
            for name, _ in side_by_side(one, selections, workers, suite.close):
                done(self.row(mutants[name], reference))

    def _runtime_of(self, round_: str) -> str:
        _, elsewhere, runtime = round_.partition(OWN_ELSEWHERE)
        return runtime if elsewhere else self._runtime

    def _left(self, outcomes: set[Outcome]) -> list[Mutant]:
        reference, elsewhere = self.reference(), self._elsewhere
        return [
            mutant
            for mutant in self._aim.mutants
            if mutant not in elsewhere and self.row(mutant, reference).outcome in outcomes
        ]

    def _not_yet(self, mutant: Mutant, scenarios: Iterable[str]) -> list[str]:
        """Of these scenarios, those that have not run against the mutant in this proof."""
        ran = {
            line.scenario
            for run in _runs(self._folder_of(mutant.name))
            if run.ledger is not None
            for line in run.ledger.scenarios
        }
        return sorted(set(scenarios) - ran)

    def _folder_of(self, mutant: str) -> Path:
        return self.folder / "mutants" / mutant


def _runs(folder: Path) -> list[SuiteRun]:
    return [SuiteRun.read(output.parent) for output in sorted(folder.glob(f"*/{OUTPUT}"))]


def _any_of(mutants: Iterable[Mutant]) -> str:
    """The `-k` expression of the scenarios of any of them."""
    return " or ".join(f"({mutant.scenarios})" for mutant in mutants)
