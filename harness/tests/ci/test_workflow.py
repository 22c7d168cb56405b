"""The CI files do what they say: their steps are run here as they are written."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.report.ledger import Ledger, Verdict
from harness.tests.report.ledgers import SCENARIOS, shards

ROOT = Path(__file__).parents[3]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/conformance.yml").read_text())
ACTION = yaml.safe_load((ROOT / ".github/actions/conformance/action.yml").read_text())
JOBS = WORKFLOW["jobs"]
PROOF = yaml.safe_load((ROOT / ".github/workflows/proof.yml").read_text())["jobs"]
EVERY_STEP = [
    *ACTION["runs"]["steps"],
    *(step for job in (*JOBS.values(), *PROOF.values()) for step in job["steps"]),
]
ENDS = ("success", "failure", "skipped", "cancelled", "")


def step(steps: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (each for each in steps if each["name"] == name)
    return found


def run(step: Mapping[str, Any], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a runner does, which puts values in the place of expressions: here by the names of the variables."""
    unset = {name for name in step.get("env", {}) if name not in environment}
    assert not unset, unset
    assert "${{" not in step["run"]
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder / step.get("working-directory", "."),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def commands() -> Iterator[list[str]]:
    """Every command of the environment that a step runs, without what the shell has yet to fill in."""
    for each in EVERY_STEP:
        for line in each.get("run", "").splitlines():
            if "/bin/harness" in line:
                yield shlex.split(line)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A runner's workspace, with a harness in it whose pytest only says what it was given."""
    programs = tmp_path / "conformance" / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "harness").write_text(f"#!{sys.executable}\nfrom harness.cli import main\nmain()\n")
    (programs / "pytest").write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    (tmp_path / "conformance/.github/actions/conformance").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("ends", list(itertools.product(ENDS, repeat=2)))
def test_the_job_to_require_is_green_only_if_all_before_it_succeeded(
    tmp_path: Path, ends: tuple[str, str]
) -> None:
    sentinel = JOBS["conformance"]

    done = run(sentinel["steps"][0], tmp_path, LANES=ends[0], VERDICT=ends[1])

    assert (done.returncode == 0) is (ends == ("success", "success"))
    assert f"lanes: {ends[0]}; verdict: {ends[1]}" in done.stdout


def test_the_job_to_require_always_runs_and_waits_for_every_other() -> None:
    sentinel = JOBS["conformance"]
    shown = re.findall(r"needs\.(\w+)\.result", " ".join(sentinel["steps"][0]["env"].values()))

    assert sentinel["if"] == "always()"
    assert set(sentinel["needs"]) == set(shown) == JOBS.keys() - {"conformance"}


def test_the_lanes_are_all_parts_of_one_whole_and_none_stops_another() -> None:
    lane = JOBS["lane"]
    lanes, judge = lane["strategy"]["matrix"]["lane"], step(lane["steps"], "Judge")

    assert lane["strategy"]["fail-fast"] is False
    assert lanes == list(range(1, len(lanes) + 1))
    assert judge["with"]["shard"] == f"${{{{ matrix.lane }}}}/{len(lanes)}"
    assert judge["uses"] == "./conformance/.github/actions/conformance"
    assert judge["with"].keys() <= ACTION["inputs"].keys()


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, ["--gate"]),
        ({"SHARD": "2/4"}, ["--shard", "2/4"]),
        (
            {"IMPLEMENTATION": "platform/implementation.toml", "OPTIONS": "-k\nrestart and minimal\n\n"},
            ["--implementation", "{workspace}/platform/implementation.toml", "--gate", "-k", "restart and minimal"],
        ),
    ],
)  # fmt: skip
def test_the_scenarios_are_run_as_asked(
    workspace: Path, given: dict[str, str], options: list[str], request: pytest.FixtureRequest
) -> None:
    action = workspace / "conformance/.github/actions/conformance"

    done = run(
        step(ACTION["runs"]["steps"], "Run the scenarios"), workspace,
        GITHUB_ACTION_PATH=str(action), GITHUB_WORKSPACE=str(workspace),
        **{"IMPLEMENTATION": "", "SHARD": "", "OPTIONS": "", **given},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout)
    assert asked[0] == "scenarios"
    assert asked[-len(options) :] == [each.format(workspace=workspace) for each in options]
    known = request.config._parser.parse_known_args(asked)
    assert (known.runtime, known.examples, known.reports) == ("docker", "ci", workspace / "reports")


def test_every_command_of_a_step_is_one_that_the_harness_has() -> None:
    from typer.main import get_command

    from harness.cli import app

    known: Any = get_command(app)
    found = list(commands())
    assert {words[1] for words in found} == {"doctor", "merge", "report", "badge", "sign", "prove"}
    for words in found:
        options = {name for each in known.commands[words[1]].params for name in each.opts}
        asked = re.findall(r"--[a-z-]+", " ".join(words[2:]))
        assert set(asked) <= options, words


def test_no_value_of_an_expression_is_a_part_of_a_script() -> None:
    """What others may choose, such as the name of a branch, would be run."""
    assert not [each["name"] for each in EVERY_STEP if "${{" in each.get("run", "")]


@pytest.mark.parametrize("lane", PROOF["night"]["strategy"]["matrix"]["lane"])
def test_each_lane_of_the_night_proves_what_it_says(
    workspace: Path, lane: str, request: pytest.FixtureRequest
) -> None:
    tools = workspace / "tools"
    tools.mkdir()
    (tools / "make").write_text('#!/bin/sh\necho "made $*"\n')
    (tools / "make").chmod(0o755)
    prove = {**step(PROOF["night"]["steps"], "Prove everything"), "working-directory": "conformance"}

    done = run(prove, workspace, LANE=lane, PATH=f"{tools}:{os.environ['PATH']}")

    assert done.returncode == 0, done.stderr
    if lane == "nightly":
        known = request.config._parser.parse_known_args(json.loads(done.stdout))
        assert (known.runtime, known.examples) == ("docker", "nightly")
    else:
        assert done.stdout == f"made {lane}\n"
        assert re.search(rf"^{lane}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_change_is_proven_since_what_it_comes_from() -> None:
    steps = PROOF["changed"]["steps"]

    assert steps[0]["with"]["fetch-depth"] == 0
    assert step(steps, "Prove what the change bears on")["env"]["BASE"].endswith("pull_request.base.sha }}")


class TestVerdict:
    """Of the whole, as its steps are written."""

    STEPS = JOBS["verdict"]["steps"]

    def lanes(self, workspace: Path, verdicts: Mapping[str, Verdict] | None = None) -> None:
        """What the lanes' artifacts are, once they are fetched."""
        for number, each in enumerate(shards(verdicts=verdicts), 1):
            each.write(workspace / f"lanes/conformance-{number}/{each.header.run}/ledger.jsonl")

    def show(self, workspace: Path) -> subprocess.CompletedProcess[str]:
        summary = workspace / "summary.md"
        return run(step(self.STEPS, "Show it"), workspace, GITHUB_STEP_SUMMARY=str(summary))

    def test_it_is_made_of_all_lanes_shown_and_signed(self, workspace: Path) -> None:
        self.lanes(workspace)

        judged = run(step(self.STEPS, "Judge the whole"), workspace)
        shown = self.show(workspace)

        assert (judged.returncode, shown.returncode) == (0, 0), judged.stderr + shown.stderr
        whole = workspace / "reports/whole"
        assert len(Ledger.read(whole / "ledger.jsonl").scenarios) == len(SCENARIOS)
        assert {each.name for each in whole.iterdir()} >= {"index.html", "badge.svg", "badge.json"}
        assert (workspace / "summary.md").read_text().startswith("## Conformance: conforms")
        key = workspace / "release.pem"
        harness = workspace / "conformance/.venv/bin/harness"
        subprocess.run([harness, "key", key], env={"PYTHONPATH": str(ROOT)}, check=True)
        signed = run(
            step(self.STEPS, "Sign a release"), workspace,
            CONFORMANCE_KEY=key.read_text(), HARNESS_KEY_PASSPHRASE="", TMPDIR=str(workspace / "lanes"),
        )  # fmt: skip
        assert signed.returncode == 0, signed.stderr
        assert (whole / "statement.json").exists()
        assert not list((workspace / "lanes").glob("tmp.*"))

    def test_without_a_key_nothing_is_signed_and_that_is_said(self, workspace: Path) -> None:
        done = run(
            step(self.STEPS, "Sign a release"), workspace, CONFORMANCE_KEY="", HARNESS_KEY_PASSPHRASE=""
        )

        assert done.returncode == 0
        assert "there is no secret CONFORMANCE_KEY, so nothing is signed" in done.stdout

    @pytest.mark.parametrize(("verdict", "status"), [(Verdict.FAIL, 1), (Verdict.COULD_NOT_RUN, 6)])
    def test_it_is_red_where_one_lane_is_and_shown_all_the_same(
        self, workspace: Path, verdict: Verdict, status: int
    ) -> None:
        self.lanes(workspace, {SCENARIOS[2]: verdict})

        assert run(step(self.STEPS, "Judge the whole"), workspace).returncode == status
        assert self.show(workspace).returncode == 0
        assert json.loads((workspace / "reports/whole/badge.json").read_text())["color"] != "brightgreen"

    def test_it_is_red_where_a_lane_left_nothing(self, workspace: Path) -> None:
        self.lanes(workspace)
        (workspace / "lanes/conformance-3/run3/ledger.jsonl").unlink()

        done = run(step(self.STEPS, "Judge the whole"), workspace)

        assert done.returncode == 4
        assert "no ledger is given of shard 3/4" in done.stderr

    def test_nothing_is_signed_but_a_tag_that_conforms(self) -> None:
        assert step(self.STEPS, "Sign a release")["if"] == "startsWith(github.ref, 'refs/tags/')"
