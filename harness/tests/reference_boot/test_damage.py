"""Damage is healed, a user's edit is kept; the line between them is the contract's."""

from __future__ import annotations

import pytest

from harness.reference.boot.damage import Bytes, damage

from .conftest import CONFIG

SMALL = b"name: Helper\ndescription: helps\nversion: 1.2.0\ntier: 2\nruntime: claude-code\nmodel: sonnet\n"
"""A genuine config with no key but those that a fallback writes."""
NEW = CONFIG.replace(b"1.2.0", b"1.3.0")

STUBS = [
    b"name: ws-0123456789abcdef\nruntime: claude-code\nmodel: x\n",
    b"name: Workspace\ndescription: ''\nversion: 1.0.0\ntier: 2\nruntime: langgraph\n",
    b"name: Agent\nversion: 1.0.0\ntier: 1\nruntime: langgraph\nruntime_config:\n  timeout: 0\nskills: []\n",
    b"name: unnamed\n",
    b"# written by the platform\nname: w\ndescription: d\nversion: '0'\ntier: 3\nruntime: r\nmodel: m\nskills: []\n",
]

EDITS = [
    CONFIG.replace(b"helps", b"helps a lot"),
    CONFIG.replace(b"description: helps\n", b""),
    CONFIG.replace(b"# what this agent is\n", b""),
    CONFIG.replace(b"  - audit\n", b""),
    CONFIG + b"model: opus\n",
    b"name: Helper\nruntime: claude-code\n",
    b"name: Helper\nruntime: codex\nprompt_files: []\n",
]


def judged(live: bytes, *known: bytes, path: str = "config.yaml") -> str | None:
    return damage(path, Bytes(live), tuple(map(Bytes, known)))


def test_a_config_cut_at_any_byte_is_damage() -> None:
    for end in range(1, len(CONFIG)):
        assert judged(CONFIG[:end], CONFIG) == "truncated", CONFIG[:end]
    assert judged(b"", CONFIG) == "empty"


def test_a_config_cut_at_any_byte_is_damage_without_a_base_too() -> None:
    assert all(judged(NEW[:end], NEW) == "truncated" for end in range(1, len(NEW)))


def test_a_cut_base_is_damage_when_the_template_has_moved_on() -> None:
    assert judged(CONFIG[:70], CONFIG, NEW) == "truncated"


@pytest.mark.parametrize("path", ["config.yaml", "agent-skills/a/SKILL.md", "prompts/x.bin"])
def test_nul_bytes_where_none_were_delivered_are_damage(path: str) -> None:
    assert judged(bytes(len(CONFIG)), CONFIG, path=path) == "nul-filled"
    assert judged(CONFIG[:50] + bytes(40), CONFIG, path=path) == "nul-filled"
    assert judged(CONFIG + b"\0", CONFIG, path=path) == "nul-filled"


def test_nul_bytes_that_the_template_ends_with_are_no_damage() -> None:
    assert judged(b"changed\0", b"original\0", path="prompts/x.bin") is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "Not Found"}',
        b'{"message":"x","url":"http://h/api/swagger"}',
        b"error: boom\nstatus: 500\n",
    ],
)
def test_an_error_body_in_place_of_a_config_is_damage(body: bytes) -> None:
    assert judged(body, CONFIG) == "error-body"


@pytest.mark.parametrize(
    "body",
    [b"<html><body>502 Bad Gateway</body></html>", b"a: [1", b"- a\n- b\n", b"\xff\xfe", b"name: x\n\tbad"],
)
def test_a_config_that_is_no_mapping_is_damage(body: bytes) -> None:
    assert judged(body, CONFIG) == "unparsable"


@pytest.mark.parametrize("stub", STUBS)
@pytest.mark.parametrize("known", [(CONFIG,), (CONFIG, NEW), (SMALL,)], ids=["base", "base-and-new", "small"])
def test_every_stub_is_damage(stub: bytes, known: tuple[bytes, ...]) -> None:
    assert judged(stub, *known) == "stub"


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_no_damage_even_if_it_shortens(edit: bytes) -> None:
    assert judged(edit, CONFIG) is None


@pytest.mark.parametrize(
    "edit",
    [
        SMALL.replace(b"sonnet", b"opus"),
        SMALL.replace(b"name: Helper", b"name: My Helper"),
        SMALL.replace(b"description: helps\n", b""),
        SMALL.replace(b"version: 1.2.0\ntier: 2\n", b""),
        SMALL + b"skills: []\n",
    ],
)
def test_an_edit_of_a_small_genuine_config_is_not_taken_for_a_stub(edit: bytes) -> None:
    assert judged(edit, SMALL) is None


def test_what_is_not_the_config_is_never_a_stub() -> None:
    assert judged(b"name: x\n", b"# A prompt\n", path="prompts/a.md") is None


def test_a_prefix_is_found_across_pieces() -> None:
    class Pieces(Bytes):
        def pieces(self):  # type: ignore[no-untyped-def]
            content = b"".join(super().pieces())
            for start in range(0, len(content), 7):
                yield content[start : start + 7]

    whole = bytes(range(1, 250)) * 5
    assert damage("prompts/x", Pieces(whole[:800]), (Bytes(whole),)) == "truncated"
    assert damage("prompts/x", Bytes(whole[:801]), (Pieces(whole),)) == "truncated"
    assert damage("prompts/x", Pieces(whole[:800] + b"!"), (Bytes(whole),)) is None
