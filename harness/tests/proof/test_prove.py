"""`harness prove`, as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from harness.contract.requirements import load_contract
from harness.proof.progress import Progress
from harness.proof.prove import Aim, Proof
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import Ledger, Verdict

from .invented import check, ledger, mutant

ROOT = Path(__file__).parents[3]
PROVE = [sys.executable, "-c", "from harness.cli import main; main()", "prove"]
ONE_SCENARIO = "fresh_workspace and minimal and git"


def prove(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROVE, *words], cwd=ROOT, env={**os.environ, "COLUMNS": "200"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def invented(folder: Path, caught_by: str, overlay: str) -> Path:
    folder.mkdir()
    (folder / "mutant.toml").write_text(
        f'breaks = "Invented."\ncaught_by = ["{caught_by}"]\nscenarios = "{ONE_SCENARIO}"\n'
    )
    (folder / "overlay.py").write_text(overlay)
    return folder


def replacing(target: str) -> str:
    return (
        "from mutation import replace\n\n\n"
        f'@replace("{target}")\n'
        'def wrong(original):\n    raise TypeError("wrong")\n'
    )


def test_a_proof_tells_kills_from_what_only_looks_like_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "mutants" / "token-left-in-the-environment", tmp_path / "token")
    mutants = [
        tmp_path / "token",
        invented(tmp_path / "stale", "SKL-1", replacing("reference.boot.reconcile:a_name_that_is_gone")),
        invented(tmp_path / "dead", "OBS-1", replacing("reference.boot.main:main")),
        invented(tmp_path / "unloadable", "OBS-1", "import no_such_module\n"),
    ]
    reports = tmp_path / "reports"

    done = prove(*map(str, mutants), "--reports", str(reports), "--workers", "2")

    assert done.returncode == 1, done.stdout + done.stderr
    (data,) = reports.glob("proof-*/kill-matrix.json")
    matrix = json.loads(data.read_text())
    outcomes = {row["name"]: (row["outcome"], row["killed_by"]) for row in matrix["mutants"]}
    assert outcomes == {
        "token": ("killed by the right requirement", ["BND-5"]),
        "stale": ("could not run", []),
        "dead": ("broken", []),
        "unloadable": ("broken", []),
    }
    assert matrix["unproven"] == ["SKL-1", "OBS-1"]
    assert matrix["reference"]["not_passed"] == {}
    assert "unproven: SKL-1 Every skill" in done.stdout
    assert "a_name_that_is_gone is not there to be replaced" in done.stdout
    assert "(a partial proof)" in done.stdout
    assert data.with_suffix(".html").is_file()

    data.unlink()
    again = prove("--matrix-only", "--reports", str(reports))

    assert again.returncode == 1
    assert json.loads(data.read_text()) == matrix


class Recorded:
    """Runs that are not made: each comes to the ledger that is next, and leaves what it was asked for."""

    def __init__(self, *ledgers: Ledger) -> None:
        self._ledgers = list(ledgers)
        self.asked: dict[str, list[str]] = {}

    def run(self, folder: Path, runtime: str, words: Sequence[str], **_: object) -> SuiteRun:
        (folder / "run").mkdir(parents=True)
        self._ledgers.pop(0).write(folder / "run" / "ledger.jsonl")
        (folder / "pytest.txt").write_text(f"mutant applied to it, on {runtime}\n")
        self.asked[folder.name] = list(words)
        return SuiteRun.read(folder)

    def close(self) -> None: ...


def test_what_the_reference_does_not_pass_is_run_once_more_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the load of a machine did to a scenario is no verdict on a mutant."""
    breached = {"b": (Verdict.FAIL, [check("HEAL-1", Verdict.FAIL)])}
    runs = Recorded(
        ledger({"a": (Verdict.PASS, []), "c": (Verdict.COULD_NOT_RUN, []), "b": (Verdict.FAIL, [])}),
        ledger({"b": (Verdict.PASS, [check("HEAL-1", Verdict.PASS)])}),
        ledger(breached),
    )
    monkeypatch.setattr("harness.proof.prove.Suite", lambda: runs)
    proof = Proof.new(tmp_path, Aim(load_contract(), (mutant("HEAL-1"),)), "process")

    matrix = proof.run(workers=2, progress=Progress(Console(quiet=True)))

    assert runs.asked["1-its-own-again"] == ["-n", "0", "b"], "and not c, which nobody is to blame for"
    assert matrix.holds
    assert list(matrix.as_data()["reference"]["unsteady"]) == ["b"]


@pytest.mark.parametrize("background", [False, True], ids=["in a terminal", "in a shell's background"])
def test_an_interrupted_proof_leaves_no_run_behind(tmp_path: Path, background: bool) -> None:
    in_background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"] if background else []
    process = subprocess.Popen(
        [*in_background, *PROVE, "token-left-in-the-environment", "--reports", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(process.pid).children(recursive=True)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)

    said, _ = process.communicate(timeout=90)

    assert process.returncode == 2, said
    assert "interrupted" in said
    assert psutil.wait_procs(children, timeout=10)[1] == []
    runs = [path.read_text() for path in tmp_path.rglob("pytest.txt")]
    assert not any(" in " in run and ("passed" in run or "failed" in run) for run in runs), "to its own end"


def test_a_requirement_that_no_mutant_breaks_is_unproven_without_a_run(tmp_path: Path) -> None:
    done = prove(
        str(invented(tmp_path / "token", "BND-5", "")),
        "--requirement",
        "OBS-1",
        "--reports",
        str(tmp_path / "reports"),
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "unproven: OBS-1 Every boot leaves" in done.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["no-such-mutant"], "no-such-mutant: no mutant of that name"),
        (["--requirement", "HEAL-99"], "'HEAL-99' is not in contract"),
        (["--changed-since", "no-such-revision"], "no-such-revision"),
        (["--runtime", "auto"], "choose process or docker"),
        (["--runtime", "moon"], "--runtime moon: unknown runtime"),
        (["--matrix-only"], "no proof was made here"),
        (["--matrix-only", "--requirement", "HEAL-1"], "leave out what selects mutants"),
    ],
)
def test_what_cannot_be_proven_as_asked_is_refused_in_a_line(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    done = prove(*words, "--reports", str(tmp_path / "reports"))

    assert done.returncode == 4, done.stdout + done.stderr
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "reports").exists()
