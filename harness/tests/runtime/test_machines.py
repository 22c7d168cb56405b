"""What a machine does, in either runtime."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.runtime.base import MachineError, MachineSpec, NotSupported

from .conftest import Boot, await_console, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.runtime.base import Runtime, Volume

SLEEP = "import time; print('up'); time.sleep(1000)"
COUNT = """
import sys, time
for number in range(10 ** 6):
    with open(sys.argv[1] + "/count", "w") as file:
        file.write(str(number))
    if number == 0:
        print("counting")
    time.sleep(0.001)
"""
SERVE = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[2]), bind="0.0.0.0")
"""
POLITE = """
import signal, sys, time
def go(*_):
    print("going")
    sys.exit(7)
signal.signal(signal.SIGTERM, go)
print("up")
time.sleep(1000)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(1000)"
ESCAPED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            with open(sys.argv[1] + "/alive", "a") as file:
                file.write("x")
            time.sleep(0.005)
    os._exit(0)
os.wait()
print("up")
time.sleep(1000)
"""


def test_a_machine_writes_to_its_volume_and_the_volume_stays_when_the_machine_goes(
    boot: Boot, volume: Volume
) -> None:
    machine = boot("import sys; open(sys.argv[1] + '/greeting', 'w').write('hello')", volume)

    assert machine.wait(30) == 0
    machine.remove()

    assert volume.read("greeting") == b"hello"


def test_a_machine_that_was_only_made_has_not_run(boot: Boot) -> None:
    machine = boot.make(SLEEP)

    assert not machine.running()
    assert machine.exit_status() is None
    assert machine.console() == b""
    assert machine.processes() == []
    with pytest.raises(MachineError, match="never started"):
        machine.wait(1)


def test_the_console_holds_both_streams_of_every_start_and_outlives_the_machine(boot: Boot) -> None:
    machine = boot("import sys; print('out'); sys.stderr.write('err\\n')")
    machine.wait(30)
    machine.start()
    machine.wait(30)

    assert sorted(machine.console().split()) == [b"err", b"err", b"out", b"out"]
    machine.remove()
    assert sorted(machine.console().split()) == [b"err", b"err", b"out", b"out"]


def test_the_exit_status_is_the_programs_own_and_outlives_the_machine(boot: Boot) -> None:
    machine = boot("raise SystemExit(42)")

    assert machine.wait(30) == 42
    assert machine.exit_status() == 42
    machine.remove()
    assert machine.exit_status() == 42
    assert machine.wait(1) == 42


def test_waiting_for_a_machine_that_runs_on_times_out_in_time(boot: Boot) -> None:
    machine = boot(SLEEP)
    await_console(machine, b"up")

    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"still runs after 0\.2 s"):
        machine.wait(0.2)

    assert 0.2 <= time.monotonic() - began < 2
    assert machine.running()
    assert machine.exit_status() is None


def test_stop_lets_the_program_end_by_itself(boot: Boot) -> None:
    machine = boot(POLITE)
    await_console(machine, b"up")

    machine.stop(grace=20)

    assert machine.exit_status() == 7
    assert machine.console().endswith(b"going\n")


def test_stop_cuts_the_power_when_the_grace_is_over(boot: Boot) -> None:
    machine = boot(STUBBORN)
    await_console(machine, b"up")

    began = time.monotonic()
    machine.stop(grace=0.3)

    assert time.monotonic() - began >= 0.3
    assert machine.exit_status() in (137, -9)


def test_kill_ends_what_escaped_from_the_machines_session_too(boot: Boot, volume: Volume) -> None:
    machine = boot(ESCAPED, volume)
    await_console(machine, b"up")
    until(lambda: "alive" in volume.entries())

    machine.kill()

    assert not machine.running()
    assert machine.exit_status() in (137, -9)
    written = volume.read("alive")
    time.sleep(0.1)
    assert volume.read("alive") == written


def test_when_the_first_process_ends_the_machine_is_off_and_nothing_runs_on(
    boot: Boot, volume: Volume
) -> None:
    machine = boot(ESCAPED.replace("time.sleep(1000)", "time.sleep(0.2)"), volume)

    assert machine.wait(30) == 0

    assert machine.processes() == []
    written = volume.read("alive")
    time.sleep(0.1)
    assert volume.read("alive") == written


def test_stop_and_kill_of_a_machine_that_is_off_do_nothing(boot: Boot) -> None:
    machine = boot("raise SystemExit(3)")
    machine.wait(30)

    machine.stop(1)
    machine.kill()

    assert machine.exit_status() == 3


def test_a_paused_machine_stands_still_until_it_is_resumed(boot: Boot, volume: Volume) -> None:
    machine = boot(COUNT, volume)
    await_console(machine, b"counting")

    machine.pause()
    count = volume.read("count")
    time.sleep(0.1)
    assert volume.read("count") == count
    assert machine.running()

    machine.resume()
    until(lambda: volume.read("count") not in (count, b""))


def test_a_paused_machine_can_be_killed(boot: Boot) -> None:
    machine = boot(SLEEP)
    await_console(machine, b"up")
    machine.pause()

    machine.kill()

    assert not machine.running()


def test_a_paused_machine_that_is_stopped_is_off_at_once(boot: Boot) -> None:
    machine = boot(POLITE)
    await_console(machine, b"up")
    machine.pause()
    started = time.monotonic()

    machine.stop(60)

    assert not machine.running()
    assert time.monotonic() - started < 30
    assert b"going" not in machine.console()


def test_a_machine_that_is_off_cannot_be_paused(boot: Boot) -> None:
    machine = boot("pass")
    machine.wait(30)

    with pytest.raises(MachineError):
        machine.pause()


def test_processes_show_arguments_and_environment_of_all_that_runs(boot: Boot) -> None:
    program = "import os, sys; print('up'); os.fork(); import time; time.sleep(1000)"
    machine = boot(program, SPECIAL="value of {port} and {braces}")
    await_console(machine, b"up")
    until(lambda: len(machine.processes()) == 2)

    port = machine.url().rpartition(":")[2]
    for process in machine.processes():
        assert process.argv[1:4] == ("-u", "-c", program)
        assert process.argv[-1] == port
        assert process.environment["SPECIAL"] == f"value of {port} and {{braces}}"


def test_a_machine_inherits_nothing_of_the_harnesss_environment(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-harness-own")
    machine = boot("import os; print(dict(os.environ))")
    machine.wait(30)

    assert b"the-harness-own" not in machine.console()
    assert b"HOME" in machine.console()


def test_a_machine_is_reached_at_its_url(boot: Boot) -> None:
    machine = boot(SERVE)
    await_console(machine, b"Serving")

    assert httpx.get(machine.url(), trust_env=False).status_code == 200


def test_machines_reach_one_another(boot: Boot) -> None:
    server = boot(SERVE)
    await_console(server, b"Serving")
    url = f"http://{server.address()}:{server.url().rpartition(':')[2]}"

    client = boot(f"import urllib.request; print(urllib.request.urlopen({url!r}).status)")

    assert client.wait(30) == 0
    assert client.console() == b"200\n"


def test_an_address_is_given_again_once_its_machine_is_removed(boot: Boot, volume: Volume) -> None:
    first = boot.make(SLEEP, volume)
    first.start()
    address, url = first.address(), first.url()
    first.kill()
    first.remove()

    second = boot.make(SERVE, at=url)
    second.start()

    await_console(second, b"Serving")
    assert (second.address(), second.url()) == (address, url)
    assert httpx.get(url, trust_env=False).status_code == 200


def test_an_address_that_a_machine_has_is_given_to_no_other(boot: Boot, volume: Volume) -> None:
    first = boot.make(SERVE, volume)
    first.start()
    await_console(first, b"Serving")

    with pytest.raises(MachineError, match=first.url()):
        boot.make(SLEEP, at=first.url())

    assert httpx.get(first.url(), trust_env=False).status_code == 200


def test_machines_reach_the_harness_where_it_says_it_is(runtime: Runtime, boot: Boot) -> None:
    with socket.create_server((runtime.bind_host, 0)) as listener:
        where = (runtime.advertise_host, listener.getsockname()[1])
        boot(f"import socket; socket.create_connection({where!r}).sendall(b'hello')")
        listener.settimeout(30)

        connection, _ = listener.accept()

        with connection:
            assert connection.recv(5) == b"hello"


def test_the_root_disk_survives_a_restart(boot: Boot) -> None:
    machine = boot(
        "import pathlib; p = pathlib.Path.home() / 'boots'; p.open('a').write('x'); print(p.read_text())"
    )
    machine.wait(30)
    machine.start()
    machine.wait(30)

    assert machine.console() == b"x\nxx\n"


def test_a_running_machine_is_not_started_twice(boot: Boot) -> None:
    machine = boot(SLEEP)

    with pytest.raises(MachineError, match="running already"):
        machine.start()


def test_a_machine_removed_while_it_runs_is_off(boot: Boot) -> None:
    machine = boot(SLEEP)
    await_console(machine, b"up")

    machine.remove()
    machine.remove()

    assert not machine.running()
    with pytest.raises(MachineError):
        machine.start()


def test_a_command_that_does_not_exist_is_named(
    runtime: Runtime, boot: Boot, new_name: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    image = request.getfixturevalue("base_image") if runtime.name == "docker" else None
    machine = runtime.create_machine(MachineSpec(new_name(), image, ("no-such-program",)))

    with pytest.raises(MachineError, match="no-such-program"):
        machine.start()

    machine.remove()


@pytest.mark.parametrize("make_runtime", ["docker"], indirect=True)
def test_an_image_that_does_not_exist_is_named(runtime: Runtime, new_name: Callable[[], str]) -> None:
    with pytest.raises(MachineError, match="no-such-image"):
        runtime.create_machine(MachineSpec(new_name(), "no-such-image:1", ("true",)))


def test_two_machines_of_one_name_are_refused(
    runtime: Runtime, new_name: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    image = request.getfixturevalue("base_image") if runtime.name == "docker" else None
    spec = MachineSpec(new_name(), image, ("true",))
    machine = runtime.create_machine(spec)

    with pytest.raises(MachineError, match=spec.name):
        runtime.create_machine(spec)

    machine.remove()


def test_a_memory_limit_holds_or_is_not_supported(
    runtime: Runtime, new_name: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    image = request.getfixturevalue("base_image") if runtime.name == "docker" else None
    greedy = ("{python}", "-c", "b'x' * (200 << 20); print('had it')")
    spec = MachineSpec(new_name(), image, greedy, memory=32 << 20)
    if runtime.name == "process":
        with pytest.raises(NotSupported, match="memory"):
            runtime.create_machine(spec)
        return

    machine = runtime.create_machine(spec)
    machine.start()

    assert machine.wait(30) == 137
    assert machine.console() == b""
    machine.remove()
