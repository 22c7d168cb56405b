"""System calls of a machine fail, or end it, by order of somebody outside, and are counted where they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.runtime.base import Conditions, InjectedFault, MachineError, MachineSpec, NotSupported

from .conftest import Boot, await_console, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.runtime.base import Injection, Machine, Runtime, Volume

RENAMES = ("rename", "renameat", "renameat2", "of_no_architecture")

# Waits for a file on its volume to be made from outside, then renames a file elsewhere, ten of its volume, and one
# elsewhere in a child.
PROGRAM = """
import os, pathlib, subprocess, sys, tempfile, time
volume, elsewhere = pathlib.Path(sys.argv[1]), pathlib.Path(tempfile.mkdtemp())
print("up", flush=True)
while not (volume / "go").exists():
    time.sleep(0.01)
(elsewhere / "go").touch()
(elsewhere / "go").rename(elsewhere / "gone")
for number in range(10):
    (volume / f"{number}").write_text("new")
    try:
        (volume / f"{number}").rename(volume / f"{number}.done")
    except OSError as error:
        print(error.strerror, flush=True)
child = "import os, sys; open('a', 'w'); os.rename('a', 'b')"
print("child", subprocess.run([sys.executable, "-c", child], cwd=elsewhere).returncode, flush=True)
time.sleep(600)
"""
# The same with a child that comes first, and renames more.
WITH_A_RIVAL = PROGRAM.replace(
    "for number in",
    """rival = "import os, sys; open('0', 'w'); [os.rename(str(n), str(n + 1)) for n in range(20)]"
print("rival", subprocess.run([sys.executable, "-c", rival], cwd=elsewhere).returncode, flush=True)
for number in""",
)


@pytest.fixture
def machine(boot: Boot, volume: Volume) -> Machine:
    made = boot(PROGRAM, volume)
    await_console(made, b"up")
    return made


def inject(machine: Machine, fault: InjectedFault) -> Injection:
    """Where this user may trace processes."""
    try:
        return machine.inject(fault)
    except NotSupported as why:
        pytest.skip(f"could not run: {why}")


def test_an_errno_befalls_the_calls_from_the_one_that_was_asked_for(machine: Machine, volume: Volume) -> None:
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 8), "ENOSPC"))
    volume.write("go", b"")
    await_console(machine, b"child 0")

    assert machine.console().count(b"No space left on device") == injection.hits() == 4
    assert [path for path in volume.entries() if path.endswith(".done")] == [f"{n}.done" for n in range(6)]
    injection.close()
    assert injection.hits() == 4
    assert machine.running()


def test_a_single_call_can_be_made_to_fail(machine: Machine, volume: Volume) -> None:
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 3), "EIO", lasting=False))
    volume.write("go", b"")
    await_console(machine, b"child 0")

    assert machine.console().count(b"Input/output error") == injection.hits() == 1
    assert "1.done" not in volume.entries()
    injection.close()
    injection.close()


def test_a_kill_cuts_the_power_before_the_call_is_carried_out(machine: Machine, volume: Volume) -> None:
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 5), "KILL"))
    volume.write("go", b"")
    machine.wait(30)

    assert {"2.done", "3"} <= volume.entries().keys()
    assert "3.done" not in volume.entries()
    until(lambda: injection.hits() == 1)
    injection.close()


def test_a_kill_of_a_child_takes_the_whole_machine(boot: Boot, volume: Volume) -> None:
    machine = boot(PROGRAM.replace("range(10)", "range(0)"), volume)
    await_console(machine, b"up")
    injection = inject(machine, InjectedFault({"execve": 1}, "KILL"))
    volume.write("go", b"")

    machine.wait(30)

    until(lambda: injection.hits() == 1)


def test_without_an_effect_calls_are_counted_and_done(machine: Machine, volume: Volume) -> None:
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 1), None))
    volume.write("go", b"")
    await_console(machine, b"child 0")

    assert [(number, rival) for _, number, rival in injection.on_volume()] == [
        (number, "nobody") for number in range(2, 12)
    ]
    assert injection.hits() == 0
    assert "9.done" in volume.entries()
    injection.close()


def test_a_later_program_that_makes_as_many_calls_is_a_rival(boot: Boot, volume: Volume) -> None:
    machine = boot(WITH_A_RIVAL, volume)
    await_console(machine, b"up")
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 1), None))
    volume.write("go", b"")
    await_console(machine, b"child 0")

    assert [(number, rival) for _, number, rival in injection.on_volume()] == [
        (number, "a later program") for number in range(2, 12)
    ]
    injection.close()


@pytest.mark.parametrize(("later_programs", "done"), [(True, set()), (False, {"0.done", "1.done", "2.done"})])
def test_a_kill_comes_to_a_later_program_first_or_passes_it_over(
    boot: Boot, volume: Volume, later_programs: bool, done: set[str]
) -> None:
    machine = boot(WITH_A_RIVAL, volume)
    await_console(machine, b"up")
    kill = InjectedFault(dict.fromkeys(RENAMES, 5), "KILL", later_programs=later_programs)
    injection = inject(machine, kill)
    volume.write("go", b"")
    machine.wait(30)

    assert {path for path in volume.entries() if path.endswith(".done")} == done
    until(lambda: injection.hits() == 1)
    injection.close()


def test_a_death_of_another_cause_is_no_hit(machine: Machine) -> None:
    injection = inject(machine, InjectedFault(dict.fromkeys(RENAMES, 1), "KILL"))

    machine.kill()

    injection.close()
    assert injection.hits() == 0


def test_a_machine_that_is_off_takes_no_fault(machine: Machine) -> None:
    machine.kill()

    with pytest.raises(MachineError, match="off"):
        machine.inject(InjectedFault(dict.fromkeys(RENAMES, 1), "EIO"))


def test_a_volume_is_mounted_read_only_or_that_is_not_supported(
    request: pytest.FixtureRequest, runtime: Runtime, new_name: Callable[[], str], volume: Volume
) -> None:
    image = request.getfixturevalue("base_image") if runtime.name == "docker" else None
    program = "import sys; open(sys.argv[1] + '/a', 'w')"
    spec = MachineSpec(new_name(), image, ("{python}", "-c", program, "{data}"), read_only=True)
    if runtime.name == "process":
        with pytest.raises(NotSupported, match="read-only"):
            runtime.require(Conditions(read_only=True))
        with pytest.raises(NotSupported, match="read-only"):
            runtime.create_machine(spec, volume)
        return
    runtime.require(Conditions(read_only=True, memory=1 << 28, fault=InjectedFault({"mkdir": 1}, None)))
    machine = runtime.create_machine(spec, volume)
    machine.start()
    try:
        machine.wait(30)
        assert b"Read-only file system" in machine.console()
    finally:
        machine.remove()
