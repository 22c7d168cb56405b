"""What is derived from a ledger for CI and for reviewers says what the ledger says, whatever is in it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.report.junit import VERDICT, junit
from harness.report.ledger import Ledger, Verdict
from harness.report.summary import summary
from harness.report.views import write_views

from .runs import CONTRACT, SCENARIO, check, run, scenario, waiver

OTHER = "scenarios/test_it.py::test_another"
FAILED = run(
    [
        check(verdict=Verdict.FAIL, problems=["config.yaml: missing"]),
        check("ISO-1", Verdict.WAIVED, OTHER, problems=["read it"]),
    ],
    [
        scenario(
            verdict=Verdict.FAIL, reason="HEAL-1 does not hold\nMUST: a <b> & ```c```", blame="implementation"
        ),
        scenario(OTHER, Verdict.WAIVED),
        scenario(f"{OTHER}_one", Verdict.COULD_NOT_RUN, "could not run: no strace here"),
        scenario(f"{OTHER}_two", Verdict.COULD_NOT_RUN, "KeyError: 'i-1'", blame="harness"),
        scenario(f"{OTHER}_three", Verdict.NOT_APPLICABLE, "not applicable: not claimed"),
    ],
    [waiver("ISO-1")],
)


def cases(ledger: Ledger) -> dict[str, ET.Element]:
    """The test cases of its JUnit file, by name."""
    root = ET.fromstring(junit(ledger, CONTRACT))
    return {str(case.get("name")): case for case in root.iter("testcase")}


def properties(case: ET.Element, name: str) -> list[str | None]:
    return [each.get("value") for each in case.iter("property") if each.get("name") == name]


def test_each_scenario_is_a_test_case_that_ends_as_it_did() -> None:
    found = cases(FAILED)

    endings = {
        name: [each.tag for each in case if each.tag in {"failure", "error", "skipped"}]
        for name, case in found.items()
    }
    assert endings == {
        "test_it[minimal-git]": ["failure"],
        "test_another": [],
        "test_another_one": ["skipped"],
        "test_another_two": ["error"],
        "test_another_three": ["skipped"],
        VERDICT: ["failure"],
    }
    case = found["test_it[minimal-git]"]
    assert case.get("classname") == "scenarios.test_it"
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "HEAL-1 does not hold"
    assert failure.text == "HEAL-1 does not hold\nMUST: a <b> & ```c```"
    assert "HEAL-1" in properties(case, "requirement")
    assert properties(case, "reproduce") == [f"pytest '{SCENARIO}'"]


def test_the_counts_of_a_junit_file_are_those_of_its_cases() -> None:
    (suite,) = ET.fromstring(junit(FAILED, CONTRACT))

    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "6", "failures": "2", "errors": "1", "skipped": "2", "time": "7.500"}
    assert suite.find("properties/property[@name='outcome']").attrib["value"] == "fails"  # type: ignore[union-attr]


def test_what_is_waived_is_told_of_its_case_and_of_the_run() -> None:
    found = cases(FAILED)

    assert found["test_another"].findtext("system-out") == "waived: ISO-1 iso_1_holds: read it"
    assert "owner Ada, until 2026-06-30" in str(found[VERDICT].findtext("system-out"))


@pytest.mark.parametrize(
    ("ledger", "ending"),
    [
        (run(runtime="process"), "skipped"),
        (run(footer={"defects": ["it leaked"]}), "error"),
        (run(waivers=[waiver()]), "failure"),
    ],
)
def test_a_run_of_which_every_scenario_passed_is_not_green_where_it_does_not_conform(
    ledger: Ledger, ending: str
) -> None:
    assert cases(ledger)[VERDICT].find(ending) is not None


def test_a_run_that_conforms_has_a_green_verdict() -> None:
    assert [each.tag for each in cases(run())[VERDICT]] == []


def test_what_no_xml_may_hold_is_replaced() -> None:
    odd = "a \x00 b \x1b[31m \ud800 \ufffe c"
    ledger = run(scenarios=[scenario("scenarios/test_it.py::test_it[\x07]", Verdict.FAIL, odd)])

    failure = cases(ledger)["test_it[\ufffd]"].find("failure")

    assert failure is not None
    assert failure.text == "a \ufffd b \ufffd[31m \ufffd \ufffd c"


def test_a_summary_begins_with_the_outcome_and_its_reasons_and_names_the_worst_first() -> None:
    lines = summary(FAILED, CONTRACT).splitlines()

    assert lines[0] == "## Conformance: fails"
    assert "5 of 5 scenarios" in lines[2]
    assert lines[4] == "- HEAL-1 does not hold: heal_1_holds, in test_it[minimal-git]"
    assert any("waived" in line and "owner Ada" in line for line in lines)
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert rows[0].startswith("| HEAL-1 | **fail** | 1 fail | MUST:")
    assert rows[1].startswith("| ISO-1 | **waived** | 1 waived |")
    assert len(rows) == len(CONTRACT.requirements)


def test_a_summary_shows_each_bad_scenario_with_its_command_and_nothing_of_it_is_taken_for_markup() -> None:
    text = summary(FAILED, CONTRACT)

    (_, first, second) = text.split("<details>\n")
    assert f"pytest '{SCENARIO}'" in first
    assert first.count("````") == 2, "a fence that its content cannot end"
    assert "KeyError" in second
    odd = run(scenarios=[scenario("scenarios/t.py::t[<script>|]", Verdict.FAIL, "no")])
    assert "<script>" not in summary(odd, CONTRACT).partition("```")[0]


def test_views_are_written_over_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text("stale")

    written = write_views(tmp_path, FAILED, CONTRACT)

    assert {path.name for path in written} == {"junit.xml", "summary.md", "index.html", "allure-results"}
    assert all(path.exists() for path in written)
    assert (tmp_path / "junit.xml").read_text() == junit(FAILED, CONTRACT)
