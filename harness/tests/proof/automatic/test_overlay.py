"""The overlay that a mutant is laid over an implementation by: loaded, or the program ends before it does anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.contract.requirements import load_contract
from harness.images import lay_out
from harness.proof.automatic.campaign import lay
from harness.proof.mutant import load_mutant

from .invented import NAMES, module, mutation

PROGRAM = "from invented.only import shout; print(shout('hey'))"


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    shouted = mutation(module(tmp_path, NAMES), "if name:", "if not name:")
    folder = lay(shouted, tmp_path / "mutant", load_contract(), "")
    lay_out(load_mutant(folder, load_contract()), tmp_path / "overlay")
    return tmp_path / "overlay"


def run(overlay: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], env={"PYTHONPATH": f"{overlay}:{overlay.parent}"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_a_mutated_line_runs_in_place_of_the_good_one(overlay: Path) -> None:
    done = run(overlay, "-c", PROGRAM)

    assert (done.stdout, done.stderr) == ("hey\n", "mutant applied to invented.only\n")


def test_a_module_that_is_run_as_a_program_is_mutated_too(overlay: Path) -> None:
    source = overlay.parent / "invented" / "only.py"
    source.write_text(source.read_text() + "print(shout('hey'))\n")

    done = run(overlay, "-m", "invented.only")

    assert (done.returncode, done.stdout) == (0, "hey\n")
    assert "mutant applied to invented.only" in done.stderr


def test_a_line_that_is_another_by_now_is_no_mutant(overlay: Path) -> None:
    source = overlay.parent / "invented" / "only.py"
    source.write_text("\n" + source.read_text())

    done = run(overlay, "-c", PROGRAM)

    assert (done.returncode, done.stdout) == (97, "")
    assert done.stderr == "mutant does not apply: invented.only, line 2: is not 'if name:' any more\n"


def test_a_mutant_that_cannot_be_loaded_says_so(overlay: Path) -> None:
    (overlay / "overlay.py").write_text(
        "from mutation import edit\n"
        "edit('invented.only', line=1, was=['def shout(name):'], becomes=['def shout(name=1 + \"1\"):'])\n"
    )

    done = run(overlay, "-c", PROGRAM)

    assert (done.returncode, done.stdout) == (96, "")
    assert "mutant cannot be loaded: TypeError: unsupported operand" in done.stderr
