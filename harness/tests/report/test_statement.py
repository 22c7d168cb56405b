"""What is said of a run, and of which runs nothing is said."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as Message

from harness.report.ledger import Ledger, LedgerProblem, Verdict, WaiverLine
from harness.report.statement import NotSignable, statement

from .ledgers import CONTRACT, SCENARIOS, ledger

DIGEST = "9" * 64


def test_the_subjects_are_the_images_that_ran() -> None:
    made = statement(ledger(), CONTRACT, DIGEST)

    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["subject"] == [
        {"name": "registry.example/platform/machine:1", "digest": {"sha256": "1" * 64}}
    ]


def test_the_predicate_is_a_test_result_by_its_specification() -> None:
    made = statement(ledger(verdicts={SCENARIOS[1]: Verdict.NOT_APPLICABLE}), CONTRACT, DIGEST)

    message = ParseDict(made["predicate"], Message(), ignore_unknown_fields=True)

    assert made["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert (message.result, list(message.warned_tests), list(message.failed_tests)) == ("PASSED", [], [])
    assert list(message.passed_tests) == [name for name in SCENARIOS if name != SCENARIOS[1]]
    assert {each.name: dict(each.digest) for each in message.configuration} == {
        "ledger.jsonl": {"sha256": DIGEST},
        "contract": {"sha256": CONTRACT.digest},
        "harness": {"gitCommit": "4" * 40},
        "template minimal": {"sha256": "2" * 64, "gitCommit": "3" * 40},
    }


def test_the_run_is_described() -> None:
    run = statement(ledger(verdicts={SCENARIOS[1]: Verdict.NOT_APPLICABLE}), CONTRACT, DIGEST)["predicate"][
        "workspaceConformance"
    ]

    assert (run["run"], run["implementation"], run["implementationVersion"]) == ("abc", "platform", "2026.1")
    assert (run["contract"], run["contractDigest"]) == (CONTRACT.revision, CONTRACT.digest)
    assert (run["harnessVersion"], run["harnessCommit"]) == ("0.1.0", "4" * 40)
    assert run["seeds"] == {"--examples": "ci", "--randomly-seed": "7"}
    assert run["environment"]["python"] == "3.11.7"
    assert run["notApplicableTests"] == [SCENARIOS[1]]
    assert set(run["requirements"]) == set(CONTRACT.requirements)
    assert (run["requirements"]["BND-1"], run["requirements"]["BND-2"]) == ("pass", "not applicable")
    assert (run["runtime"], run["transports"], run["waivers"], run["notes"]) == ("docker", ["git"], [], [])


def test_the_same_ledger_makes_the_same_statement() -> None:
    assert statement(ledger(), CONTRACT, DIGEST) == statement(ledger(), CONTRACT, DIGEST)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (ledger(verdicts={SCENARIOS[0]: Verdict.FAIL}), "BND-1 does not hold"),
        (ledger(verdicts={SCENARIOS[0]: Verdict.COULD_NOT_RUN}), "test_a could not run"),
        (ledger(footer={"interrupted": True}), "the run was interrupted"),
        (ledger(footer={"defects": ["it leaked"]}), "it leaked"),
        (ledger(footer={"expected": 9}), "8 of 9 scenarios"),
        (ledger(selection="-k restart"), "the run was narrowed; leave out: -k restart"),
        (ledger(mutant="volume-reused"), "judged was the mutant volume-reused"),
        (ledger(shard="1/4"), "it is shard 1/4 only"),
        (ledger(runtime="process", images=[]), "machines ran on the runtime `process`"),
        (ledger(harness_commit=None), "its harness was in no git checkout"),
        (ledger(harness_changes=["a.py"]), "its harness was dirty: a.py not as in commit"),
        (ledger(harness_changes=list("abcde")), "its harness was dirty: a, b, c and 2 more not as in commit"),
        (ledger(images=[]), "its ledger does not say what was judged"),
        (ledger(seeds={"--examples": "dev"}), "its generated examples were those of the profile dev, which"),
        (ledger(seeds={}), "its generated examples were those of the profile dev"),
    ],
)
def test_of_a_run_that_proves_nothing_there_is_no_statement(run: Ledger, reason: str) -> None:
    with pytest.raises(NotSignable) as refused:
        statement(run, CONTRACT, DIGEST)

    assert str(refused.value).startswith(f"run abc is not signed: {reason}")
    assert "\n" not in str(refused.value)


def test_a_run_that_was_judged_by_other_words_is_refused() -> None:
    with pytest.raises(LedgerProblem, match="run abc was judged by other words than these"):
        statement(ledger(contract_digest="0" * 64), CONTRACT, DIGEST)


def test_what_is_waived_is_said_and_warned_of() -> None:
    waiver = WaiverLine("", "it_holds", "It is being mended", "Ada", "https://issues.example/7", "2026-06-30")
    run = ledger(verdicts={SCENARIOS[0]: Verdict.WAIVED}, waivers=(waiver,))

    predicate = statement(run, CONTRACT, DIGEST)["predicate"]

    assert (predicate["result"], predicate["warnedTests"]) == ("WARNED", [SCENARIOS[0]])
    assert predicate["passedTests"] == list(SCENARIOS[1:])
    assert predicate["workspaceConformance"]["requirements"]["BND-1"] == "waived"
    assert predicate["workspaceConformance"]["waivers"] == [str(waiver)]
    assert predicate["workspaceConformance"]["notes"] == [f"waived, {len(failed(run))}: {waiver}"]


def failed(run: Ledger) -> list[str]:
    return [line.requirement for line in run.checks if line.scenario == SCENARIOS[0]]
