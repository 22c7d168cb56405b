"""A run that is killed in the middle leaves things behind; the next run sweeps them."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from harness.runtime.engine import engine_available
from harness.runtime.sweep import Removed, sweep

ROOT = Path(__file__).parents[3]
SCENARIO = "fresh_workspace and minimal and git"


def pytest_words(runtime: str, reports: Path, expression: str) -> list[str]:
    words = ["-p", "no:cacheprovider", "scenarios", "-k", expression]
    return [sys.executable, "-m", "pytest", *words, "--runtime", runtime, "--reports", str(reports)]


def left_by(runs: set[str]) -> list[Removed]:
    return [each for each in sweep(timedelta(0), dry_run=True) if each.run in runs]


@pytest.mark.parametrize("runtime", ["process", "docker"])
def test_what_a_killed_run_leaves_is_gone_after_the_next(runtime: str, tmp_path: Path) -> None:
    if runtime == "docker" and (without := engine_available()) is not None:
        pytest.skip(f"could not run: {without}")
    before = {each.run for each in sweep(timedelta(0), dry_run=True)}
    killed = subprocess.Popen(
        pytest_words(runtime, tmp_path / "killed", SCENARIO), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        runs = _machines_of(killed, before)
    finally:
        killed.kill()
        killed.wait()
    assert left_by(runs), "nothing was left, so nothing is shown"

    done = subprocess.run(
        pytest_words(runtime, tmp_path / "next", "malformed and again"),
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert left_by(runs) == []


def _machines_of(run: subprocess.Popen[bytes], before: set[str]) -> set[str]:
    """The id of the run, once a machine of a workspace is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.poll() is None:
        found = {
            each.run
            for each in sweep(timedelta(0), dry_run=True)
            if each.kind == "machine"
            and "-i-" in each.name
            and each.run not in before
            and _is_of(each.run, run.pid)
        }
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("the run came to no machine")


def _is_of(run: str, pid: int) -> bool:
    from harness.runtime import workdir

    return any(owner.pid == pid for owner, _ in workdir.every() if owner.run == run)
