"""What a config or a front matter says, and what it may not be."""

from __future__ import annotations

import pytest

from harness.reference.boot.document import DocumentError, parse_mapping
from harness.reference.json_text import parse_json


def nested(levels: int) -> bytes:
    """A mapping with a list in it: so many levels of both."""
    return b"name: " + b"[" * (levels - 1) + b"]" * (levels - 1)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"name: \xff", "is not UTF-8"),
        (b"name: ok\nskills: [unclosed\n", "at line 3"),
        (b"- a list", "is no mapping"),
        (b"[a, b]: 1", "a key that is no text|unhashable"),
        (nested(101), "is nested more than 100 levels deep"),
        (nested(60_000), "is nested more than 100 levels deep"),
        (b"- " * 60_000 + b"x", "is nested more than 100 levels deep"),
        (b"[" * 60_000, "is nested more than 100 levels deep"),
    ],
    ids=["bytes", "syntax", "list", "key", "one level too many", "bottomless", "block by block", "without an end"],
)  # fmt: skip
def test_what_is_no_mapping_is_refused_by_its_rule(text: bytes, rule: str) -> None:
    with pytest.raises(DocumentError, match=rule):
        parse_mapping(text)


def test_what_lies_within_the_bound_is_read() -> None:
    assert parse_mapping(nested(100)).keys() == {"name"}


def test_json_without_a_bottom_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 60_000)
