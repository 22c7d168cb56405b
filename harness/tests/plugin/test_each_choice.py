"""Each template and each transport, without each with each."""

from __future__ import annotations

import pytest

from harness.plugin import each_choice


@pytest.mark.parametrize(
    ("values", "transports", "pairs"),
    [
        ("abc", ["git", "archive", "object"], ["a-git", "b-archive", "c-object"]),
        ("ab", ["git", "archive", "object"], ["a-git", "b-archive", "a-object"]),
        ("abcd", ["git"], ["a-git", "b-git", "c-git", "d-git"]),
    ],
)
def test_each_value_and_each_transport_is_there(values: str, transports: list[str], pairs: list[str]) -> None:
    assert [each.id for each in each_choice({each: each for each in values}, transports)] == pairs
