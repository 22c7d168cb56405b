"""Changes of user and template to different keys are both there; where they meet, the user's wins (EDIT-2, 3)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_without_a_base_an_empty_list_of_skills_is_no_wish_of_the_users() -> None:
    text, conflicts = merged(
        b"# mine\nname: Mine\nskills: []\n", b"name: Helper\nskills:\n  - audit\n", base=None
    )
    assert text == b"# mine\nname: Mine\nskills:\n  - audit\n"
    assert conflicts == ("name",)


def test_line_endings_stay_the_users() -> None:
    text, _ = merged(BASE.replace(b"\n", b"\r\n"), BASE + b"model: opus\n")
    assert text.count(b"\r\n") == text.count(b"\n")


@pytest.mark.parametrize("broken", [b"a: [", b"- a\n", b"a: 1\na: 2\n"])
def test_what_cannot_be_merged_is_left_to_the_user(broken: bytes) -> None:
    assert merge_config(BASE, broken, BASE) is None


STYLED = b"""# The head of the file.

name:    Helper   # who
version: 1.0.0

# What programs need.
env:
    LEVEL: info
    COLOR: blue   # as the house has it
    NOTHING: null
args: [ "a",  b ]
prompt: |
  # A title, no comment
  text

last: ~
"""
"""Written as people do, and as no program would write it again."""


@pytest.mark.parametrize(
    ("mine", "theirs", "both"),
    [
        pytest.param((b"Helper", b"Mine"), (b"1.0.0", b"2.0.0"), None, id="a value"),
        pytest.param((b"info", b"debug"), (b"blue", b"red"), None, id="a value below a key"),
        pytest.param(
            (b"# What programs", b"# What I"),
            (b"version: 1.0.0\n\n# What programs", b"\n# What programs"),
            (b"version: 1.0.0\n\n# What programs", b"\n# What I"),
            id="a key that goes, above a comment of the user's",
        ),
        pytest.param(
            (b"Helper", b"Mine"),
            (b"\n# What programs need.\nenv:", b"\n# How large.\ntier: 2\n\n# What programs need.\nenv:"),
            None,
            id="a key that comes, with its comment",
        ),
        pytest.param(
            (b"info", b"debug"),
            (b"    NOTHING", b"    # new\n    SIZE: {x: 1}\n    NOTHING"),
            None,
            id="one below",
        ),
        pytest.param(
            (b"last: ~", b"last: ~ # !"), (b"  text\n", b"  other text\n  # more\n"), None, id="a text"
        ),
        pytest.param((b"Helper", b"Mine"), (b'[ "a",  b ]', b'[ "a",  b, "c" ]'), None, id="a list"),
        pytest.param(
            (b"Helper", b"Mine"), (b"# The head of the file.\n\n", b"first: 1\n"), None, id="on top"
        ),
        pytest.param(
            (b"\nlast: ~\n", b"\nlast: ~"), (b"1.0.0", b"2.0.0"), (b"1.0.0", b"2.0.0"), id="no line end"
        ),
    ],
)
def test_the_text_is_edited_where_something_changes_and_nowhere_else(
    mine: tuple[bytes, bytes], theirs: tuple[bytes, bytes], both: tuple[bytes, bytes] | None
) -> None:
    live, new = STYLED.replace(*mine), STYLED.replace(*theirs)
    wanted = STYLED.replace(*both) if both else live.replace(*theirs)
    if theirs[1].startswith(b"first"):  # what stands above it, and is no comment of its own, stays there
        wanted = live.replace(b"name:", b"first: 1\nname:")
    text, conflicts = merged(live, new, STYLED)
    assert conflicts == ()
    assert text == wanted


def test_a_byte_order_mark_and_the_marks_of_a_document_stay() -> None:
    live = b"\xef\xbb\xbf---\n" + BASE.replace(b"Helper", b"Mine") + b"...\n"
    text, _ = merged(live, BASE.replace(b"  - audit\n", b"  - audit\nmodel: opus\n"))
    assert text == live.replace(b"...\n", b"model: opus\n...\n")


def test_what_an_alias_stands_for_is_changed_where_it_is_written() -> None:
    base = b"usual: &usual\n  LEVEL: info\n  COLOR: blue\nenv:\n  <<: *usual\n  SIZE: 1\n"
    text, conflicts = merged(base.replace(b"SIZE: 1", b"SIZE: 2"), base.replace(b"info", b"warn"), base)
    assert conflicts == ()
    assert text == base.replace(b"SIZE: 1", b"SIZE: 2").replace(b"info", b"warn")


@pytest.mark.parametrize(
    ("mine", "theirs", "both"),
    [
        (b"[audit, mine]", b"[audit, new]", b"[audit, new, mine]"),
        (b"[mine]", b"[first, audit, new]", b"[first, new, mine]"),
        (b"[mine, audit]", b"[]", b"[mine]"),
        (b"[]", b"[audit, new]", b"[new]"),
        (
            b"\n  - audit # best\n  - mine\n",
            b"[first, audit, new]",
            b"\n  - first\n  - audit # best\n  - new\n  - mine\n",
        ),
        (b"\n- mine\n- audit\n", b"[]", b"\n- mine\n"),
    ],
)
def test_the_skills_that_either_side_names_are_named(mine: bytes, theirs: bytes, both: bytes) -> None:
    def config(names: bytes) -> bytes:
        return b"skills: " + names.removesuffix(b"\n") + b"\nname: Helper\n"

    text, conflicts = merged(config(mine), config(theirs), config(b"[audit]"))
    assert conflicts == ()
    assert text == config(both)


def test_another_list_is_one_value() -> None:
    text, conflicts = merged(b"args: [-v, mine]\n", b"args: [-v, theirs]\n", b"args: [-v]\n")
    assert (text, conflicts) == (b"args: [-v, mine]\n", ("args",))


def test_a_type_that_the_template_changed_is_a_change() -> None:
    text, _ = merged(b"port: '80'\nname: Mine\n", b"port: 80\nname: Helper\n", b"port: '80'\nname: Helper\n")
    assert text == b"port: 80\nname: Mine\n"


def test_a_text_that_cannot_be_edited_is_written_anew_and_said_to_be() -> None:
    base = b'{"name": "Helper", "env": {"LEVEL": "info", "COLOR": "blue"}}\n'
    result = merge_config(base, base.replace(b"info", b"debug"), base.replace(b"blue", b"yes"))
    assert result is not None
    assert not result.in_place
    assert yaml.safe_load(result.text) == {"name": "Helper", "env": {"LEVEL": "debug", "COLOR": "yes"}}


@pytest.mark.parametrize("hostile", [b"? [1]\n: 2\n", b"a: \xff\n", b"[" * 5000, b"- " * 5000])
def test_what_no_merge_understands_is_left_to_the_user(hostile: bytes) -> None:
    assert merge_config(BASE, hostile, BASE.replace(b"1.0.0", b"2.0.0")) is None
    assert merge_config(BASE, BASE.replace(b"1.0.0", b"2.0.0"), hostile) is None


def test_a_value_that_holds_itself_is_left_out_of_it() -> None:
    assert merge_config(BASE, BASE.replace(b"Helper", b"Mine"), BASE + b"a: &a [*a]\n") is None


def test_aliases_of_aliases_cost_no_more_than_they_are_long() -> None:
    bomb = b"a0: &a0 {x: 1}\n" + b"".join(
        b"a%d: &a%d {p: *a%d, q: *a%d}\n" % (each, each, each - 1, each - 1) for each in range(1, 60)
    )
    text, _ = merged(bomb + b"mine: 1\n", bomb.replace(b"x: 1", b"x: 2"), bomb)
    assert len(text) < 2 * len(bomb)
    assert merged(text, bomb.replace(b"x: 1", b"x: 2"), bomb) == (text, ())


SCALARS = st.sampled_from(
    ["plain", "two words", "# no comment", "yes", "null", "", "a\nb\n", "a: b", "é", "'"]
) | (st.integers(0, 9) | st.booleans() | st.none())
DOCUMENTS = st.dictionaries(
    st.sampled_from("abcde"),
    st.recursive(
        SCALARS | st.lists(SCALARS, max_size=3),
        lambda deeper: st.dictionaries(st.sampled_from("abc"), deeper, max_size=3),
    ),
    max_size=5,
)


def expected(base: Any, mine: Any, theirs: Any) -> Any:
    """The rule in short, on data; a dict's `get` tells None from absent by this mark."""
    nothing = ["nothing"]
    result = dict(mine)
    for key in {**theirs, **base}:
        old, here, new = (each.get(key, nothing) for each in (base, mine, theirs))
        if isinstance(here, dict) and isinstance(new, dict):
            result[key] = expected(old if isinstance(old, dict) else {}, here, new)
        elif repr(here) == repr(old) and new is nothing:
            result.pop(key, None)
        elif repr(here) == repr(old):
            result[key] = new
    return result


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS, st.sampled_from([None, False, True]))
@settings(max_examples=100, deadline=None)
def test_whatever_the_documents_the_text_says_what_the_rule_says(
    base: Any, mine: Any, theirs: Any, flow: bool | None
) -> None:
    texts = [
        f"# {number}\n{yaml.safe_dump(each, default_flow_style=flow, sort_keys=False, allow_unicode=True)}".encode()
        for number, each in enumerate((base, mine, theirs))
    ]
    result = merge_config(*texts)
    assert result is not None
    assert yaml.safe_load(result.text) == expected(base, mine, theirs)
    assert merge_config(texts[2], result.text, texts[2]) == type(result)(result.text, (), True)
