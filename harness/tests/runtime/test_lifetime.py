"""Nothing is left behind: not by a run that ends well, and not for long by one that was killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import harness
from harness.runtime.base import MachineSpec
from harness.runtime.ownership import BadName, Owner
from harness.runtime.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.runtime.base import Runtime

SLEEP = ("{python}", "-c", "import time; time.sleep(1000)")
VICTIM = """
import json, sys, time
from harness.runtime.base import MachineSpec
from harness.runtime.ownership import Owner
name, image, command = json.loads(sys.argv[1])
owner = Owner.current()
if name == "docker":
    from harness.runtime.docker import DockerRuntime
    runtime = DockerRuntime(owner, keeper_image=image)
else:
    from harness.runtime.process import ProcessRuntime
    runtime = ProcessRuntime(owner)
volume = runtime.create_volume("volume")
for each in "one", "two":
    machine = runtime.create_machine(MachineSpec(each, image, tuple(command)), volume)
    machine.start()
print(json.dumps([owner.run, [p.pid for p in machine.processes()]]), flush=True)
time.sleep(1000)
"""
ESCAPE = """
import os, time
if os.fork() == 0:
    os.setsid()
    os.execve("/bin/sleep", ["sleep", "1000"], dict(os.environ))
if os.fork() == 0:
    os.execve("/bin/sleep", ["sleep", "1000"], {})
time.sleep(1000)
"""


def machine_image(runtime: Runtime, request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("base_image")) if runtime.name == "docker" else None


def test_close_removes_everything_also_what_still_runs(
    make_runtime: Callable[[], Runtime], request: pytest.FixtureRequest
) -> None:
    runtime = make_runtime()
    volume = runtime.create_volume("volume")
    runtime.copy_volume(volume, "copy")
    for name in "running", "paused", "off":
        machine = runtime.create_machine(MachineSpec(name, machine_image(runtime, request), SLEEP), volume)
        if name != "off":
            machine.start()
        if name == "paused":
            machine.pause()
    left = " ".join(runtime.leftovers())
    assert all(name in left for name in ("volume", "copy", "running", "paused", "off"))

    runtime.close()
    runtime.close()

    assert runtime.leftovers() == []


def test_what_a_killed_run_left_is_swept_and_nothing_else(
    make_runtime: Callable[[], Runtime], request: pytest.FixtureRequest
) -> None:
    living = make_runtime()
    image = machine_image(living, request)
    volume = living.create_volume("volume")
    volume.write("file", b"precious")
    machine = living.create_machine(MachineSpec("machine", image, SLEEP), volume)
    machine.start()
    arguments = json.dumps([living.name, image, ["{python}", "-c", ESCAPE]])
    root = Path(harness.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, arguments], cwd=root, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        run, pids = json.loads(victim.stdout.readline())
        assert sweep(run=run) == [], "a run that lives was swept"
        victim.kill()
    assert victim.returncode == -signal.SIGKILL
    orphans = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    try:
        would = sweep(dry_run=True)
        kinds = sorted(each.kind for each in would if each.run == run)
        assert set(kinds) >= {"machine", "volume" if living.name == "docker" else "directory"}
        mine = machine.name.removesuffix("machine")
        assert not [each for each in would if each.name.startswith(mine)], "what lives would be swept"

        removed = sweep(run=run)

        assert sorted(each.kind for each in removed) == kinds
        assert [each.error for each in removed] == [None] * len(removed)
        assert sweep(run=run) == []
        assert [each for each in orphans if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
        assert machine.running()
        assert volume.read("file") == b"precious"
    finally:
        living.close()
    assert living.leftovers() == []


def test_an_explicit_age_sweeps_the_living_too(make_runtime: Callable[[], Runtime]) -> None:
    runtime = make_runtime()
    run = runtime.create_volume("volume").name.split("-")[1]

    assert sweep(timedelta(hours=1), run=run) == []
    assert sweep(timedelta(0), run=run, dry_run=True) != []
    assert all(each.error is None for each in sweep(timedelta(0), run=run))

    assert runtime.leftovers() == []
    runtime.close()


def test_an_owner_is_read_back_from_its_labels() -> None:
    owner = Owner.current("run1", "gw0")

    assert Owner.from_labels(owner.labels()) == owner
    assert Owner.from_labels({"conformance.run": "run1"}) is None
    assert Owner.from_labels({"maintainer": "somebody"}) is None


def test_an_owner_lives_as_long_as_its_process_and_not_by_another_of_the_same_pid() -> None:
    owner = Owner.current()
    assert owner.alive()
    assert not replace(owner, started=owner.started - 3600).alive()

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = Owner.current(controller=process.pid)
        assert other.alive()
        process.kill()
        process.wait()
        assert not other.alive()


def test_the_owner_on_another_computer_counts_as_alive() -> None:
    assert replace(Owner.current(), host="elsewhere", pid=1, started=0.0).alive()


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "ä", "x" * 152])
def test_a_name_that_an_engine_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="cannot name"):
        Owner.current().named(name)


@pytest.mark.parametrize("part", ["a-b", "", "A"])
def test_no_run_or_worker_can_be_taken_for_part_of_another(part: str) -> None:
    with pytest.raises(BadName):
        Owner.current(part)
    with pytest.raises(BadName):
        Owner.current("run", part)
