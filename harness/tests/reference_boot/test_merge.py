"""Changes of user and template to different keys are both there; where they meet, the user's wins (EDIT-2, 3)."""

from __future__ import annotations

import pytest
import yaml

from harness.reference.boot.merge import merge_config

BASE = b"""# head
name: Helper # who
version: 1.0.0
env:
  LEVEL: info
  COLOR: blue
skills:
  - audit
"""


def merged(live: bytes, new: bytes, base: bytes | None = BASE) -> tuple[bytes, tuple[str, ...]]:
    result = merge_config(base, live, new)
    assert result is not None
    return result.text, result.conflicts


def test_different_keys_are_both_present_and_comments_stay() -> None:
    text, conflicts = merged(
        BASE.replace(b"Helper #", b"Mine #"), BASE.replace(b"1.0.0", b"2.0.0") + b"model: opus\n"
    )
    assert conflicts == ()
    assert text == BASE.replace(b"Helper #", b"Mine #").replace(b"1.0.0", b"2.0.0") + b"model: opus\n"


def test_keys_below_a_key_are_merged_one_by_one() -> None:
    text, conflicts = merged(BASE.replace(b"info", b"debug"), BASE.replace(b"blue", b"red"))
    assert conflicts == ()
    assert yaml.safe_load(text)["env"] == {"LEVEL": "debug", "COLOR": "red"}


def test_where_both_changed_the_same_the_users_value_stays_and_the_key_is_named() -> None:
    text, conflicts = merged(BASE.replace(b"info", b"debug"), BASE.replace(b"info", b"warn"))
    assert conflicts == ("env.LEVEL",)
    assert text == BASE.replace(b"info", b"debug")


def test_what_the_template_removed_goes_unless_the_user_changed_it() -> None:
    without = BASE.replace(b"  COLOR: blue\n", b"").replace(b"version: 1.0.0\n", b"")
    text, conflicts = merged(BASE.replace(b"blue", b"red"), without)
    assert conflicts == ("env.COLOR",)
    document = yaml.safe_load(text)
    assert "version" not in document
    assert document["env"]["COLOR"] == "red"


def test_what_the_user_removed_stays_away_when_the_template_left_it_alone() -> None:
    text, conflicts = merged(BASE.replace(b"version: 1.0.0\n", b""), BASE + b"model: opus\n")
    assert conflicts == ()
    assert b"version" not in text


def test_without_a_base_the_users_values_stand_and_new_keys_come() -> None:
    text, conflicts = merged(b"name: Mine\n", b"name: Helper\nmodel: opus\n", base=None)
    assert yaml.safe_load(text) == {"name": "Mine", "model": "opus"}
    assert conflicts == ("name",)


def test_line_endings_stay_the_users() -> None:
    text, _ = merged(BASE.replace(b"\n", b"\r\n"), BASE + b"model: opus\n")
    assert text.count(b"\r\n") == text.count(b"\n")


@pytest.mark.parametrize("broken", [b"a: [", b"- a\n", b"a: 1\na: 2\n"])
def test_what_cannot_be_merged_is_left_to_the_user(broken: bytes) -> None:
    assert merge_config(BASE, broken, BASE) is None
