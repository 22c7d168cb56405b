"""Allure's results say what the ledger says, of every verdict, and hold nothing that the run itself did not keep."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.report.allure.attachments import LONGEST
from harness.report.allure.results import stable_id
from harness.report.allure.write import write_allure
from harness.report.artifacts import MACHINES, artifacts_of
from harness.report.junit import VERDICT
from harness.report.ledger import Ledger, Verdict

from .runs import CONTRACT, SCENARIO, check, run, scenario, waiver

OTHER = "scenarios/test_it.py::test_another"
FAILED = run(
    [
        check(verdict=Verdict.FAIL, problems=["config.yaml: missing"]),
        check("REC-5", universal=True),
        check("ISO-1", Verdict.WAIVED, OTHER, problems=["read it"]),
    ],
    [
        scenario(verdict=Verdict.FAIL, reason="HEAL-1 does not hold\nMUST: it", blame="implementation"),
        scenario(OTHER, Verdict.WAIVED),
        scenario(f"{OTHER}_one", Verdict.COULD_NOT_RUN, "could not run: no strace here"),
        scenario(f"{OTHER}_two", Verdict.COULD_NOT_RUN, "KeyError: 'i-1'", blame="harness"),
        scenario(f"{OTHER}_three", Verdict.COULD_NOT_RUN, "no answer", blame="implementation"),
        scenario(f"{OTHER}_four", Verdict.NOT_APPLICABLE, "not applicable: not claimed"),
        scenario(f"{OTHER}_five"),
    ],
    [waiver("ISO-1")],
    environment={"odd = key": "a\nb: \\ \N{SNOWMAN}\N{CLOWN FACE}"},
    seeds={"--examples": "ci"},
    images=["machine@sha256:1"],
)


def results(folder: Path, ledger: Ledger = FAILED) -> dict[str, dict[str, Any]]:
    """What was written, by name."""
    written = write_allure(ledger, CONTRACT, folder)
    read = (json.loads(path.read_text()) for path in written.glob("*-result.json"))
    return {each["name"]: each for each in read}


def labels(result: dict[str, Any], name: str) -> list[str]:
    return [each["value"] for each in result["labels"] if each["name"] == name]


def test_each_verdict_is_a_status_with_its_reason_and_a_category(tmp_path: Path) -> None:
    found = results(tmp_path)

    told = {
        name: (each["status"], each.get("statusDetails", {}).get("message")) for name, each in found.items()
    }
    assert told == {
        "test_it[minimal-git]": ("failed", "HEAL-1 does not hold"),
        "test_another": (
            "passed",
            "waived: ISO-1: It is being mended (owner Ada, until 2026-06-30, https://issues.example/7)",
        ),
        "test_another_one": ("skipped", "could not run: no strace here"),
        "test_another_two": ("broken", "could not run: KeyError: 'i-1'"),
        "test_another_three": ("failed", "could not run: no answer"),
        "test_another_four": ("skipped", "not applicable: not claimed"),
        "test_another_five": ("passed", None),
        VERDICT: ("failed", "fails: HEAL-1 does not hold: heal_1_holds, in test_it[minimal-git]"),
    }
    categories = json.loads((tmp_path / "allure-results" / "categories.json").read_text())

    def category(status: str, message: str | None) -> str | None:
        return next(
            (
                each["name"]
                for each in categories
                if status in each["matchedStatuses"]
                and re.fullmatch(each.get("messageRegex", ".*"), message or "", re.DOTALL)
            ),
            None,
        )

    assert {name: category(*each) for name, each in told.items()} == {
        "test_it[minimal-git]": "implementation failure",
        "test_another": "waived",
        "test_another_one": "could not run",
        "test_another_two": "harness broke",
        "test_another_three": "implementation failure",
        "test_another_four": "not applicable",
        "test_another_five": None,
        VERDICT: "implementation failure",
    }


def test_a_result_is_found_by_area_requirement_severity_and_suite_and_links_to_what_explains_it(
    tmp_path: Path,
) -> None:
    found = results(tmp_path)

    failed, waived = found["test_it[minimal-git]"], found["test_another"]
    assert labels(failed, "suite") == ["it"]
    assert f"HEAL: {CONTRACT.areas['HEAL']}" in labels(failed, "feature")
    assert "HEAL-1" in labels(failed, "story")
    assert "REC-5" not in labels(failed, "story"), "it is only looked at because it must always hold"
    assert labels(failed, "severity") == ["critical"]
    assert {(each["name"], each["value"]) for each in failed["parameters"]} == {
        ("template", "minimal"),
        ("transport", "git"),
    }
    assert {"type": "tms", "url": "index.html#HEAL-1", "name": "HEAL-1"} in failed["links"]
    assert f"    pytest '{SCENARIO}'" in failed["description"]
    assert waived["statusDetails"]["known"]
    assert "**Waived** ISO-1: It is being mended (owner Ada" in waived["description"]
    assert labels(waived, "owner") == ["Ada"]
    assert [each["url"] for each in waived["links"] if each["type"] == "issue"] == [
        "https://issues.example/7"
    ]


def test_a_scenario_that_is_only_about_what_should_hold_is_less_severe(tmp_path: Path) -> None:
    should = next(each.id for each in CONTRACT.requirements.values() if each.level == "SHOULD")
    ledger = run([check(should, scenario=OTHER)], [scenario(), scenario(OTHER)])

    assert labels(results(tmp_path, ledger)["test_another"], "severity") == ["normal"]


def test_boots_are_steps_with_their_seconds_and_what_was_judged_at_them(tmp_path: Path) -> None:
    at = {
        "restart (boot 2 of ws-1)": Verdict.FAIL,
        "provision (boot 1 of ws-1)": Verdict.PASS,
        "the end": Verdict.PASS,
    }
    checks = [
        check(verdict=verdict, problems=["gone"] if verdict is Verdict.FAIL else [], at=step)
        for step, verdict in at.items()
    ]
    acted = scenario(verdict=Verdict.FAIL, boots=["provision 1.0 s", "restart 0.5 s"])
    steps = results(tmp_path, run(checks, [acted]))["test_it[minimal-git]"]["steps"]

    assert [(each["name"], each["status"], each["stop"] - each["start"]) for each in steps[:3]] == [
        ("provision (boot 1 of ws-1)", "passed", 1000),
        ("restart (boot 2 of ws-1)", "failed", 500),
        ("the end", "passed", 0),
    ]
    (failed,) = steps[1]["steps"]
    assert failed["name"] == "HEAL-1 fail: heal_1_holds"
    assert failed["statusDetails"] == {"message": "HEAL-1: gone", "trace": "saw: what there was\n- gone"}
    assert [each["name"] for each in steps[0]["steps"]] == ["1 of 1 checks hold: HEAL-1"]


def test_a_scenario_is_found_again_in_another_run_however_it_ended(tmp_path: Path) -> None:
    name = "test_it[minimal-git]"
    before = results(tmp_path / "before", run(run="before", templates=["other"], transports=[]))[name]
    after = results(tmp_path / "after")[name]

    assert before["uuid"] != after["uuid"]
    assert before["historyId"] == after["historyId"] == stable_id(SCENARIO)
    assert before["testCaseId"] == after["testCaseId"]
    assert all(each["excluded"] for each in (*before["parameters"], *after["parameters"]))


def test_a_scenario_whose_teardown_failed_is_one_result_of_the_worse(tmp_path: Path) -> None:
    twice = [scenario(), scenario(verdict=Verdict.FAIL, reason="it leaked", blame="implementation")]

    found = results(tmp_path, run(scenarios=twice))

    assert len(list((tmp_path / "allure-results").glob("*-result.json"))) == 2
    assert found["test_it[minimal-git]"]["status"] == "failed"


def test_scenarios_of_one_worker_are_laid_one_behind_the_other(tmp_path: Path) -> None:
    found = results(tmp_path)

    first, second = found["test_it[minimal-git]"], found["test_another"]
    assert first["stop"] - first["start"] == 1500
    assert second["start"] == first["stop"]


def test_what_was_kept_is_attached_a_console_to_the_boot_that_wrote_it(tmp_path: Path) -> None:
    kept = artifacts_of(tmp_path, SCENARIO)
    kept.mkdir(parents=True)
    for name in ("status-ws-1.json", "volume-ws-1.txt", "aws-calls.jsonl", "template-requests.jsonl"):
        (kept / name).write_text(f"{name} as kept")
    (kept / "console-i-b.txt").write_text("first")
    (kept / "console-i-a.txt").write_bytes(b"x" * 2 * LONGEST + b"the end")
    (kept / MACHINES).write_text("i-b\ni-a\n")
    passed = artifacts_of(tmp_path, f"{OTHER}_five")
    passed.mkdir(parents=True)
    (passed / "provisioner.txt").write_text("nobody asks for it")
    acted = scenario(verdict=Verdict.FAIL, reason="no", boots=["provision 1.0 s", "restart 0.5 s"])

    result = results(tmp_path, run(scenarios=[acted, scenario(f"{OTHER}_five")]))["test_it[minimal-git]"]

    assert [each["name"] for each in result["attachments"]] == [
        "status and boot report of ws-1",
        "volume of ws-1",
        "AWS calls",
        "requests to the template host",
    ]
    consoles = [each["attachments"] for each in result["steps"][:2]]
    assert [each["name"] for console in consoles for each in console] == ["console of i-b", "console of i-a"]
    into = tmp_path / "allure-results"
    assert (into / result["attachments"][1]["source"]).read_text() == "volume-ws-1.txt as kept"
    last = (into / consoles[1][0]["source"]).read_bytes()
    assert (len(last), last[-7:]) == (LONGEST, b"the end")
    assert len(list(into.glob("*-attachment.*"))) == 6, "nothing of a scenario that passed"


@pytest.mark.parametrize("machines", ["", "i-b\n", "i-b\ni-c\n"])
def test_a_console_that_may_be_of_another_boot_is_attached_to_the_scenario(
    tmp_path: Path, machines: str
) -> None:
    kept = artifacts_of(tmp_path, SCENARIO)
    kept.mkdir(parents=True)
    (kept / "console-i-b.txt").write_text("it")
    (kept / "console-i-a.txt").write_text("it")
    (kept / MACHINES).write_text(machines)

    result = results(tmp_path, run(scenarios=[scenario(verdict=Verdict.FAIL)]))["test_it[minimal-git]"]

    assert [each["name"] for each in result["attachments"]] == ["console of i-a", "console of i-b"]


def test_the_set_of_files_is_well_formed_and_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "allure-results").mkdir()
    (tmp_path / "allure-results" / "stale-result.json").write_text("{}")
    odd = run(scenarios=[scenario(f"{OTHER}[\ud800-\x07]", Verdict.FAIL, "half \ud800\x1b[31m")])

    found = results(tmp_path, odd)

    assert set(found) == {"test_another[?-\x07]", VERDICT}
    for path in (tmp_path / "allure-results").iterdir():
        assert re.fullmatch(r"[0-9a-f-]{36}-result\.json|categories\.json|environment\.properties", path.name)
        assert path.read_text(encoding="utf-8")


def test_the_environment_is_told_and_nothing_in_it_ends_a_line(tmp_path: Path) -> None:
    lines = (write_allure(FAILED, CONTRACT, tmp_path) / "environment.properties").read_text().splitlines()

    told = dict(re.split(r"(?<!\\)=", line, maxsplit=1) for line in lines)
    assert told["implementation"] == "other\\ 3"
    assert told["image.1"] == "machine@sha256\\:1"
    assert told["seed.examples"] == "ci"
    assert told["odd\\ \\=\\ key"] == "a\\u000ab\\:\\ \\\\\\ \\u2603\\ud83e\\udd21"
