"""A ledger is believed only when it is whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from harness.report.ledger import (
    BrokenLedger,
    CheckLine,
    Header,
    Ledger,
    LedgerProblem,
    ScenarioLine,
    Verdict,
    WaiverLine,
    Writer,
    verdicts_by_requirement,
)


def header() -> Header:
    return Header(
        run="abc", started="2026-01-01T00:00:00+00:00", contract="1.0", contract_digest="0" * 64,
        implementation="reference", implementation_version="0.1.0", harness_version="0.1.0", runtime="process",
        transports=["git"], templates=["minimal"], environment={},
    )  # fmt: skip


def check(requirement: str, verdict: Verdict) -> CheckLine:
    return CheckLine("test_it", "provision", f"{requirement.lower()}_holds", requirement, verdict.value, "it")


def scenario(verdict: Verdict) -> ScenarioLine:
    return ScenarioLine(
        "test_it", verdict.value, "", ["provision 1.0 s"], 0, {"total": 1.0}, "pytest it", "main"
    )


WAIVER = WaiverLine("BND-2", "", "It is being mended", "Ada", "https://issues.example/7", "2026-06-30")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "ledger.jsonl"
    writer = Writer(path, header(), [WAIVER])
    writer.add(asdict(check("BND-1", Verdict.PASS)))
    writer.add(asdict(scenario(Verdict.PASS)))
    writer.close(writer.footer(finished="2026-01-01T00:01:00+00:00", expected=1))
    return path


def test_what_was_written_is_read(path: Path) -> None:
    ledger = Ledger.read(path)

    assert ledger.header == header()
    assert ledger.checks == (check("BND-1", Verdict.PASS),)
    assert ledger.scenarios == (scenario(Verdict.PASS),)
    assert ledger.waivers == (WAIVER,)
    assert (ledger.footer.checks, ledger.footer.scenarios) == ({"pass": 1}, {"pass": 1})
    assert ledger.footer.expected == 1


def test_a_ledger_without_its_footer_is_of_a_broken_run(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))

    with pytest.raises(BrokenLedger, match="no footer: the run broke"):
        Ledger.read(path)


def test_a_ledger_cut_within_a_line_is_refused(path: Path) -> None:
    path.write_text(path.read_text()[:-20])

    with pytest.raises(BrokenLedger, match="not JSON lines"):
        Ledger.read(path)


def test_a_ledger_without_its_header_is_none(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))

    with pytest.raises(LedgerProblem, match="no header"):
        Ledger.read(path)


def test_a_line_that_the_harness_does_not_write_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace('"saw":', '"heard":'))

    with pytest.raises(BrokenLedger, match="not what this harness writes"):
        Ledger.read(path)


@pytest.mark.parametrize("line", ['{"kind":"header"}', '{"kind":"footer"}', '{"kind":"note"}', "7", "{}"])
def test_a_line_that_does_not_belong_in_the_middle_is_refused(path: Path, line: str) -> None:
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, f"{line}\n", *others]))

    with pytest.raises(BrokenLedger, match="in its middle"):
        Ledger.read(path)


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerProblem, match="no such ledger"):
        Ledger.read(tmp_path / "nothing.jsonl")


def test_a_second_run_does_not_write_over_the_first(path: Path) -> None:
    with pytest.raises(FileExistsError):
        Writer(path, header())


def test_one_failure_outweighs_every_pass() -> None:
    lines = [check("BND-1", Verdict.PASS), check("BND-1", Verdict.FAIL), check("BND-1", Verdict.PASS)]
    lines += [check("BND-2", Verdict.PASS), check("BND-2", Verdict.COULD_NOT_RUN)]
    lines += [check("BND-3", Verdict.PASS), check("BND-3", Verdict.NOT_APPLICABLE)]
    lines += [check("BND-5", Verdict.WAIVED), check("BND-5", Verdict.PASS)]

    verdicts = verdicts_by_requirement(lines, ["BND-1", "BND-2", "BND-3", "BND-4", "BND-5"])

    assert {name: verdict for name, (verdict, _) in verdicts.items()} == {
        "BND-1": Verdict.FAIL,
        "BND-2": Verdict.COULD_NOT_RUN,
        "BND-3": Verdict.PASS,
        "BND-4": Verdict.NOT_EXERCISED,
        "BND-5": Verdict.WAIVED,
    }
