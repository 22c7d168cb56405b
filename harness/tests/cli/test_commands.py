"""The `harness` commands, as a user types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from harness.report.ledger import Verdict
from harness.tests.report.pages import HEADER, check, ledger, scenario
from harness.tests.report.runs import written

ROOT = Path(__file__).parents[3]
HARNESS = [sys.executable, "-m", "harness"]


def harness(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HARNESS, *words],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_doctor_without_an_engine_says_what_is_limited_and_how_to_mend_it(tmp_path: Path) -> None:
    done = harness("doctor", DOCKER_HOST=f"unix://{tmp_path}/no.sock", COLUMNS="200")

    assert done.returncode == 0, done.stderr
    assert re.search(r"^ok +git +with git-http-backend", done.stdout, re.MULTILINE)
    assert re.search(r"^limited +container engine +no container engine answers", done.stdout, re.MULTILINE)
    assert "→ scenarios run in child processes until then" in done.stdout


def test_the_doctor_without_git_fails_and_names_it(tmp_path: Path) -> None:
    done = harness("doctor", PATH=str(tmp_path))

    assert done.returncode == 4
    assert "git is not installed" in done.stderr


def test_the_doctor_tries_for_real_whether_a_machine_reaches_this_computer(needs_engine: None) -> None:
    done = harness("doctor", COLUMNS="200")

    assert done.returncode == 0, done.stdout
    assert re.search(r"^ok +host, from a machine +http://", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        *(
            [],
            ["doctor"],
            ["image"],
            ["image", "build"],
            ["up"],
            ["sweep"],
            ["prove"],
            ["verdict"],
            ["report"],
        ),
        *(["sign"], ["verify"], ["key"], ["merge"], ["matrix"], ["diff"], ["badge"]),
    ],
)
def test_help_reads_well_for_every_command(words: list[str]) -> None:
    done = harness(*words, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert "None" not in done.stdout


def test_a_cloud_that_is_kept_up_can_be_used_and_leaves_nothing(tmp_path: Path) -> None:
    shown = tmp_path / "shown.txt"
    with shown.open("w") as output:
        up = subprocess.Popen(
            [*HARNESS, "up", "--runtime", "process"],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        tour = awaited(shown, r"What happens:", up)
        api = re.search(r"export API=(\S+) TOKEN=(\S+)", tour)
        assert api is not None
        headers = {"Authorization": f"Bearer {api[2]}"}
        made = httpx.post(
            f"{api[1]}/workspaces", headers=headers, json={"template": "templates/minimal@main"}
        )
        workspace = f"{api[1]}/workspaces/{made.json()['id']}"
        settled = httpx.get(workspace, headers={**headers, "Prefer": "wait=30"}, timeout=40)
        assert settled.json()["status"] == "online"
        events = awaited(shown, r"is online", up)
        assert "provisioner: ec2:RunInstances 200" in events
        assert "GET /templates/minimal.git/info/refs 200" in events
    finally:
        up.send_signal(signal.SIGINT)
        status = up.wait(timeout=30)
    assert status == 0, shown.read_text()
    assert shown.read_text().rstrip().endswith("nothing is left")
    assert not list(tmp_path.glob("workspace-conformance-*/*/*"))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two runs: in the second, a requirement that held in the first does so no longer."""
    for run, verdict in (("old", Verdict.PASS), ("new", Verdict.FAIL)):
        header = replace(HEADER, run=run, started=f"2026-01-0{1 if run == 'old' else 2}T00:00:00+00:00")
        written(
            ledger(check("HEAL-1", verdict), scenario(verdict=verdict), header=header),
            tmp_path / run / "ledger.jsonl",
        )
    return tmp_path


def test_the_page_of_a_run_is_written_anew(reports: Path) -> None:
    done = harness("report", str(reports / "new"))

    page = reports / "new" / "index.html"
    assert done.returncode == 0, done.stderr
    assert str(page) in done.stdout.splitlines()
    assert "Does not conform" in page.read_text()
    assert "pass → fail" in page.read_text()


def test_what_turned_worse_is_printed_and_fails(reports: Path) -> None:
    worse = harness("diff", str(reports / "old"), str(reports / "new" / "ledger.jsonl"))
    better = harness("diff", str(reports / "new"), str(reports / "old"))
    same = harness("diff", str(reports / "new"), str(reports / "new"))

    assert worse.returncode == 1
    assert re.search(r"^worse +HEAL-1: pass → fail$", worse.stdout, re.MULTILINE)
    assert better.returncode == 0
    assert re.search(r"^better +HEAL-1: fail → pass$", better.stdout, re.MULTILINE)
    assert (same.returncode, same.stdout) == (0, "no verdict changed\n")


@pytest.mark.parametrize("words", [["report", "nowhere"], ["diff", "nowhere", "nowhere"]])
def test_a_ledger_that_is_not_there_is_refused_in_one_line(words: list[str]) -> None:
    done = harness(*words)

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "harness: nowhere: no such ledger; give the ledger.jsonl of a run\n"


def awaited(shown: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """What was shown, once the pattern is in it."""
    deadline = time.monotonic() + 60
    while not re.search(pattern, text := shown.read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text
