"""No secret of a run is in what the run leaves behind; where one is, the run fails and says where."""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from harness.oracle.canaries import Brood
from harness.report.leaks import secrets_in

ROOT = Path(__file__).parents[3]
KEY = b"a key of this test"
BROODS = [Brood(f"tenant-{number}") for number in range(40)]
ROTATED = Brood("tenant-7", 1)
WORDS = """
import base64
from pathlib import Path

from harness.plugin import owner_key


def test_a_scenario_whose_reports_hold_a_secret(scenario, request):
    tenant = scenario.tenant()
    tenant.rotate_secrets()
    secret = base64.b64encode(b"x" + tenant.canaries["db_password"].core.encode())
    folder = Path(request.config.option.reports) / request.config.stash[owner_key].run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attached.txt").write_bytes(secret)
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """pytest on the process runtime, as a user would start it."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--runtime", "process", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("brood", [BROODS[0], BROODS[-1], ROTATED], ids=["first", "last", "rotated"])
def test_a_secret_of_any_tenant_is_found_in_any_file(tmp_path: Path, brood: Brood) -> None:
    canary = brood.canaries(KEY)["admin_token"]
    deep = tmp_path / "artifacts" / "test_x" / "console.txt.gz"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(gzip.compress(b"login: " + base64.b64encode(canary.value.encode())))
    (tmp_path / "ledger.jsonl").write_text('{"kind":"header"}\n')

    found = secrets_in(tmp_path, [*BROODS, ROTATED], KEY)

    assert f"<canary {brood.tenant}/admin_token> (base64) in artifacts/test_x/console.txt.gz > gzip" in found
    assert canary.core not in "".join(found)


def test_a_secret_in_the_name_of_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / BROODS[0].canaries(KEY)["admin_token"].core).touch()

    assert secrets_in(tmp_path, BROODS, KEY) == [
        "<canary tenant-0/admin_token> (as it is) in the names of files"
    ]


def test_reports_without_secrets_are_all_right(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text('{"kind":"header"}\n' * 1000)

    assert secrets_in(tmp_path, BROODS, KEY) == []
    assert secrets_in(tmp_path / "no such folder", BROODS, KEY) == []
    assert secrets_in(tmp_path, [Brood("another")], KEY) == []


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["in one process", "with a worker"])
def test_a_run_with_a_secret_in_its_reports_fails(tmp_path: Path, workers: list[str]) -> None:
    scenario = tmp_path / "test_leaky.py"
    scenario.write_text(WORDS)
    reports = tmp_path / "reports"

    done = run(
        "-p",
        "harness.plugin",
        str(scenario),
        "--rootdir",
        str(ROOT),
        "-c",
        "pyproject.toml",
        "--reports",
        str(reports),
        *workers,
    )

    assert done.returncode == 3, done.stdout
    assert "1 passed" in done.stdout
    assert "a secret is in the reports of this run" in done.stdout
    assert "/db_password> (base64) in attached.txt" in done.stdout


def test_what_is_kept_of_a_failed_scenario_is_without_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "talkative"
    folder.mkdir()
    (folder / "mutant.toml").write_text(
        'breaks = "The token is on the console."\ncaught_by = ["BND-4"]\n'
        'scenarios = "fresh_workspace and minimal and git"\n'
    )
    (folder / "overlay.py").write_text(
        "import base64\n\nfrom mutation import replace\n\n\n"
        '@replace("reference.boot.bootstrap:read_bootstrap")\n'
        "def read_bootstrap(original, *arguments):\n"
        "    bootstrap = original(*arguments)\n"
        '    print("the token is", bootstrap.template_token, flush=True)\n'
        '    print("encoded", base64.b64encode(bootstrap.template_token.encode()).decode(), flush=True)\n'
        "    return bootstrap\n"
    )
    reports = tmp_path / "reports"

    done = run(
        "scenarios",
        "-k",
        "fresh_workspace and minimal and git",
        "--mutant",
        str(folder),
        "--reports",
        str(reports),
    )

    assert done.returncode == 1, done.stdout
    assert "a secret is in the reports" not in done.stdout
    (console,) = reports.glob("*/artifacts/*/console-*.txt")
    assert "the token is gta_<canary tenant-" in console.read_text()
    assert "[withheld: <canary tenant-" in console.read_text()
    assert "the token is gta_<canary tenant-" in done.stdout
