"""Each way that a run can end has an exit status, and the ledger alone tells the same.

The scenarios here are a few lines each, in a cloud in which nothing stands: what they come to is the point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.ledger import Ledger, Verdict

ROOT = Path(__file__).parents[3]
CONFTEST = """\
from unittest.mock import MagicMock
import pytest

pytest_plugins = ("harness.plugin",)
DEFECTS = []

@pytest.fixture(scope="session")
def cloud():
    cloud, nothing = MagicMock(), []
    cloud.defects.side_effect = lambda: list(DEFECTS)
    for name in ("launched", "machines", "volumes", "snapshots", "gone"):
        getattr(cloud.hypervisor, f"{name}_since").return_value = nothing
    cloud.hypervisor.start_seconds_since.return_value = 0.0
    for name in ("roles", "calls", "template_requests"):
        getattr(cloud, f"{name}_since").return_value = nothing
    cloud.provisioner_log_since.return_value = cloud.provisioner.console.return_value = b""
    return cloud
"""
SCENARIOS = """\
import os, signal, time
import pytest
import conftest
from harness.contract.lifecycle import Refused
from harness.oracle.check import Saw, check
from harness.runtime.base import NotSupported

@check("HEAL-1")
def heal_1_of_this_test(*problems): return Saw("what there was", problems)

@check("HEAL-8")
def heal_8_of_this_test(*problems): return Saw("what there was", problems)

def test_holds(scenario):
    scenario.judge(heal_1_of_this_test)

"""
NO_PROVISIONER = """\
@pytest.fixture
def cloud():
    from harness.world.cloud import CloudProblem
    raise CloudProblem("the provisioner does not answer")

def test_it(scenario): pass
"""
FAILING = "def test_it(scenario): scenario.judge(heal_1_of_this_test, 'gone')\n"
CONSEQUENCE = """\
def test_it(scenario):
    scenario.judge(heal_1_of_this_test, "gone")
    {}["what comes of it"]
"""
HARNESS_BROKE = """\
def test_it(scenario):
    scenario.judge(heal_1_of_this_test, "gone")
    conftest.DEFECTS.append("the world stood still")
"""
LATE = """\
@pytest.fixture
def late():
    yield
    {}["late"]

def test_it(late, scenario): pass
"""
ENDED_EARLY = """\
def test_it(scenario):
    scenario.judge(heal_1_of_this_test, "gone")
    scenario.judge.end_if_failed()
    {}["never reached"]

def test_of_examples(scenario):
    for _ in range(2):
        with scenario.example() as example:
            example.judge(heal_1_of_this_test, "gone")
            example.judge.end_if_failed()
"""
MANIFEST = """\
contract = "1.0"
name = "small"
version = "1"
[capabilities]
transports = ["git"]
[provisioner.process]
command = ["true"]
[machine.process]
command = ["true"]
"""
WAIVER = """\
[[waivers]]
requirement = "HEAL-1"
reason = "It is being mended"
owner = "Ada"
issue = "https://issues.example/7"
expires = {expires}
"""


class Project:
    """A folder of scenarios, and the run of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "scenarios").mkdir()
        (folder / "fixtures").symlink_to(ROOT / "fixtures")
        (folder / "pytest.ini").write_text("[pytest]\ntestpaths = scenarios\n")
        (folder / "conftest.py").write_text(CONFTEST)
        self.manifest()
        self.scenarios("")

    def manifest(self, more: str = "") -> None:
        (self.folder / "implementation.toml").write_text(MANIFEST + more)

    def scenarios(self, text: str, name: str = "test_small.py") -> None:
        (self.folder / "scenarios" / name).write_text(SCENARIOS + text)

    def words(self, *arguments: str) -> list[str]:
        named = ["--implementation", "implementation.toml", "--runtime", "process"]
        plugins = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:randomly"]
        return [sys.executable, "-m", "pytest", *plugins, *named, *arguments]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Its exit status, and what it said."""
        done = subprocess.run(
            self.words(*arguments), cwd=self.folder, env=self.environment(environment),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def ledger(self) -> Path:
        (path,) = self.folder.glob("reports/*/ledger.jsonl")
        return path

    def verdict(self, *options: str) -> tuple[int, str]:
        """What `harness verdict` says of the run's ledger."""
        told = CliRunner().invoke(app, ["verdict", str(self.ledger()), *options])
        return told.exit_code, told.output


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("text", "options", "status", "words"),
    [
        ("", [], 0, "INCOMPLETE: what ran holds"),
        ("", ["--gate"], 6, "use --runtime docker"),
        (
            FAILING,
            [],
            1,
            "HEAL-1 does not hold: heal_1_of_this_test, in test_it",
        ),
        (
            "def test_it(scenario): raise Refused('DELETE /workspaces/1', 500, {})",
            [],
            1,
            "test_it fail: DELETE /workspaces/1",
        ),
        (
            NO_PROVISIONER,
            [],
            1,
            "could not run: the provisioner does not answer",
        ),
        (
            CONSEQUENCE,
            [],
            1,
            "HEAL-1 does not hold: heal_1_of_this_test, in test_it",
        ),
        ("def test_it(scenario): raise KeyboardInterrupt", [], 2, "the run was interrupted"),
        ("def test_it(scenario): {}['i-1']", [], 3, "test_it could not run: 'i-1'"),
        (
            HARNESS_BROKE,
            [],
            3,
            "test_it could not run: the world stood still",
        ),
        ("def test_it(scenario): os._exit(7)", ["-n", "1"], 3, "crashed"),
        ("def test_it(): assert False", [], 3, "1 tests of the harness itself failed"),
        (
            LATE,
            [],
            3,
            "test_it could not run: 'late'",
        ),
        (
            "def test_it(scenario): raise NotSupported('no strace here')",
            [],
            0,
            "test_it could not run: no strace here",
        ),
        (
            "def test_it(scenario): raise NotSupported('no strace here')",
            ["-k", "test_it"],
            5,
            "NOTHING RAN",
        ),
        ("def test_it(scenario): scenario.judge(heal_8_of_this_test, 'gone')", [], 0, "HEAL-8 is a SHOULD"),
        (
            "def test_it(scenario): scenario.judge(heal_8_of_this_test, 'gone')",
            ["--strict", "-n", "1"],
            1,
            "HEAL-8 does not hold",
        ),
    ],
)
def test_a_run_exits_with_what_it_comes_to_and_its_ledger_tells_the_same(
    project: Project, text: str, options: list[str], status: int, words: str
) -> None:
    project.scenarios(text + "\n")

    ended, said = project.run(*options)

    assert ended == status, said
    assert words in said
    told, output = project.verdict(*({"--gate"} & set(options)))
    assert told == status
    assert words.removeprefix("INCOMPLETE: what ran holds").removeprefix("NOTHING RAN") in output
    assert Ledger.read(project.ledger()).footer.exit_status == status
    assert {path.name for path in project.ledger().parent.iterdir()} >= {
        "index.html",
        "junit.xml",
        "summary.md",
    }


def test_a_run_that_selects_nothing_leaves_no_ledger(project: Project) -> None:
    status, _ = project.run("-k", "no_such_scenario")

    assert status == 5
    assert not (project.folder / "reports").exists()


def test_scenarios_that_cannot_be_collected_are_the_harness_s_own_fault(project: Project) -> None:
    project.scenarios("import no_such_module\n", "test_other.py")

    status, said = project.run()

    assert status == 3
    assert "scenarios/test_other.py could not be collected" in said


def test_an_internal_error_of_pytest_is_no_pass(project: Project) -> None:
    with (project.folder / "conftest.py").open("a") as conftest:
        conftest.write("\ndef pytest_runtest_logfinish(): raise ValueError('no more ink')\n")

    status, said = project.run()

    assert status == 3, said
    told, output = project.verdict()
    assert told == 3
    assert "pytest had an internal error: ValueError: no more ink" in output


def test_a_run_that_is_killed_leaves_a_ledger_that_is_never_green(project: Project) -> None:
    project.scenarios("def test_last(scenario): (conftest.__file__ and time.sleep(60))\n")
    with (project.folder / "output").open("w") as output:
        run = subprocess.Popen(
            project.words(), cwd=project.folder, env=project.environment(), stdout=output, stderr=output
        )
    deadline = time.monotonic() + 60
    while not any('"scenario"' in path.read_text() for path in project.folder.glob("reports/*/ledger.jsonl")):
        assert run.poll() is None, (project.folder / "output").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()

    status, said = project.verdict()

    assert status == 3
    assert "no footer: the run broke before its end" in said
    report = CliRunner().invoke(app, ["report", str(project.ledger())])
    assert report.exit_code == 3
    assert "no footer" in report.output


@pytest.mark.parametrize("command", ["verdict", "report"])
def test_a_ledger_that_is_not_there_is_a_mistake_of_whoever_asks(tmp_path: Path, command: str) -> None:
    told = CliRunner().invoke(app, [command, str(tmp_path / "nothing.jsonl")])

    assert told.exit_code == 4
    assert "no such ledger" in told.output
    assert len(told.output.splitlines()) == 1


def test_a_strict_verdict_of_a_lenient_run_fails_by_its_shoulds(project: Project) -> None:
    project.scenarios("def test_it(scenario): scenario.judge(heal_8_of_this_test, 'gone')\n")
    assert project.run()[0] == 0

    assert project.verdict()[0] == 0
    assert project.verdict("--strict")[0] == 1


@pytest.mark.parametrize(
    ("options", "narrowed", "expected"),
    [
        (["-n", "1", "-k", "not holds"], "-k 'not holds'", 3),
        (["scenarios/test_small.py"], "scenarios/test_small.py", 2),
    ],
)
def test_a_part_of_the_scenarios_is_told_as_such_and_passes_no_gate(
    project: Project, options: list[str], narrowed: str, expected: int
) -> None:
    project.scenarios("def test_it(scenario): pass\n")
    project.scenarios("", "test_other.py")

    status, said = project.run(*options, "--gate")

    assert status == 6
    assert f"the run was narrowed; leave out: {narrowed}" in said
    ledger = Ledger.read(project.ledger())
    assert ledger.header.selection == narrowed
    assert ledger.footer.expected == expected
    assert project.verdict("--gate")[0] == 6


class TestWaivers:
    def test_a_waived_failure_does_not_fail_the_run_and_is_shown_with_its_owner(
        self, project: Project
    ) -> None:
        project.scenarios(FAILING)
        project.manifest(WAIVER.format(expires="2999-01-01"))

        status, said = project.run()

        assert status == 0, said
        assert "HEAL-1: It is being mended (owner Ada, until 2999-01-01, https://issues.example/7)" in said
        ledger = Ledger.read(project.ledger())
        assert [waiver.owner for waiver in ledger.waivers] == ["Ada"]
        assert {line.verdict for line in ledger.scenarios} == {Verdict.PASS, Verdict.WAIVED}
        assert project.verdict()[0] == 0

    def test_an_expired_waiver_fails_the_run_by_name_and_lets_nothing_pass(self, project: Project) -> None:
        project.scenarios(FAILING)
        project.manifest(WAIVER.format(expires="2026-01-01"))

        status, said = project.run()

        assert status == 1
        assert "the waiver has expired, so mend what it was for or renew it: HEAL-1" in said
        assert "HEAL-1 does not hold" in said

    def test_an_expired_waiver_fails_the_run_though_nothing_fails(self, project: Project) -> None:
        project.manifest(WAIVER.format(expires="2026-01-01"))

        status, said = project.run()

        assert status == 1
        assert "the waiver has expired" in said
        (verdict,) = ET.parse(project.ledger().with_name("junit.xml")).iterfind(
            ".//testcase[@name='the verdict']"
        )
        assert verdict.find("failure") is not None

    def test_what_comes_of_a_waived_failure_is_not_waived(self, project: Project) -> None:
        project.scenarios(CONSEQUENCE)
        project.manifest(WAIVER.format(expires="2999-01-01"))

        status, said = project.run()

        assert status == 1
        assert "test_it fail: 'what comes of it'" in said

    def test_a_scenario_that_a_waived_failure_ends_has_not_failed(self, project: Project) -> None:
        project.scenarios(ENDED_EARLY)
        project.manifest(WAIVER.format(expires="2999-01-01"))

        status, said = project.run()

        assert status == 0, said
        verdicts = [line.verdict for line in Ledger.read(project.ledger()).checks]
        assert verdicts.count(Verdict.WAIVED) == 3


def test_the_summary_is_shown_by_github_too(project: Project, tmp_path: Path) -> None:
    step = tmp_path / "step.md"
    step.write_text("# before\n")

    project.run(GITHUB_STEP_SUMMARY=str(step))

    assert step.read_text() == "# before\n" + project.ledger().with_name("summary.md").read_text()


def test_views_are_made_anew_from_a_ledger(project: Project) -> None:
    project.run()
    folder = project.ledger().parent
    before = {name: (folder / name).read_text() for name in ("junit.xml", "summary.md")}
    for name in before:
        (folder / name).unlink()

    told = CliRunner().invoke(app, ["report", str(project.ledger())])

    assert told.exit_code == 0, told.output
    assert {name: (folder / name).read_text() for name in before} == before
    assert str(folder / "junit.xml") in told.output.splitlines()
