"""No wolf cried: other good implementations, each of which must pass the whole suite.

A check that fails one of them demands what the contract leaves open. What could not run says nothing of a variant, and
is told; what the reference's own run cannot exercise, a variant's cannot either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.proof.matrix import in_a_line
from harness.proof.overlaid import OverlaidProblem
from harness.proof.progress import Progress
from harness.proof.suite import ROOT, Suite, divided
from harness.proof.suite_run import SuiteRun
from harness.proof.variant import Variant, load_variant
from harness.report.ledger import Ledger, Verdict

VARIANTS = ROOT / "fixtures" / "variants"
DATA = "variants.json"


@dataclass(frozen=True, slots=True)
class Cry:
    """A scenario that a good implementation fails."""

    requirement: str
    """Empty where the scenario failed with no check that says so."""
    check: str
    problem: str
    reproduce: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the suite made of a variant."""

    variant: Variant
    passed: int = 0
    """Scenarios."""
    could_not_run: int = 0
    """Scenarios that this runtime cannot exercise."""
    cries: tuple[Cry, ...] = ()
    problem: str = ""
    """Why nothing can be said of it; empty where something can."""

    @property
    def holds(self) -> bool:
        return not (self.problem or self.cries)


def known_variants(named: Sequence[str] = (), folder: Path = VARIANTS) -> list[Variant]:
    """Those of these names or folders, or all, by name. Raises OverlaidProblem."""
    if not named:
        return [load_variant(path.parent) for path in sorted(folder.glob("*/variant.toml"))]
    return [load_variant(_folder_of(name, folder)) for name in dict.fromkeys(named)]


def _folder_of(name: str, folder: Path) -> Path:
    for path in (folder / name, Path(name)):
        if path.is_dir():
            return path
    raise OverlaidProblem(f"{name}: no variant of that name; see ls fixtures/variants, or give a folder")


def listen(
    variants: Sequence[Variant],
    folder: Path,
    runtime: str,
    *,
    workers: int,
    progress: Progress,
    told: Callable[[Hearing], None],
) -> list[Hearing]:
    """Run the whole suite against each, one after another; `told` hears of each as it is known.

    The scenarios are divided between the workers, and not the variants: of these, one takes as long as several others.
    """
    suite, hearings = Suite(), []
    folder.mkdir(parents=True)
    for variant in variants:
        words = ["--variant", str(variant.folder), *divided(workers), "scenarios"]
        with progress.counting(variant.name) as ended:
            run = suite.run(folder / variant.name, runtime, words, at_each=ended)
        hearings.append(hear(variant, run))
        told(hearings[-1])
        (folder / DATA).write_text(json.dumps([as_data(each) for each in hearings], indent=2) + "\n")
    return hearings


def hear(variant: Variant, run: SuiteRun) -> Hearing:
    """What a run comes to."""
    if run.does_not_apply:
        return Hearing(variant, problem=f"its overlay no longer applies: {run.does_not_apply}")
    if run.dead or run.ledger is None:
        return Hearing(variant, problem=run.dead or run.problem)
    ledger = run.ledger
    verdicts = [line.verdict for line in ledger.scenarios]
    return Hearing(
        variant,
        passed=verdicts.count(Verdict.PASS),
        could_not_run=verdicts.count(Verdict.COULD_NOT_RUN),
        cries=tuple(_cries(ledger)),
        problem=_broken(ledger),
    )


def _cries(ledger: Ledger) -> Iterator[Cry]:
    """The first of each check that failed, then the scenarios that failed without any."""
    commands = {line.scenario: line.reproduce for line in ledger.scenarios}
    failed = {line.check: line for line in reversed(ledger.checks) if line.verdict == Verdict.FAIL}
    for line in reversed(failed.values()):
        problem = line.problems[0] if line.problems else line.saw
        yield Cry(line.requirement, line.check, problem, commands[line.scenario])
    said = {line.scenario for line in ledger.checks if line.verdict == Verdict.FAIL}
    for scenario in ledger.scenarios:
        blamed = scenario.verdict == Verdict.FAIL or scenario.blame == "implementation"
        if blamed and scenario.scenario not in said:
            yield Cry("", scenario.scenario, in_a_line(scenario.reason), scenario.reproduce)


def _broken(ledger: Ledger) -> str:
    if ledger.footer.interrupted:
        return "its run was interrupted"
    if ledger.footer.defects:
        return f"the harness broke: {in_a_line(ledger.footer.defects[0])}"
    broken = [line for line in ledger.scenarios if line.blame == "harness"]
    return f"the harness broke in {broken[0].scenario}: {in_a_line(broken[0].reason)}" if broken else ""


def as_data(hearing: Hearing) -> dict[str, object]:
    """For programs."""
    variant = hearing.variant
    return {
        "name": variant.name,
        "differs": variant.differs,
        "left_open": variant.left_open,
        "holds": hearing.holds,
        "passed": hearing.passed,
        "could_not_run": hearing.could_not_run,
        "cries": [asdict(cry) for cry in hearing.cries],
        "problem": hearing.problem,
    }
