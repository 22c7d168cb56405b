"""Reconciles on real directories: what is touched, what is not, and what a crash leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.reference.boot.files import Kernel
from harness.reference.boot.report import PathNote
from harness.reference.errors import BootError
from harness.templates import Template, TemplateFile

from .conftest import CONFIG, skill, template
from .volumes import bodies, contents, deliver, stamps

MANUAL = "agent-skills/audit/SKILL.md"
SCRIPT = "agent-skills/audit/scripts/run.sh"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def noted(notes: tuple[PathNote, ...]) -> dict[str, tuple[str, str]]:
    return {note.path: (note.action, note.reason) for note in notes}


def test_a_blank_volume_gets_the_whole_tree_and_a_second_reconcile_touches_nothing(data: Path) -> None:
    deliver(data, template())
    assert contents(data) == bodies(template())
    before = stamps(data)
    for full in (False, True):
        assert deliver(data, template(), full=full).notes == ()
        assert stamps(data) == before


@pytest.mark.parametrize("present", ["agent-skills", "prompts"])
def test_a_tree_that_appears_while_the_first_delivery_is_staged_is_filled_and_not_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch, present: str
) -> None:
    sync = Kernel.syncfs

    def appear(kernel: Kernel, file: int) -> None:
        sync(kernel, file)
        (data / "configs" / present).mkdir(exist_ok=True)
        (data / "configs" / present / "mine").write_text("mine")

    monkeypatch.setattr(Kernel, "syncfs", appear)
    deliver(data, template())
    assert contents(data) == bodies(template()) | {f"{present}/mine": b"mine"}


def test_the_state_is_final_after_the_first_delivery_and_after_a_repair(data: Path) -> None:
    def state() -> tuple[int, int]:
        status = (data / ".boot" / "state.json").stat()
        return status.st_ino, status.st_mtime_ns

    for hurt in (MANUAL, "config.yaml"):
        deliver(data, template())
        before = state()
        deliver(data, template())
        assert state() == before
        (data / "configs" / hurt).unlink()


def test_agent_owned_files_are_never_touched(data: Path) -> None:
    owned = [
        "MEMORY.md",
        ".claude/x",
        "plugins/p",
        "agent-skills/mine/SKILL.md",
        "prompts/mine.md",
        "config.yml",
    ]
    for path in owned:
        file = data / "configs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    before = {path: (data / "configs" / path).stat() for path in owned}
    deliver(data, template())
    (data / "configs" / "config.yaml").unlink()
    deliver(data, template())
    after = {path: (data / "configs" / path).stat() for path in owned}
    assert {path: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in after.items()} == {
        path: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in before.items()
    }


@pytest.mark.parametrize("full", [False, True], ids=["by stamp", "by content"])
def test_an_edit_is_kept_over_three_reconciles_and_reported_each_time(data: Path, full: bool) -> None:
    deliver(data, template())
    edited = data / "configs" / MANUAL
    edited.write_bytes(edited.read_bytes() + b"\nmore\n")
    before = stamps(data)
    for _ in range(3):
        assert noted(deliver(data, template(), full=full).notes) == {MANUAL: ("preserved", "user-edit")}
        assert stamps(data) == before


def test_an_edit_of_an_updated_file_is_kept_and_the_new_version_laid_aside_once(data: Path) -> None:
    deliver(data, template())
    (data / "configs" / MANUAL).write_bytes(b"---\nname: mine\ndescription: mine\n---\n")
    newer = template().with_file(MANUAL, b"---\nname: audit\ndescription: newer\n---\n")
    first = deliver(data, newer)
    (note,) = first.notes
    assert (note.path, note.action) == (MANUAL, "laid-aside")
    assert note.aside is not None
    assert (data / note.aside).read_bytes() == newer.files[MANUAL].content
    assert noted(deliver(data, newer).notes) == {MANUAL: ("preserved", "user-edit")}
    assert b"mine" in (data / "configs" / MANUAL).read_bytes()


def test_changes_of_user_and_template_to_the_config_are_merged_and_then_at_rest(data: Path) -> None:
    deliver(data, template())
    config = data / "configs" / "config.yaml"
    config.write_bytes(CONFIG.replace(b"helps", b"helps me"))
    newer = template().with_file("config.yaml", CONFIG.replace(b"1.2.0", b"1.3.0"))
    assert noted(deliver(data, newer).notes) == {"config.yaml": ("merged", "user-edit")}
    assert config.read_bytes() == CONFIG.replace(b"helps", b"helps me").replace(b"1.2.0", b"1.3.0")
    before = stamps(data)
    for _ in range(3):
        assert noted(deliver(data, newer).notes) == {"config.yaml": ("preserved", "user-edit")}
        assert stamps(data) == before


def test_a_conflict_in_the_config_keeps_the_users_value_and_is_reported_once(data: Path) -> None:
    deliver(data, template())
    config = data / "configs" / "config.yaml"
    config.write_bytes(CONFIG.replace(b"1.2.0", b"9.9.9"))
    newer = template().with_file("config.yaml", CONFIG.replace(b"1.2.0", b"1.3.0"))
    (note,) = deliver(data, newer).notes
    assert (note.action, note.reason) == ("laid-aside", "user-edit: version")
    assert note.aside is not None
    assert (data / note.aside).read_bytes() == newer.files["config.yaml"].content
    assert noted(deliver(data, newer).notes) == {"config.yaml": ("preserved", "user-edit")}
    assert config.read_bytes() == CONFIG.replace(b"1.2.0", b"9.9.9")


def test_a_config_with_a_conflict_and_a_change_to_merge_gets_the_change_and_keeps_the_users_value(
    data: Path,
) -> None:
    deliver(data, template())
    config = data / "configs" / "config.yaml"
    config.write_bytes(CONFIG.replace(b"1.2.0", b"9.9.9"))
    newer = CONFIG.replace(b"1.2.0", b"1.3.0").replace(b"helps", b"helps more")
    merged, laid = deliver(data, template().with_file("config.yaml", newer)).notes
    assert (merged.action, laid.action) == ("merged", "laid-aside")
    assert config.read_bytes() == CONFIG.replace(b"1.2.0", b"9.9.9").replace(b"helps", b"helps more")
    assert laid.aside is not None
    assert (data / laid.aside).read_bytes() == newer


GREETING = "prompts/greeting.md"
LINES = "".join(f"Rule {number}: be brief.\n" for number in range(9)).encode()


def test_changes_of_user_and_template_to_different_lines_of_a_prompt_are_merged_and_then_at_rest(
    data: Path,
) -> None:
    first = template().with_file(GREETING, LINES)
    deliver(data, first)
    prompt = data / "configs" / GREETING
    mine = LINES.replace(b"Rule 1: be brief", b"Rule 1: be kind")
    prompt.write_bytes(mine)
    newer = first.with_file(GREETING, LINES.replace(b"Rule 7: be brief", b"Rule 7: be loud"))
    (note,) = deliver(data, newer).notes
    assert (note.path, note.action) == (GREETING, "merged")
    assert prompt.read_bytes() == mine.replace(b"Rule 7: be brief", b"Rule 7: be loud")
    assert note.aside is not None
    assert (data / note.aside).read_bytes() == mine
    before = stamps(data)
    for full in (False, True):
        assert noted(deliver(data, newer, full=full).notes) == {GREETING: ("preserved", "user-edit")}
        assert stamps(data) == before


def test_changes_to_the_same_lines_of_a_prompt_keep_the_users_and_lay_the_templates_aside_once(
    data: Path,
) -> None:
    first = template().with_file(GREETING, LINES)
    deliver(data, first)
    prompt = data / "configs" / GREETING
    prompt.write_bytes(LINES.replace(b"Rule 1: be brief", b"Rule 1: be kind"))
    newer = first.with_file(GREETING, LINES.replace(b"Rule 1: be brief", b"Rule 1: be loud"))
    (note,) = deliver(data, newer).notes
    assert (note.path, note.action) == (GREETING, "laid-aside")
    assert note.aside is not None
    assert (data / note.aside).read_bytes() == newer.files[GREETING].content
    assert noted(deliver(data, newer).notes) == {GREETING: ("preserved", "user-edit")}
    assert b"be kind" in prompt.read_bytes()


@pytest.mark.parametrize(("given", "left"), [(0o755, 0o755), (0o600, 0o600)], ids=["as it was", "the user's"])
def test_what_is_merged_has_the_mode_that_the_user_gave_it_or_else_the_templates(
    data: Path, given: int, left: int
) -> None:
    first = template().with_entries({GREETING: TemplateFile(LINES, "755")})
    deliver(data, first)
    prompt = data / "configs" / GREETING
    prompt.write_bytes(b"Mine.\n" + LINES)
    prompt.chmod(given)
    deliver(data, first.with_entries({GREETING: TemplateFile(LINES + b"Theirs.\n", "755")}))
    assert prompt.read_bytes() == b"Mine.\n" + LINES + b"Theirs.\n"
    assert prompt.stat().st_mode & 0o7777 == left


def test_what_was_found_to_be_an_edit_stays_one_when_the_template_changes(data: Path) -> None:
    """By itself, what is left of this config could be a fallback's as well: it was judged by the base of its time."""
    config = b"name: Helper  # who\nenv: {LEVEL: info}\nruntime: claude-code\n"
    deliver(data, template().with_file("config.yaml", config))
    live = data / "configs" / "config.yaml"
    live.write_bytes(b"name: Helper  # who\nruntime: claude-code\n")
    deliver(data, template().with_file("config.yaml", config))
    newer = template().with_file("config.yaml", config.replace(b"Helper  # who", b"Aide"))
    for _ in range(3):
        deliver(data, newer)
        assert live.read_bytes() == b"name: Aide  # who\nruntime: claude-code\n"


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("mine")


def _make_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("hurt", "reason", "kept"),
    [
        (lambda path: path.unlink(), "absent", False),
        (lambda path: path.write_bytes(b""), "empty", True),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "truncated", True),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "nul-filled", True),
        (_make_directory, "wrong-type", True),
        (_make_link, "wrong-type", True),
        (_make_fifo, "wrong-type", True),
        (lambda path: path.chmod(0o600), "wrong-mode", False),
        (lambda path: path.chmod(0), "wrong-mode", False),
    ],
)
def test_damage_of_one_file_is_healed_and_no_other_inode_is_touched(
    data: Path, hurt: Callable[[Path], None], reason: str, kept: bool
) -> None:
    deliver(data, template())
    before = stamps(data)
    hurt(data / "configs" / MANUAL)
    (note,) = deliver(data, template()).notes
    assert (note.path, note.action, note.reason) == (MANUAL, "repaired", reason)
    assert (note.aside is not None) == kept
    assert note.aside is None or os.path.lexists(data / note.aside)
    assert contents(data) == bodies(template())
    after = stamps(data)
    touched = {path for path in after if after[path] != before.get(path)}
    assert touched <= {MANUAL, str(Path(MANUAL).parent)}
    assert deliver(data, template()).notes == ()


def test_what_the_user_added_is_no_damage_of_what_the_template_adds_there_later(data: Path) -> None:
    deliver(data, template())
    (data / "configs/prompts/mine.md").write_bytes(b"Mine.")
    notes = noted(deliver(data, template().with_file("prompts/mine.md", b"Mine. And theirs.")).notes)
    assert notes["prompts/mine.md"] == ("laid-aside", "user-edit")
    assert (data / "configs/prompts/mine.md").read_bytes() == b"Mine."


def test_everything_lost_is_rebuilt(data: Path) -> None:
    deliver(data, template())
    shutil.rmtree(data / "configs")
    deliver(data, template())
    assert contents(data) == bodies(template())


def test_links_planted_at_parents_and_roots_are_never_followed(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "commands").mkdir(parents=True)
    (outside / "SKILL.md").write_text("canary")
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    deliver(data, template())
    for planted in (
        "configs/agent-skills/audit",
        "configs/prompts",
        "configs",
        ".boot/aside",
        ".boot/generations",
        ".boot",
    ):
        shutil.rmtree(data / planted)
        (data / planted).symlink_to(outside)
        deliver(data, template())
        assert contents(data) == bodies(template())
        assert not (data / planted).is_symlink()
        assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before


def test_what_upstream_removed_goes_with_its_empty_directory_and_what_was_edited_stays(data: Path) -> None:
    both = template().with_entries({**skill("gone"), **skill("edited")})
    deliver(data, both)
    (data / "configs/agent-skills/edited/SKILL.md").write_text("mine")
    notes = noted(deliver(data, template()).notes)
    assert notes["agent-skills/gone/SKILL.md"] == ("removed", "removed-upstream")
    assert notes["agent-skills/edited/SKILL.md"] == ("preserved", "removed-upstream")
    assert not (data / "configs/agent-skills/gone").exists()
    assert deliver(data, template()).notes == ()


def test_a_skill_that_upstream_removed_leaves_nothing_where_a_file_of_it_was_lost_before(data: Path) -> None:
    commands = {"agent-skills/gone/commands/go.md": TemplateFile(b"# Go\n")}
    deliver(data, template().with_entries({**skill("gone"), **commands}))
    (data / "configs/agent-skills/gone/commands/go.md").unlink()
    deliver(data, template())
    assert not (data / "configs/agent-skills/gone").exists()
    assert (data / "configs/agent-skills").is_dir()


def test_a_file_that_becomes_a_directory_upstream_and_back_arrives(data: Path) -> None:
    as_file = template().with_file("prompts/thing", b"file")
    as_directory = template().with_file("prompts/thing/part", b"part")
    for version in (as_file, as_directory, as_file):
        deliver(data, version)
        assert contents(data) == bodies(version)


def test_a_volume_copied_with_new_inodes_is_read_whole_and_left_alone(data: Path, tmp_path: Path) -> None:
    deliver(data, template())
    (data / "configs" / MANUAL).write_text("mine")
    deliver(data, template())
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    before = stamps(copy)
    assert noted(deliver(copy, template()).notes) == {MANUAL: ("preserved", "user-edit")}
    assert stamps(copy) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 100, b'{"schema": 1}'])
def test_a_torn_state_costs_a_look_at_everything_and_loses_no_edit(data: Path, content: bytes) -> None:
    deliver(data, template())
    (data / "configs" / MANUAL).write_text("mine")
    deliver(data, template())
    (data / ".boot" / "state.json").write_bytes(content)
    newer = template().with_file("prompts/greeting.md", b"changed")
    assert noted(deliver(data, newer).notes) == {
        MANUAL: ("preserved", "user-edit"),
        "prompts/greeting.md": ("updated", "changed-upstream"),
    }


def test_the_state_of_a_newer_agent_is_refused_by_name(data: Path) -> None:
    deliver(data, template())
    (data / ".boot" / "state.json").write_text('{"schema": 2}')
    with pytest.raises(BootError, match="newer boot agent"):
        deliver(data, template())


def test_only_the_last_versions_of_a_path_are_kept_aside(data: Path) -> None:
    deliver(data, template())
    for round_ in range(8):
        (data / "configs" / MANUAL).write_bytes(bytes(round_ + 1))
        deliver(data, template())
    kept = sorted((data / ".boot" / "aside" / MANUAL).iterdir())
    assert [path.stat().st_size for path in kept] == [4, 5, 6, 7, 8]


def test_where_names_cannot_be_exchanged_the_same_is_reached(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kernel, "_rename", lambda *_: False)
    deliver(data, template())
    _make_directory(data / "configs" / MANUAL)
    (data / "configs" / SCRIPT).write_bytes(b"")
    deliver(data, template())
    assert contents(data) == bodies(template())


# A crash: the process is killed before each of its changes to the file system in turn.

OLD = template().with_entries({**skill("gone"), "prompts/swap": TemplateFile(b"file")})
NEW = (
    template()
    .with_file("prompts/greeting.md", b"new text")
    .with_file("prompts/swap/part", b"directory")
    .with_file("config.yaml", CONFIG.replace(b"1.2.0", b"1.3.0"))
    .with_entries({SCRIPT: TemplateFile(b"#!/bin/sh\necho run\n", "644"), **skill("added")})
)
_EVENTS = ("os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "os.chmod", "open")


def _deliver_and_die_at(data: Path, version: Template, number: int) -> bool:
    """Whether the process died of it, in a child whose `number`-th change is its last."""
    child = os.fork()
    if child == 0:
        left = number

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event in _EVENTS and (
                event != "open" or (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT)
            ):
                count()

        def counted(method: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                count()
                return method(*arguments)

            return call

        Kernel._rename = counted(Kernel._rename)  # type: ignore[method-assign, assignment]
        Kernel.syncfs = counted(Kernel.syncfs)  # type: ignore[method-assign, assignment]
        sys.addaudithook(hook)
        try:
            deliver(data, version)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_at_any_change_leaves_each_file_old_or_new_and_the_next_boot_converges(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    deliver(origin, OLD)
    edited = OLD.files[MANUAL].content + b"\nmine\n"
    (origin / "configs" / MANUAL).write_bytes(edited)
    (origin / "configs" / "prompts" / "empty.md").unlink()
    (origin / "configs" / "system-prompt.md").write_bytes(b"")
    goal = bodies(NEW) | {MANUAL: edited}
    allowed = {path: {body, bodies(NEW).get(path)} for path, body in bodies(OLD).items()}
    for path, body in bodies(NEW).items():
        allowed.setdefault(path, {None}).add(body)
    allowed[MANUAL] = {edited}
    allowed["prompts/empty.md"] |= {None}
    allowed["system-prompt.md"] |= {b""}
    points = 0
    while True:
        data = tmp_path / f"data-{points}"
        subprocess.run(["cp", "-a", origin, data], check=True)
        died = _deliver_and_die_at(data, NEW, points)
        for path, body in contents(data).items():
            assert body in allowed[path], (points, path)
        deliver(data, NEW)
        assert contents(data) == goal, points
        before = stamps(data)
        assert noted(deliver(data, NEW, full=True).notes) == {MANUAL: ("preserved", "user-edit")}
        assert stamps(data) == before
        assert not list((data / ".boot").glob("staging-*"))
        points += 1
        if not died:
            break
    assert points > 40


def test_a_kill_at_any_change_of_a_first_delivery_leaves_no_file_half_and_the_next_boot_converges(
    tmp_path: Path,
) -> None:
    goal = bodies(NEW)
    points = 0
    while True:
        data = tmp_path / f"data-{points}"
        data.mkdir()
        died = _deliver_and_die_at(data, NEW, points)
        if (data / "configs").exists():
            assert contents(data).items() <= goal.items(), points
        deliver(data, NEW)
        assert contents(data) == goal, points
        assert deliver(data, NEW, full=True).notes == ()
        assert not list((data / ".boot").glob("staging-*"))
        points += 1
        if not died:
            break
    assert points > 25
