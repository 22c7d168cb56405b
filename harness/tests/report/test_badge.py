"""A badge is green for a whole run that conforms, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.ledger import Ledger, Verdict
from harness.tests.report.ledgers import CONTRACT, SCENARIOS, ledger

FAILING = {SCENARIOS[0]: Verdict.FAIL}


def badge(*words: str | Path) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["badge", *map(str, words)])
    return told.exit_code, told.output


@pytest.mark.parametrize(
    ("run", "message", "colour"),
    [
        (ledger(), "conforms", "brightgreen"),
        (ledger(selection="-k one"), "incomplete", "yellow"),
        (ledger(runtime="process"), "incomplete", "yellow"),
        (ledger(footer={"interrupted": True}), "incomplete", "yellow"),
        (ledger(verdicts=FAILING), "fails", "red"),
        (ledger(footer={"defects": ["it leaked"]}), "harness broke", "red"),
        (ledger(verdicts=dict.fromkeys(SCENARIOS, Verdict.COULD_NOT_RUN)), "nothing ran", "red"),
    ],
)
def test_it_says_what_the_run_came_to_and_by_which_contract(
    tmp_path: Path, run: Ledger, message: str, colour: str
) -> None:
    run.write(tmp_path / "ledger.jsonl")

    status, said = badge(tmp_path)

    assert (status, said.split()) == (0, [str(tmp_path / "badge.svg"), str(tmp_path / "badge.json")])
    told = json.loads((tmp_path / "badge.json").read_text())
    whole = f"{message}, contract {CONTRACT.revision}"
    assert (told["schemaVersion"], told["label"], told["message"], told["color"]) == (
        1, "conformance", whole, colour,
    )  # fmt: skip
    drawn = ET.parse(tmp_path / "badge.svg").getroot()
    assert drawn.attrib["aria-label"] == f"conformance: {whole}"
    assert [each.text for each in drawn.iter() if each.text and each.text.strip()] == [
        f"conformance: {whole}", "conformance", whole,
    ]  # fmt: skip


def test_a_cut_ledger_turns_a_green_badge_red(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger().write(path)
    badge(path, "--out", tmp_path / "shown")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    status, said = badge(path, "--out", tmp_path / "shown")

    assert status == 3
    assert "no footer" in said
    told = json.loads((tmp_path / "shown" / "badge.json").read_text())
    assert (told["message"], told["color"]) == ("no verdict", "red")
    assert "no verdict" in (tmp_path / "shown" / "badge.svg").read_text()


def test_without_a_ledger_there_is_none(tmp_path: Path) -> None:
    status, said = badge(tmp_path / "nothing.jsonl", "--out", tmp_path / "shown")

    assert status == 4
    assert "no such ledger" in said
    assert not (tmp_path / "shown").exists()
