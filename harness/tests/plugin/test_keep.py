"""A failed scenario's cloud is kept up for the person at the terminal, and is gone when he has seen it."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from harness.report.ledger import Ledger
from harness.tests.plugin.test_usage import ROOT, run

MUTANT = (
    "--mutant",
    "fixtures/mutants/volume-reused-as-it-is",
    "-k",
    "config_is_repaired_by_a_restart and minimal",
)


class AtATerminal:
    """pytest, as a person has it before him. `shown` is all that it said until now."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.shown = ""
        child, self._terminal = pty.fork()
        if child == 0:
            os.chdir(ROOT)
            signal.signal(
                signal.SIGINT, signal.SIG_DFL
            )  # ignored, if a shell started these tests in the background
            words = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words)
            os.execve(sys.executable, words, {**os.environ, "COLUMNS": "500", **environment})
        self.pid = child

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + 120
        while not (found := re.search(pattern, self.shown, re.MULTILINE)):
            assert time.monotonic() < deadline, self.shown
            piece = os.read(self._terminal, 65536)
            assert piece, self.shown
            self.shown += piece.decode(errors="replace").replace("\r\n", "\n")
        return found

    def type(self, text: bytes) -> None:
        os.write(self._terminal, text)

    def ended(self) -> int:
        """The exit status, once it has ended."""
        try:
            while piece := os.read(self._terminal, 65536):
                self.shown += piece.decode(errors="replace")
        except OSError:  # as Linux says that nobody is at the other end any more
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize("end", [b"\n", b"\x03"], ids=["enter", "ctrl-c"])
def test_the_cloud_stays_up_until_it_was_seen_and_nothing_is_left(tmp_path: Path, end: bytes) -> None:
    reports = tmp_path / "reports"
    pytest_ = AtATerminal(
        "scenarios", *MUTANT, "--runtime", "process", "--keep", "on-failure", "--reports", str(reports),
        TMPDIR=str(tmp_path),
    )  # fmt: skip
    try:
        pytest_.until("Enter or Ctrl-C here takes it all down")
        assert "HEAL-1 does not hold, at step: restart" in pytest_.shown
        api = pytest_.until(r"^lifecycle API +(http\S+)")[1]
        token = pytest_.until(r"^export TOKEN=(\S+)   # of tenant")[1]
        kept = httpx.get(f"{api}/workspaces", headers={"Authorization": f"Bearer {token}"}).json()
        assert [each["status"] for each in kept["workspaces"]]
        assert Path(pytest_.until(r"^machine +i-\w+( \(off\))?: cd (\S+)$")[2], "console").exists()
        volume = Path(pytest_.until(r"^volume +vol-\w+: cd (\S+)$")[1])
        assert (volume / "configs").is_dir()
    finally:
        pytest_.type(end)
        status = pytest_.ended()

    assert status == 1, pytest_.shown
    assert not volume.exists()
    assert not list(tmp_path.glob("workspace-conformance-*/*/*"))
    (ledger,) = reports.glob("*/ledger.jsonl")
    assert Ledger.read(ledger).footer.defects == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-n", "1"], "--keep on-failure: a worker of -n cannot be waited in; run one after the other, with -n 0"),
        ([], "--keep on-failure: there is no terminal, so nobody could end it"),
    ],
)  # fmt: skip
def test_nothing_is_kept_where_nobody_could_end_it(words: list[str], complaint: str) -> None:
    done = run("scenarios", *MUTANT, "--runtime", "process", "--keep", "on-failure", *words)

    assert done.returncode == 4
    assert f"ERROR: {complaint}" in done.stdout + done.stderr
