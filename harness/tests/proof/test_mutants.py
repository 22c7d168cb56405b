"""Each known-bad implementation fails, and the check that fails names the requirement that it breaks.

A kill counts only because the very same scenarios pass against the reference.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.contract.requirements import load_contract
from harness.proof.mutant import load_mutant
from harness.proof.overlaid import OverlaidProblem
from harness.report.ledger import Ledger, Verdict

ROOT = Path(__file__).parents[3]
MUTANTS = sorted(path.parent for path in (ROOT / "fixtures" / "mutants").glob("*/mutant.toml"))


def run(
    reports: Path, expression: str, *options: str, within: float = 600
) -> tuple[subprocess.CompletedProcess[str], Ledger]:
    """These scenarios, in a run of their own on the process runtime, in so many seconds at most."""
    words = [
        "scenarios",
        "-k",
        expression,
        "--runtime",
        "process",
        "--strict",
        "--examples",
        "proof",
        "--reports",
        str(reports),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, *options],
        cwd=ROOT, capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip
    (path,) = reports.glob("*/ledger.jsonl")
    return done, Ledger.read(path)


def test_each_suite_has_a_mutant_that_no_other_suite_could_catch() -> None:
    suites = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scenarios").glob("test_*.py")}

    named = {load_mutant(folder, load_contract()).suite for folder in MUTANTS}

    # What is kept there was found by other suites, each of which has a mutant.
    suites_of_its_own = suites - {path_of("counterexamples")}
    assert {path_of(suite) for suite in named if suite is not None} == suites_of_its_own


def test_each_requirement_has_a_mutant_that_it_must_catch() -> None:
    caught = {name for folder in MUTANTS for name in load_mutant(folder, load_contract()).caught_by}

    assert load_contract().requirements.keys() == caught


def path_of(suite: str) -> str:
    return f"scenarios/test_{suite}.py"


def test_an_overlay_that_no_longer_applies_is_no_kill(tmp_path: Path) -> None:
    folder = tmp_path / "stale"
    folder.mkdir()
    (folder / "mutant.toml").write_text(
        'breaks = "Nothing, any more."\ncaught_by = ["SKL-1"]\nscenarios = "fresh_workspace and minimal and git"\n'
    )
    (folder / "overlay.py").write_text(
        "from mutation import replace\n\n\n"
        '@replace("reference.provisioner.settings:a_name_that_is_gone")\n'
        "def gone(original):\n    return original()\n"
    )
    mutant = load_mutant(folder, load_contract())

    done, ledger = run(tmp_path / "reports", mutant.scenarios, "--mutant", str(folder))

    assert done.returncode == 1
    assert {line.verdict for line in ledger.scenarios} == {Verdict.COULD_NOT_RUN}
    assert (
        "mutant does not apply: reference.provisioner.settings:a_name_that_is_gone is not there"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ('breaks = "x"\nscenarios = "y"\n', "caught_by"),
        ('breaks = "x"\nscenarios = "y"\ncaught_by = ["SKL-99"]\n', "SKL-99"),
        ('breaks = "x"\nscenarios = "y"\ncaught_by = ["SKL-1"]\ncolour = "red"\n', "colour"),
    ],
)
def test_a_mutant_that_is_not_well_described_is_refused(
    tmp_path: Path, manifest: str, complaint: str
) -> None:
    (tmp_path / "mutant.toml").write_text(manifest)
    (tmp_path / "overlay.py").touch()

    with pytest.raises(OverlaidProblem, match=complaint):
        load_mutant(tmp_path, load_contract())


def test_a_mutant_without_an_overlay_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mutant.toml").write_text('breaks = "x"\nscenarios = "y"\ncaught_by = ["SKL-1"]\n')

    with pytest.raises(OverlaidProblem, match=r"no overlay\.py in it"):
        load_mutant(tmp_path, load_contract())
