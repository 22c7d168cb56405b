"""How far scenarios reach is measured in the implementation's own processes, wherever those run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.proof.coverage import combine

ROOT = Path(__file__).parents[3]


def pytest_run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "scenarios", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def test_both_parts_of_the_implementation_are_measured(tmp_path: Path) -> None:
    done = pytest_run(
        "-k", "fresh_workspace and minimal and git", "--runtime", "process", "--coverage", "--reports", str(tmp_path)
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "how far the scenarios reach" in done.stdout
    (told,) = tmp_path.glob("*/coverage/coverage.json")
    source = ROOT / "harness" / "reference"
    percents = {
        str((ROOT / path).relative_to(source)): file["summary"]["percent_covered"]
        for path, file in json.loads(told.read_text())["files"].items()
    }
    # The boot agent becomes another program by exec, and the provisioner is told to end: neither loses its data.
    assert percents["boot/handover.py"] > 80
    assert percents["provisioner/api.py"] > 50
    assert percents["boot/damage.py"] < 50, "nothing was damaged"
    assert f"{percents['boot/damage.py']:.1f} %  boot/damage.py" in done.stdout
    (unloaded,) = (line for line in done.stdout.splitlines() if "never loaded, or run without site: " in line)
    assert "boot/merge.py" in unloaded, "nothing was merged"


def test_a_mutant_is_not_measured(tmp_path: Path) -> None:
    mutant = str(ROOT / "fixtures" / "mutants" / "volume-reused-as-it-is")
    done = pytest_run("--coverage", "--mutant", mutant, "--runtime", "process")

    assert done.returncode == 4
    assert "--coverage: a mutant or variant is not measured" in done.stderr


def test_without_data_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert combine(tmp_path, ROOT / "harness" / "reference") is None
