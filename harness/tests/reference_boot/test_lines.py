"""Changes of user and template to different lines of a text are both there; to the same lines, they are not merged."""

from __future__ import annotations

import pytest

from harness.reference.boot.lines import merge_lines

BASE = "".join(f"Rule {number}: be brief.\n" for number in range(9)).encode()
MINE = BASE.replace(b"Rule 1: be brief", b"Rule 1: be kind")


def test_changes_to_different_lines_are_both_there() -> None:
    theirs = BASE.replace(b"Rule 7: be brief", "Rule 7: sei höflich".encode())
    assert merge_lines(BASE, MINE, theirs) == MINE.replace(
        b"Rule 7: be brief", "Rule 7: sei höflich".encode()
    )


def test_what_is_merged_already_stays() -> None:
    theirs = BASE.replace(b"Rule 7: be brief", b"Rule 7: be loud")
    both = MINE.replace(b"Rule 7: be brief", b"Rule 7: be loud")
    assert merge_lines(BASE, both, theirs) == both


@pytest.mark.parametrize(
    "theirs",
    [
        BASE.replace(b"Rule 1: be brief", b"Rule 1: be loud"),
        BASE.replace(b"Rule 2: be brief", b"Rule 2: be loud"),
        b"",
    ],
    ids=["the same line", "the next line", "nothing left"],
)
def test_changes_to_the_same_lines_are_not_merged(theirs: bytes) -> None:
    assert merge_lines(BASE, MINE, theirs) is None


@pytest.mark.parametrize("binary", [b"\0" + BASE, b"\xff" + BASE])
def test_what_is_no_text_is_not_merged(binary: bytes) -> None:
    assert merge_lines(BASE, MINE, binary) is None
    assert merge_lines(BASE, binary, BASE + b"more\n") is None


def test_without_git_the_users_version_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert merge_lines(BASE, MINE, BASE + b"more\n") is None


def test_no_setting_of_the_machine_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "merge.conflictStyle")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "no such style")
    assert merge_lines(BASE, MINE, BASE + b"more\n") == MINE + b"more\n"
