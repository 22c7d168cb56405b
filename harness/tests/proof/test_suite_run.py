"""What a run's folder says of it besides its ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.proof.suite_run import OUTPUT, SuiteRun
from harness.report.ledger import Ledger, Verdict, Writer

from .invented import ledger

LIVED = [{"principal": "assumed-role/molecule-tenant-x/i-1"}]
PROVISIONER_ONLY = [{"principal": "provisioner"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / OUTPUT).write_text("==== 1 failed in 3 s ====\n")
    return tmp_path


def left(folder: Path, of: Ledger) -> None:
    writer = Writer(folder / "1a2b" / "ledger.jsonl", of.header)
    for line in [*map(asdict, of.checks), *map(asdict, of.scenarios)]:
        writer.add(line)
    writer.close(writer.footer(finished="now", expected=None))


def kept(folder: Path, console: str, calls: Iterable[dict[str, str]], scenario: str = "a") -> None:
    artifacts = folder / "1a2b" / "artifacts" / scenario
    artifacts.mkdir(parents=True)
    (artifacts / "console-i-1.txt").write_text(console)
    (artifacts / "aws-calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    (artifacts / "template-requests.jsonl").write_text("")


def test_a_run_whose_overlay_was_laid_and_whose_machine_lived(folder: Path) -> None:
    left(folder, ledger({"a": (Verdict.FAIL, [])}))
    kept(folder, "mutant applied to reference.boot.main\nINFO boot 1\nTypeError: later\n", LIVED)

    run = SuiteRun.read(folder)

    assert run.ledger is not None
    assert run.ledger.scenarios[0].scenario == "a"
    assert (run.applied, run.does_not_apply, run.dead, run.problem) == (True, "", "", "")


def test_an_overlay_that_no_longer_applies_is_told_by_a_console(folder: Path) -> None:
    kept(folder, "mutant does not apply: reference.x:y is not there to be replaced\n", PROVISIONER_ONLY)

    assert SuiteRun.read(folder).does_not_apply == "reference.x:y is not there to be replaced"


def test_machines_that_asked_for_nothing_were_dead(folder: Path) -> None:
    kept(
        folder,
        "mutant applied to reference.boot.main\nTraceback (most recent call last):\nTypeError: two arguments\n",
        PROVISIONER_ONLY,
    )

    assert (
        SuiteRun.read(folder).dead == "every machine dies before it does anything: TypeError: two arguments"
    )


def test_a_machine_that_was_taken_away_before_it_asked_for_anything_did_not_die(folder: Path) -> None:
    kept(folder, "mutant applied to reference.boot.main\nINFO boot 1\n", PROVISIONER_ONLY)

    assert SuiteRun.read(folder).dead == ""


def test_one_machine_that_lived_is_enough(folder: Path) -> None:
    kept(folder, "Traceback (most recent call last):\nTypeError\n", PROVISIONER_ONLY, "a")
    kept(folder, "INFO boot 1\n", LIVED, "b")

    assert SuiteRun.read(folder).dead == ""


def test_a_machine_that_asked_the_template_host_lived(folder: Path) -> None:
    kept(folder, "INFO\n", PROVISIONER_ONLY)
    (folder / "1a2b" / "artifacts" / "a" / "template-requests.jsonl").write_text("{}\n")

    assert SuiteRun.read(folder).dead == ""


def test_a_provisioner_that_never_answers_is_dead_and_its_last_words_are_told(folder: Path) -> None:
    reason = "the provisioner does not answer /healthz; the end of its log:\nTraceback:\nNameError: x\n"
    left(folder, ledger({"a": (Verdict.COULD_NOT_RUN, [])}, reasons={"a": reason}))

    assert SuiteRun.read(folder).dead == "the provisioner dies at its start: NameError: x"


def test_an_overlay_that_cannot_be_loaded_is_dead(folder: Path) -> None:
    (folder / OUTPUT).write_text("mutant cannot be loaded: SyntaxError: invalid syntax\n")

    assert SuiteRun.read(folder).dead == "its overlay cannot be loaded: SyntaxError: invalid syntax"


def test_without_a_ledger_the_last_words_of_pytest_say_why(folder: Path) -> None:
    (folder / OUTPUT).write_text("collected 3 items / 3 deselected\n\n==== 3 deselected in 0.1s ====\n")

    run = SuiteRun.read(folder)

    assert (run.ledger, run.problem) == (None, "no scenario ran: 3 deselected in 0.1s")


def test_a_ledger_without_its_footer_is_not_believed(folder: Path) -> None:
    left(folder, ledger({"a": (Verdict.FAIL, [])}))
    path = folder / "1a2b" / "ledger.jsonl"
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[:-1]))

    run = SuiteRun.read(folder)

    assert run.ledger is None
    assert "no footer" in run.problem
