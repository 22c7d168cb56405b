"""What a volume holds and how it is edited, in either runtime: hostile content included."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import Boot, await_console, until
from .test_machines import COUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.runtime.base import Runtime, Volume


def test_a_new_volume_is_empty(volume: Volume) -> None:
    assert volume.entries() == {}
    assert list(volume.files()) == []


def test_entries_tell_what_the_file_system_tells(volume: Volume) -> None:
    volume.write("configs/skill.md", b"content", mode=0o640)
    volume.make_directory("configs/empty")
    volume.make_link("configs/link", "../elsewhere")
    volume.make_fifo("configs/fifo")

    entries = volume.entries()

    assert {path: entry.kind for path, entry in entries.items()} == {
        "configs": "directory",
        "configs/empty": "directory",
        "configs/fifo": "fifo",
        "configs/link": "link",
        "configs/skill.md": "file",
    }
    file = entries["configs/skill.md"]
    assert (file.path, file.mode, file.size) == ("configs/skill.md", 0o640, 7)
    assert file.sha256 == hashlib.sha256(b"content").hexdigest()
    assert abs(file.mtime_ns - time.time_ns()) < 60 * 10**9
    assert file.inode > 0
    assert entries["configs/link"].target == "../elsewhere"
    assert entries["configs/fifo"].sha256 is None


def test_entries_can_be_narrowed_and_need_no_digest(volume: Volume) -> None:
    volume.write("a/b/c", b"1")
    volume.write("a2", b"2")

    assert list(volume.entries("a", digest=False)) == ["a", "a/b", "a/b/c"]
    assert volume.entries("a/b/c", digest=False)["a/b/c"].sha256 is None
    assert list(volume.entries("a/b/c")) == ["a/b/c"]
    assert volume.entries("absent/further") == {}


def test_looking_changes_nothing(volume: Volume) -> None:
    volume.write("a/b", b"1")
    before = volume.entries()

    volume.read("a/b")
    list(volume.files())

    assert volume.entries() == before


def test_a_write_keeps_inode_and_mode_of_what_is_there(volume: Volume) -> None:
    volume.write("file", b"long content", mode=0o755)
    before = volume.entries()["file"]

    volume.write("file", b"short")

    after = volume.entries()["file"]
    assert volume.read("file") == b"short"
    assert (after.inode, after.mode) == (before.inode, 0o755)
    volume.write("fresh", b"")
    assert volume.entries()["fresh"].mode == 0o644


def test_any_bytes_go_in_and_come_out_by_any_name(volume: Volume) -> None:
    name = os.fsdecode(b"caf\xe9/new\nline/\xf0\x9f\x92\xbe/100%?&{}=")
    content = bytes(range(256)) * 40_000  # 10 MB, more than one piece of any buffer
    volume.write(name, content)
    volume.write("empty", b"")

    assert volume.entries()[name].sha256 == hashlib.sha256(content).hexdigest()
    assert volume.read(name) == content
    assert dict(volume.files()) == {name: content, "empty": b""}
    assert dict(volume.files("empty")) == {"empty": b""}


def test_what_is_read_must_be_a_file(volume: Volume) -> None:
    volume.write("directory/file", b"")
    volume.make_fifo("fifo")

    with pytest.raises(FileNotFoundError):
        volume.read("absent")
    with pytest.raises(IsADirectoryError):
        volume.read("directory")
    with pytest.raises(OSError, match="not a regular file"):
        volume.read("fifo")
    assert dict(volume.files()) == {"directory/file": b""}


def test_no_verb_follows_a_link_out_of_the_volume(volume: Volume) -> None:
    volume.make_link("passwd", "/etc/passwd")
    volume.make_link("etc", "/etc")
    volume.make_link("loop", "loop")

    assert {path: entry.kind for path, entry in volume.entries().items()} == dict.fromkeys(
        ("etc", "loop", "passwd"), "link"
    )
    assert volume.entries("etc/passwd") == {}
    assert list(volume.files()) == []
    for path in ("passwd", "etc/passwd", "loop", "etc/conformance-was-here"):
        with pytest.raises(OSError) as refused:
            volume.read(path)
        assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)
        with pytest.raises(OSError) as refused:
            volume.write(path, b"x")
        assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)
        with pytest.raises(OSError) as refused:
            volume.chmod(path, 0o777)
        assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "a//b", "./a", "a/"])
def test_a_path_that_is_not_plain_is_refused(volume: Volume, path: str) -> None:
    for verb in (volume.read, volume.entries, volume.remove, volume.make_directory):
        with pytest.raises(OSError, match="not a path relative"):
            verb(path)


def test_remove_takes_a_link_but_not_what_it_points_to(volume: Volume) -> None:
    volume.write("kept/file", b"1")
    volume.make_link("link", "kept")
    volume.make_link("gone/link", "../kept")

    volume.remove("link")
    volume.remove("gone")

    assert list(volume.entries()) == ["kept", "kept/file"]
    with pytest.raises(FileNotFoundError):
        volume.remove("gone")


def test_removing_the_empty_path_empties_the_volume(volume: Volume) -> None:
    volume.write(".hidden/file", b"1", mode=0)
    volume.chmod(".hidden", 0)
    volume.make_fifo("fifo")

    volume.remove("")

    assert volume.entries() == {}


def test_chmod_sets_every_bit(volume: Volume) -> None:
    volume.write("file", b"")
    volume.make_directory("directory")

    volume.chmod("file", 0o4711)
    volume.chmod("directory", 0o1700)

    entries = volume.entries()
    assert (entries["file"].mode, entries["directory"].mode) == (0o4711, 0o1700)


def test_what_is_there_is_not_overwritten_by_links_and_fifos(volume: Volume) -> None:
    volume.write("file", b"precious")

    for make in (volume.make_fifo, volume.make_directory, lambda path: volume.make_link(path, "x")):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            make("file")

    assert volume.read("file") == b"precious"


def test_a_tree_deeper_than_a_call_stack_is_listed_and_removed(volume: Volume) -> None:
    deep = "/".join("d" for _ in range(900))
    volume.make_directory(deep)

    assert len(volume.entries()) == 900


def test_a_copy_has_the_same_content_modes_and_times_and_goes_its_own_way(
    runtime: Runtime, volume: Volume, new_name: Callable[[], str]
) -> None:
    volume.write("dir/file", b"1", mode=0o751)
    volume.make_link("dir/link", "/nowhere")
    volume.make_fifo("fifo")
    volume.write(os.fsdecode(b"\xff"), b"2")
    volume.chmod("dir", 0o700)

    copy = runtime.copy_volume(volume, new_name())

    def comparable(of: Volume) -> dict[str, tuple[object, ...]]:
        entries = of.entries()
        return {path: (e.kind, e.mode, e.mtime_ns, e.sha256, e.target) for path, e in entries.items()}

    assert comparable(copy) == comparable(volume)
    assert copy.entries()["dir/file"].inode != volume.entries()["dir/file"].inode
    copy.write("dir/file", b"changed")
    volume.remove("fifo")
    assert volume.read("dir/file") == b"1"
    assert "fifo" in copy.entries()
    runtime.remove_volume(copy)


def test_a_copy_of_a_volume_in_use_freezes_its_machine_only_for_that_long(
    runtime: Runtime, volume: Volume, boot: Boot, new_name: Callable[[], str]
) -> None:
    machine = boot(COUNT, volume)
    await_console(machine, b"counting")

    copy = runtime.copy_volume(volume, new_name())

    assert "count" in copy.entries()
    before = volume.read("count")
    until(lambda: volume.read("count") not in (before, b""))
    machine.kill()
    runtime.remove_volume(copy)


def test_what_is_planted_in_a_volume_is_found_by_the_machine(volume: Volume, boot: Boot) -> None:
    volume.write("planted/file", b"by hand", mode=0o755)

    machine = boot("import sys; print(open(sys.argv[1] + '/planted/file').read())", volume)

    machine.wait(30)
    assert machine.console() == b"by hand\n"


def test_a_volume_of_a_name_that_is_taken_is_refused(runtime: Runtime, new_name: Callable[[], str]) -> None:
    name = new_name()
    volume = runtime.create_volume(name)

    with pytest.raises(FileExistsError):
        runtime.create_volume(name)

    runtime.remove_volume(volume)


def test_a_volume_that_is_removed_is_not_taken_for_an_empty_one(
    runtime: Runtime, new_name: Callable[[], str]
) -> None:
    volume = runtime.create_volume(new_name())
    runtime.remove_volume(volume)

    with pytest.raises(FileNotFoundError):
        volume.entries()
