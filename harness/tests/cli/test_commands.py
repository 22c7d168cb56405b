"""The `harness` commands, as a user types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


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


@pytest.mark.parametrize("words", [[], ["doctor"], ["image"], ["image", "build"], ["up"], ["sweep"]])
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


def awaited(shown: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """What was shown, once the pattern is in it."""
    deadline = time.monotonic() + 60
    while not re.search(pattern, text := shown.read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text
