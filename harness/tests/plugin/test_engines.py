"""Several container engines share a run: who takes which, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.session import Choices, choose
from harness.tests.plugin.test_usage import ROOT, refused

ONE, TWO = "unix:///one.sock", "tcp://two.example:2375"


@pytest.fixture(scope="module")
def choices() -> Choices:
    return choose(
        runtime="process", implementation=None, mutant=None, advertise_host=None,
        templates=[], skills=[], fixtures=ROOT / "fixtures",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("worker", "engine"), [("main", ONE), ("gw0", ONE), ("gw1", TWO), ("gw2", ONE), ("gw11", TWO)]
)
def test_workers_take_the_engines_in_turn(choices: Choices, worker: str, engine: str) -> None:
    assert replace(choices, engines=(ONE, TWO)).engine_of(worker) == engine


def test_where_none_is_named_everybody_takes_that_of_the_environment(choices: Choices) -> None:
    assert {choices.engine_of(worker) for worker in ("main", "gw0", "gw1")} == {None}


def test_the_process_runtime_has_no_engine(tmp_path: Path) -> None:
    line = refused(tmp_path, "--engine", ONE, "--runtime", "process")

    assert (
        "--engine: machines of the process runtime are on no container engine; use --runtime docker" in line
    )


@pytest.mark.parametrize("address", [ONE, "tcp://127.0.0.1:9", "nonsense"])
def test_an_engine_that_does_not_answer_is_named_and_nothing_runs_elsewhere_instead(
    tmp_path: Path, address: str
) -> None:
    line = refused(tmp_path, "--engine", address)

    assert f"--engine {address}: no container engine answers at {address}" in line
    assert "start it, or leave out its --engine" in line


@pytest.mark.parametrize(
    ("workers", "complaint"),
    [("0", "names 3 engines, and 1 worker to use them"), ("2", "names 3 engines, and -n gives 2 workers")],
)
def test_no_engine_stands_idle(tmp_path: Path, needs_engine: None, workers: str, complaint: str) -> None:
    from harness.runtime.engine import address

    line = refused(tmp_path, "-n", workers, *["--engine", address()] * 3)

    assert complaint in line
    assert "give -n 3 or more, or name fewer engines" in line
