"""What the contract leaves open the harness must not demand: other good implementations pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest
from rich.console import Console

from harness.images import lay_out
from harness.proof.command import hear_variants
from harness.proof.cries import Cry, hear, known_variants
from harness.proof.overlaid import OverlaidProblem
from harness.proof.suite_run import SuiteRun
from harness.proof.variant import Variant
from harness.report.ledger import Verdict
from harness.session import Choices, UsageProblem, choose

from .invented import check, run_of
from .test_prove import ROOT, prove, replacing

PASS, FAIL, COULD_NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.COULD_NOT_RUN
GOOD = Variant(name="good", differs="In a word.", left_open="All of it.", folder=Path("/variants/good"))
EACH_TARGET = """
import importlib
import mutation
for name in sorted(mutation.targets()):
    importlib.import_module(name)
"""


def invented(folder: Path, manifest: str = "", overlay: str = "") -> Path:
    folder.mkdir()
    (folder / "variant.toml").write_text(f'differs = "Invented."\nleft_open = "All."\n{manifest}')
    (folder / "overlay.py").write_text(overlay)
    return folder


def chosen(variant: Path, mutant: Path | None = None) -> Choices:
    return choose(
        runtime="process",
        implementation=None,
        mutant=mutant,
        variant=variant,
        advertise_host=None,
        templates=(),
        skills=(),
        fixtures=ROOT / "fixtures",
    )


def test_a_check_that_fails_a_good_implementation_cried_wolf() -> None:
    failed = check("REC-4", FAIL, problem="config.yaml came last")
    run = run_of({"a": (PASS, [check("SKL-1", PASS)]), "b": (FAIL, [failed]), "c": (FAIL, [failed])})

    hearing = hear(GOOD, run)

    assert hearing.cries == (Cry("REC-4", "rec_4_holds", "config.yaml came last", "pytest b"),)
    assert (hearing.passed, hearing.holds) == (1, False)


def test_a_scenario_that_fails_with_no_check_is_told_too() -> None:
    hearing = hear(GOOD, run_of({"a": (FAIL, [check("SKL-1", PASS)])}))

    assert [(cry.requirement, cry.check) for cry in hearing.cries] == [("", "a")]
    assert not hearing.holds


def test_what_this_runtime_cannot_exercise_is_counted_and_no_cry() -> None:
    hearing = hear(GOOD, run_of({"a": (PASS, []), "b": (COULD_NOT_RUN, [])}))

    assert (hearing.passed, hearing.could_not_run, hearing.holds) == (1, 1, True)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (SuiteRun(None, "no scenario ran: 9 deselected"), "no scenario ran: 9 deselected"),
        (SuiteRun(None, does_not_apply="reference.x:y"), "its overlay no longer applies: reference.x:y"),
        (SuiteRun(None, dead="every machine dies"), "every machine dies"),
    ],
)
def test_a_variant_that_cannot_be_judged_does_not_pass(run: SuiteRun, problem: str) -> None:
    hearing = hear(GOOD, run)

    assert (hearing.problem, hearing.cries, hearing.holds) == (problem, (), False)


class FakeSuite:
    """Each variant's run, as if it had been made."""

    runs: ClassVar[dict[str, SuiteRun]] = {}

    def run(
        self, folder: Path, runtime: str, words: Sequence[str], *, at_each: Callable[[int], None]
    ) -> SuiteRun:
        assert runtime == "process"
        assert words[-1] == "scenarios"
        assert "-k" not in words
        assert words[words.index("-n") + 1] == "2"
        folder.mkdir(parents=True)
        at_each(7)
        return self.runs[folder.name]


def heard(reports: Path, *variants: Path) -> tuple[int, str, list[dict[str, Any]]]:
    """The exit status, what was said, and the data."""
    said = StringIO()

    def refuse(why: str) -> NoReturn:
        raise AssertionError(why)

    names = [str(each) for each in variants]
    status = hear_variants(names, "process", reports, 2, Console(file=said, width=200), refuse)
    (data,) = reports.glob("variants-*/variants.json")
    return status, said.getvalue(), json.loads(data.read_text())


def test_each_variant_is_told_with_what_it_passed_or_who_cried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.proof.cries.Suite", FakeSuite)
    variants = [invented(tmp_path / name) for name in ("second", "first")]
    FakeSuite.runs = {
        "first": run_of({"a": (PASS, []), "b": (PASS, [])}),
        "second": run_of({"a": (FAIL, [check("HEAL-7", FAIL, problem="no hint")])}),
    }

    status, said, data = heard(tmp_path / "reports", *variants)

    assert status == 1
    assert "first: 7 scenarios" in said
    assert "first passes: 2 scenarios" in said
    assert "HEAL-7   heal_7_holds: no hint" in said
    assert "pytest a" in said
    assert [(each["name"], each["holds"], len(each["cries"])) for each in data] == [
        ("second", False, 1),
        ("first", True, 0),
    ]


def test_where_nobody_cried_it_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.proof.cries.Suite", FakeSuite)
    FakeSuite.runs = {"good": run_of({"a": (PASS, []), "b": (COULD_NOT_RUN, [])})}

    status, said, _ = heard(tmp_path / "reports", invented(tmp_path / "good"))

    assert status == 0
    assert "good passes: 1 scenarios, 1 could not run here" in said


def test_there_are_at_least_eight_and_each_still_applies(tmp_path: Path) -> None:
    variants = known_variants()

    assert len(variants) >= 8
    for variant in variants:
        lay_out(variant, tmp_path / variant.name)
        path = os.pathsep.join(map(str, (tmp_path / variant.name, ROOT / "harness")))
        done = subprocess.run(
            [sys.executable, "-c", EACH_TARGET], env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{variant.name}: {done.stderr}"
        assert "mutant applied to reference." in done.stderr


def test_its_manifest_is_laid_over_the_implementations(tmp_path: Path) -> None:
    folder = invented(tmp_path / "git-alone", '[manifest.capabilities]\ntransports = ["git"]\n')

    implementation = chosen(folder).implementation

    assert implementation.name == "git-alone"
    assert implementation.capabilities.transports == ("git",)
    assert implementation.capabilities.snapshots
    assert implementation.overlay == folder


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "overlay.py").unlink(), "no overlay.py in it"),
        (lambda folder: (folder / "variant.toml").unlink(), "no variant.toml in it"),
        (lambda folder: (folder / "variant.toml").write_text('differs = "x"\n'), "left_open"),
        (lambda folder: (folder / "variant.toml").write_text("breaks ="), "Invalid value"),
    ],
)
def test_a_variant_that_is_not_well_described_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], complaint: str
) -> None:
    folder = invented(tmp_path / "good")
    spoil(folder)

    with pytest.raises(UsageProblem, match=complaint):
        chosen(folder)


def test_a_variant_that_is_a_file_is_refused() -> None:
    with pytest.raises(UsageProblem, match=r"README\.md: no variant\.toml in it"):
        chosen(ROOT / "fixtures" / "variants" / "README.md")


def test_a_manifest_that_it_makes_wrong_is_refused(tmp_path: Path) -> None:
    folder = invented(tmp_path / "good", '[manifest.capabilities]\ntransports = ["carrier pigeon"]\n')

    with pytest.raises(UsageProblem, match=r"capabilities\.transports"):
        chosen(folder)


def test_only_one_is_laid_over_an_implementation(tmp_path: Path) -> None:
    mutant = ROOT / "fixtures" / "mutants" / "volume-reused-as-it-is"

    with pytest.raises(UsageProblem, match="--mutant and --variant"):
        chosen(invented(tmp_path / "good"), mutant)


def test_a_name_that_is_no_variants_is_refused() -> None:
    with pytest.raises(OverlaidProblem, match="no-such-variant: no variant of that name"):
        known_variants(["no-such-variant"])


def test_a_proof_hears_of_the_overlay_that_is_gone(tmp_path: Path) -> None:
    """The whole suite, of which the first scenario ends all: no provisioner comes up."""
    stale = invented(
        tmp_path / "stale",
        overlay=replacing("reference.provisioner.settings:a_name_that_is_gone"),
    )

    done = prove("--variants", str(stale), "--reports", str(tmp_path / "reports"))

    assert done.returncode == 3, done.stdout + done.stderr
    assert "stale: its overlay no longer applies" in done.stdout
    assert "a_name_that_is_gone is not there to be replaced" in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--requirement", "HEAL-1"], "--variants: each must pass the whole suite"),
        (["no-such-variant"], "no-such-variant: no variant of that name"),
        (["--floor"], "--floor: trivial implementations"),
    ],
)
def test_what_cannot_be_heard_as_asked_is_refused_in_a_line(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    done = prove("--variants", *words, "--reports", str(tmp_path / "reports"))

    assert done.returncode == 4, done.stdout + done.stderr
    assert complaint in done.stderr
    assert not (tmp_path / "reports").exists()
