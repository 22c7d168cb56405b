"""What is taken for a credential: the contract's vectors, however the stream is cut, and at what cost."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from time import process_time

import pytest

from harness.contract.credentials import expand, load_formats
from harness.reference.credentials import BEHIND, REACH, RULES, recognised
from harness.reference.errors import BootError
from harness.reference.inspection import inspected

ROOT = Path(__file__).parents[3]
FORMATS = load_formats()
LIVE = [(name, vector) for name, each in FORMATS.items() for vector in each.live]
HARMLESS = [vector for each in FORMATS.values() for vector in each.harmless]
FILLERS = {
    # All but the first more than is looked at together, so that what stands before a cut is judged before the rest.
    "nothing": b"",
    "prose": b"The quick brown fox jumps over the lazy dog, see https://example.org/fox_and_dog.\n" * 820,
    "base64": b"iVBORw0KGgoAAAANSUhEUgAAAfQAAAH0CAYAAADL1t/KAAAACXBIWXMAAA7EAAAOxAGVKw4bAAAg" * 850 + b"\n",
    "noise": random.Random(9).randbytes(67_000),
}
CRAFTED = {
    **{f"only {literal!r}": literal for rule in RULES for literal in rule.literals},
    "ids of AWS keys": b"AKIAQ2W3E4R5T6Y7U2I3 ",
    "ids with what is no secret": b"AKIAQ2W3E4R5T6Y7U2I3 0123a5678b1234a6789012b4567890c234567890 ",
    "ids with weak secrets": b"AKIAQ2W3E4R5T6Y7U2I3 abcdefghijABCDEFGHIJabcdefghij0123456789 ",
    "tokens that are placeholders": b"ghp_abcdefghijklmnopqrstuvwxyz0123456789 ",
    "beginnings amid a token": b" glpat-" + b"a-" * 200,
    "marks amid a token": b" sk-proj-" + b"T3BlbkFJ" * 9,
    "keys without end": b"-----BEGIN PRIVATE KEY-----\n" + b"A: b\n" * 6,
    "keys of long headers": b"-----BEGIN PRIVATE KEY-----\n" + (b"A: " + b" " * 95 + b"\n" + b" " * 39) * 4,
    "keys of line breaks": b"-----BEGIN PRIVATE KEY-----" + b"\\n" * 41,
    "URLs without end": b"postgres://" + b"u" * 64 + b":" + b"a" * 130,
}


def finding(pieces: Iterable[bytes], secrets: tuple[bytes, ...] = ()) -> tuple[str, str] | None:
    """Code and message of the refusal; None where everything is given on, unaltered."""
    pieces = list(pieces)
    try:
        passed = b"".join(inspected("prompts/a.md", pieces, secrets))
    except BootError as refused:
        return refused.code, str(refused)
    assert passed == b"".join(pieces)
    return None


def cut(content: bytes, *sizes: int) -> Iterable[bytes]:
    """In pieces of these sizes, over and over."""
    at, turn = 0, 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        yield content[at : at + size]
        at, turn = at + size, turn + 1


def test_there_is_a_rule_for_each_format() -> None:
    assert {rule.name for rule in RULES} == set(FORMATS)


@pytest.mark.parametrize(("name", "vector"), LIVE)
def test_a_live_vector_is_refused_by_file_and_rule_and_never_by_value(name: str, vector: str) -> None:
    text, drawn = expand(vector)

    found = finding([f"\n{text}\n".encode()])

    assert found is not None
    code, message = found
    assert code == "credential-format-in-assets"
    assert "prompts/a.md" in message
    assert f"(rule {name})" in message
    assert any(word in message.lower() for word in FORMATS[name].words)
    assert not any(value in message for value in drawn)


@pytest.mark.parametrize("vector", HARMLESS)
def test_a_harmless_vector_passes(vector: str) -> None:
    assert finding([f"\n{expand(vector).text}\n".encode()]) is None


@pytest.mark.parametrize("filler", FILLERS)
def test_no_filler_is_taken_for_a_credential(filler: str) -> None:
    assert finding([FILLERS[filler]]) is None


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_credential_is_found_wherever_the_stream_is_cut(name: str, filler: str) -> None:
    text = f"\n{expand(FORMATS[name].live[0]).text}\n".encode()
    content = FILLERS[filler] + text + FILLERS[filler]
    middle = len(FILLERS[filler])

    for sizes in [(1 << 16, 7), (65_537,), (4096,)]:
        assert finding(cut(content, *sizes)) is not None
    for offset in range(0, len(text) + 1, 7):
        at = middle + offset
        assert finding([content[:at], content[at:]]) is not None


@pytest.mark.parametrize("offset", range(1, 45, 4))
def test_no_cut_makes_a_token_of_a_longer_word(offset: int) -> None:
    """36 letters of 300, or of a word that goes on before them, are no token; a cut may not end or begin a word."""
    long = expand("ghp_{alnum:300}").text.encode()
    inner = expand("xghp_{alnum:36}").text.encode()

    for word in (long, inner):
        content = bytes(1 << 16) + b" " + word + b" " + bytes(1 << 16)
        at = (1 << 16) + 1 + offset
        assert finding([content[:at], content[at:]]) is None
        assert finding(cut(content, at - REACH, REACH)) is None
        assert finding(cut(content, at + BEHIND, 1)) is None


def test_a_bootstrap_value_is_told_first_and_found_across_a_cut() -> None:
    value = expand("ghp_{alnum:36}").text.encode()
    content = bytes(1 << 16) + value + bytes(1 << 16)

    for offset in (0, 1, 20, 40):
        at = (1 << 16) + offset
        found = finding([content[:at], content[at:]], (value,))
        assert found is not None
        assert found[0] == "credential-in-assets"


def test_a_small_file_that_is_refused_is_given_on_in_no_part() -> None:
    pieces = cut(b"# notes\n" * 100 + expand("npm_{alnum:36}").text.encode() + b"\n", 10)
    given = []

    with pytest.raises(BootError):
        given += list(inspected("prompts/a.md", pieces, ()))

    assert given == []


def test_small_pieces_cost_no_more_looks_than_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(
        "harness.reference.inspection.recognised", lambda text, start, stop: looked.append(len(text))
    )
    content = bytes(1 << 20)

    list(inspected("prompts/a.bin", cut(content, 100), ()))

    assert sum(looked) < 1.05 * len(content)


@pytest.mark.parametrize("kind", CRAFTED)
def test_what_is_crafted_to_be_slow_costs_in_proportion_to_its_length(kind: str) -> None:
    """Eight times as much takes eight times as long: as a ratio, which no slow machine changes."""

    def cost(size: int) -> float:
        unit = b"x" * 30 + b" " + CRAFTED[kind] * (size // len(CRAFTED[kind]))
        spent = []
        for _ in range(3):
            begin = process_time()
            assert recognised(unit, 0, len(unit)) is None
            spent.append(process_time() - begin)
        return min(spent)

    assert cost(1 << 18) <= 16 * cost(1 << 15) + 0.01


@pytest.mark.parametrize("kind", CRAFTED)
def test_no_place_costs_more_than_its_reach(kind: str) -> None:
    """A pattern that is tried at a place decides as it would if nothing came behind its reach."""
    unit = CRAFTED[kind] * (3 * REACH // len(CRAFTED[kind]) + 1)
    for rule in RULES:
        for literal in rule.literals:
            if (at := unit.find(literal)) >= 0:
                whole, near = rule.pattern.match(unit, at), rule.pattern.match(unit[: at + REACH], at)
                assert (whole and whole.span()) == (near and near.span())


def test_no_file_of_this_project_holds_what_its_own_rules_refuse() -> None:
    """Of the files that are full of credentials as templates: a vendor's scanner would stop whoever pushes them."""
    for path in (*ROOT.glob("fixtures/credentials/*"), ROOT / "harness/contract/credentials.toml"):
        content = path.read_bytes()
        assert recognised(content, 0, len(content)) is None, path.name
