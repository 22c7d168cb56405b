"""The labelled set holds what it says it holds, and the reference does not get worse on it unnoticed."""

from __future__ import annotations

from .labelled import judge


def test_nothing_harmless_is_refused_and_of_what_is_live_only_what_no_format_shows_is_missed() -> None:
    outcome = judge()

    assert outcome.refused == ()
    assert [each for each in outcome.missed if not each.startswith("hard: ")] == []
    assert len(outcome.found) + len(outcome.missed) >= 150
    assert len(outcome.passed) >= 190
    assert outcome.precision == 1.0
    assert 0.95 <= outcome.recall < 1.0
