"""Shards are joined into the run that they are parts of, or it is said which two do not fit and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.report.conclusion import Outcome, conclude
from harness.report.ledger import Ledger, Verdict, WaiverLine
from harness.report.merge import MergeProblem, merge
from harness.report.shard import population

from .ledgers import CONTRACT, IMAGE, SCENARIOS, ledger, shards


def test_shards_come_to_what_the_whole_comes_to() -> None:
    merged, whole = merge(shards()[::-1]), ledger()

    assert in_order(merged) == in_order(whole)
    assert (merged.footer.scenarios, merged.footer.checks) == (whole.footer.scenarios, whole.footer.checks)
    assert conclude(merged, CONTRACT) == conclude(whole, CONTRACT)
    assert conclude(merged, CONTRACT).signable


def test_a_shard_alone_is_incomplete_and_says_so() -> None:
    conclusion = conclude(shards()[1], CONTRACT)

    assert conclusion.outcome is Outcome.INCOMPLETE
    assert conclusion.reasons == ["it is shard 2/4 only; join all of them with harness merge"]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.COULD_NOT_RUN, Verdict.NOT_APPLICABLE])
def test_what_one_shard_comes_to_the_run_comes_to(verdict: Verdict) -> None:
    bad = {SCENARIOS[1]: verdict}

    assert conclude(merge(shards(verdicts=bad)), CONTRACT) == conclude(ledger(verdicts=bad), CONTRACT)


def test_a_shard_that_was_interrupted_or_in_which_the_harness_broke_is_not_forgotten() -> None:
    parts = shards()
    parts[2] = with_footer(parts[2], interrupted=True, defects=["it leaked"])

    footer = merge(parts).footer

    assert footer.interrupted
    assert footer.defects == ["shard 3/4 (run run3): it leaked"]


def test_the_header_says_what_it_was_merged_from() -> None:
    parts = shards(2)
    parts[1] = with_header(
        parts[1],
        started="2025-12-31T00:00:00+00:00",
        environment={"python": "3.12.1", "arguments": "scenarios", "cores": "2"},
        images=[IMAGE.replace("1" * 64, "5" * 64)],
        harness_changes=["scenarios/test_a.py"],
    )

    header = merge(parts).header

    assert (header.shard, header.shards, len(header.run)) == (None, ["run1", "run2"], 8)
    assert header.started == "2025-12-31T00:00:00+00:00"
    assert header.environment == {"python": "3.11.7; 3.12.1", "arguments": "scenarios", "cores": "2"}
    assert header.images == [IMAGE, IMAGE.replace("1" * 64, "5" * 64)]
    assert header.harness_changes == ["scenarios/test_a.py"]


def test_the_merged_ledger_can_be_written_and_read(tmp_path: Path) -> None:
    merged = merge(shards())
    merged.write(tmp_path / "run" / "ledger.jsonl")

    assert Ledger.read(tmp_path / "run" / "ledger.jsonl") == merged


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"implementation": "other"}, "implementation (platform 2026.1, and other 2026.1)"),
        ({"implementation_version": "2026.2"}, "implementation (platform 2026.1, and platform 2026.2)"),
        ({"mutant": "bad"}, "mutant (none, and bad)"),
        ({"contract_digest": "0" * 64}, "contract ("),
        ({"harness_version": "9"}, "harness version (0.1.0, and 9)"),
        ({"harness_commit": None}, "harness commit ("),
        ({"runtime": "process"}, "runtime (docker, and process)"),
        ({"transports": ["archive"]}, "transports (git, and archive)"),
        ({"template_digests": {"minimal": "0" * 64}}, "templates ("),
        ({"strict": True}, "strictness (none, and True)"),
        ({"selection": "-k restart"}, "selection (none, and -k restart)"),
        ({"source": "6" * 64}, "source (none, and 666"),
        ({"images": ["other:1@sha256:" + "1" * 64]}, "images ("),
        ({"timings": "7" * 64}, "timings (none, and 777"),
        ({"seeds": {"--examples": "dev"}}, "examples (ci, and dev)"),
    ],
)
def test_shards_of_different_runs_are_refused(change: dict[str, Any], what: str) -> None:
    parts = shards()
    parts[2] = with_header(parts[2], **change)

    assert refused(parts).startswith(f"shard 1/4 (run run1) and shard 3/4 (run run3) differ in their {what}")


def other_scenarios(parts: list[Ledger]) -> None:
    parts[3] = with_footer(parts[3], population=population(["another"]))


def other_waivers(parts: list[Ledger]) -> None:
    parts[3] = replace(
        parts[3], waivers=(WaiverLine("HEAL-1", "", "It is being mended", "Ada", "7", "2026-06-30"),)
    )


def a_scenario_twice(parts: list[Ledger]) -> None:
    parts[1] = replace(parts[1], scenarios=parts[1].scenarios + parts[0].scenarios[:1])


def stopped_early(parts: list[Ledger]) -> None:
    parts[0] = replace(parts[0], scenarios=parts[0].scenarios[:1])


def given_twice(parts: list[Ledger]) -> None:
    parts.append(parts[0])


def run_again(parts: list[Ledger]) -> None:
    parts.append(with_header(parts[0], run="again"))


def one_left_out(parts: list[Ledger]) -> None:
    del parts[1]


def of_another_split(parts: list[Ledger]) -> None:
    parts[1] = with_header(parts[1], shard="2/5")


def a_whole_run(parts: list[Ledger]) -> None:
    parts[1] = ledger(run="whole")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            other_scenarios,
            "shard 1/4 (run run1) and shard 4/4 (run run4) differ in their scenarios to be split (",
        ),
        (
            other_waivers,
            "shard 1/4 (run run1) and shard 4/4 (run run4) differ in their waivers (none, and HEAL-1",
        ),
        (a_scenario_twice, f"{SCENARIOS[0]} is in shard 1/4 (run run1) and in shard 2/4 (run run2)"),
        (stopped_early, "the 4 shards together are not all the scenarios that were to be split"),
        (given_twice, "run run1 is given 2 times"),
        (run_again, "shard 1/4 (run run1) and shard 1/4 (run again) are the same shard"),
        (one_left_out, "no ledger is given of shard 2/4"),
        (of_another_split, "shard 1/4 (run run1) and shard 2/5 (run run2) are of different splits"),
        (a_whole_run, "run whole is no shard: it was made without --shard"),
    ],
)
def test_what_is_not_one_whole_is_refused(spoil: Callable[[list[Ledger]], None], reason: str) -> None:
    parts = shards()
    spoil(parts)

    assert refused(parts).startswith(reason)


def refused(parts: list[Ledger]) -> str:
    """Why: one line."""
    with pytest.raises(MergeProblem) as problem:
        merge(parts)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def with_header(ledger: Ledger, **change: Any) -> Ledger:
    return replace(ledger, header=replace(ledger.header, **change))


def with_footer(ledger: Ledger, **change: Any) -> Ledger:
    return replace(ledger, footer=replace(ledger.footer, **change))


def in_order(ledger: Ledger) -> list[str]:
    """Its lines, whatever order they came in."""
    return sorted(map(str, (*ledger.scenarios, *ledger.checks)))
