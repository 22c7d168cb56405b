"""`harness report --allure`, with a stand-in for the command of npm: what it is asked for, and what becomes of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.allure.site import POLICY
from harness.report.allure.write import write_allure
from harness.tests.report.runs import CONTRACT, run, written

STAND_IN = """#!{python}
import json, os, pathlib, sys
words = sys.argv[1:]
if words == ["--version"]:
    sys.exit(print({version!r}))
of = dict(zip(words[2:], words[3:]))
if words[0] == "history":
    with open(of["--history-path"], "a") as file:
        file.write(of["--report-name"] + chr(10))
    sys.exit()
if {broken}:
    sys.exit("it is too large" + chr(10) + "to be one file")
configuration = json.loads(pathlib.Path(of["--config"]).read_text())
history = pathlib.Path(configuration["historyPath"])
site = pathlib.Path(of["--output"])
site.mkdir()
told = dict(
    results=len(list(pathlib.Path(words[1]).glob("*-result.json"))),
    history=history.read_text().split() if history.exists() else [],
    appends=configuration["appendHistory"],
    categories=len(configuration["categories"]),
    one_file="--single-file" in words,
    token=os.environ.get("ALLURE_TOKEN"),
)
(site / "index.html").write_text("<html><head><title></title></head>" + json.dumps(told))
"""


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of one implementation, and one of another; nothing is on the path but what a test puts there."""
    for number, implementation in enumerate(("mine", "mine", "other", "mine"), 1):
        ledger = run(
            run=f"run{number}", started=f"2026-06-0{number}T12:00:00+00:00", implementation=implementation
        )
        write_allure(
            ledger, CONTRACT, written(ledger, tmp_path / "reports" / f"run{number}" / "ledger.jsonl").parent
        )
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "reports"


def allure(reports: Path, version: str = "3.18.0", *, broken: bool = False) -> None:
    command = reports.parent / "bin" / "allure"
    command.write_text(STAND_IN.format(python=sys.executable, version=version, broken=broken))
    command.chmod(0o755)


def harness(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def refused(reports: Path) -> str:
    """The one line of complaint, and nothing was made."""
    status, said, complaint = harness("report", str(reports / "run4"), "--allure")
    assert status == 4, said
    assert complaint.count("\n") == 1
    assert not (reports / "run4" / "allure.html").exists()
    return complaint


def test_without_the_command_one_line_says_how_to_get_it(reports: Path) -> None:
    assert refused(reports) == (
        "harness: --allure: the command `allure` is not installed; get it with npm install --global allure@3 "
        "(it needs Node.js 20 or newer)\n"
    )
    assert not (reports / "run4" / "index.html").exists(), "no view was written"
    assert harness("report", str(reports / "run4"))[0] == 0, "the other views need nothing"


def test_the_allure_of_another_time_is_refused(reports: Path) -> None:
    allure(reports, "2.34.1")

    assert "bin/allure is version 2.34.1, and it takes 3; get it with npm install" in refused(reports)


def test_what_allure_complains_of_is_told(reports: Path) -> None:
    allure(reports, broken=True)

    assert "allure awesome failed (1): it is too large to be one file" in refused(reports)


def test_the_site_is_one_file_with_the_history_of_the_runs_before(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allure(reports)
    monkeypatch.setenv("ALLURE_TOKEN", "by which it would send the results somewhere")

    for _ in range(2):
        status, said, complaint = harness("report", str(reports / "run4"), "--allure")
        assert (status, complaint) == (0, "")

    site = reports / "run4" / "allure.html"
    assert said.splitlines()[-1] == str(site)
    html = site.read_text()
    assert json.loads(html[html.index("{") :]) == {
        "results": 2,
        "history": ["run1", "run2"],
        "appends": False,
        "categories": 5,
        "one_file": True,
        "token": None,
    }
    assert html.startswith(f'<html><head><meta http-equiv="Content-Security-Policy" content="{POLICY}">')
    assert sorted(path.name for path in (reports / "run4").iterdir()) == [
        "allure-results", "allure.html", "index.html", "junit.xml", "ledger.jsonl", "summary.md"
    ]  # fmt: skip
