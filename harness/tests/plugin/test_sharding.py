"""A run that is split over machines comes to what it comes to on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.report.ledger import Ledger
from harness.report.merge import merge
from harness.report.shard import Timings, split

ROOT = Path(__file__).parents[3]
SELECTION = (
    *("scenarios/test_fresh_provision.py", "scenarios/test_allowlist.py"),
    *("-k", "malformed_identity and (again or more or upload) or malformed_skill"),
)
SHARDS = 4


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *SELECTION, "--runtime", "process", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def ledger(reports: Path) -> Path:
    (found,) = reports.glob("*/ledger.jsonl")
    return found


def verdicts(run: Ledger) -> list[tuple[str, ...]]:
    """Of all scenarios, and of all checks that were made in them; steps name workspaces, which are others each time."""
    scenarios = [(line.scenario, line.verdict) for line in run.scenarios]
    return sorted([*scenarios, *((line.scenario, line.check, line.verdict) for line in run.checks)])


def test_four_shards_are_the_whole_run(tmp_path: Path) -> None:
    assert run("--reports", str(tmp_path / "whole")).returncode == 0
    timings = ledger(tmp_path / "whole")
    whole = Ledger.read(timings)

    parts = []
    for number in range(1, SHARDS + 1):
        reports = tmp_path / str(number)
        done = run("--reports", str(reports), "--shard", f"{number}/{SHARDS}", "--timings", str(timings))
        assert done.returncode == 0, done.stdout
        parts.append(Ledger.read(ledger(reports)))
    merged = merge(parts)

    assert len(whole.scenarios) >= SHARDS
    assert verdicts(merged) == verdicts(whole)
    assert (merged.footer.scenarios, merged.footer.checks) == (whole.footer.scenarios, whole.footer.checks)
    assert [{line.scenario for line in part.scenarios} for part in parts] == split(
        [line.scenario for line in whole.scenarios], SHARDS, Timings.of(timings).seconds
    )


@pytest.mark.parametrize("workers", ["0", "1"])
def test_more_shards_than_scenarios_are_refused(tmp_path: Path, workers: str) -> None:
    done = run("--reports", str(tmp_path / "reports"), "--shard", "2/99", "-n", workers)

    assert done.returncode == 4, done.stdout
    assert (
        "--shard 2/99: there are only 5 scenarios to split; ask for fewer shards" in done.stdout + done.stderr
    )
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--shard", "5/4"], "--shard 5/4: no part of a whole; give I/N with I from 1 to N"),
        (
            ["--shard", "1/4", "--timings", "nothing"],
            "--timings nothing: no such ledger; give the ledger.jsonl",
        ),
        (
            ["--timings", "nothing"],
            "--timings is about how --shard splits the scenarios; give --shard I/N too",
        ),
    ],
)
def test_what_cannot_be_split_as_asked_is_refused(tmp_path: Path, words: list[str], reason: str) -> None:
    done = run("--reports", str(tmp_path / "reports"), *words)

    assert done.returncode == 4, done.stdout
    assert reason in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "reports").exists()
