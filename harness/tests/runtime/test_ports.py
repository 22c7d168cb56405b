"""Machines that are processes share the ports of this computer, with those of every other worker and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.runtime.base import MachineError
from harness.runtime.ports import Port

_FIRST_PORTS = """
import random
random.seed(1)  # as pytest-randomly does, in every worker alike
from harness.runtime.ports import Port
print(*(Port.any_free().number for _ in range(20)))
"""
_KEPT = """
import sys
from harness.runtime.ports import Port
port = Port.any_free()
print(port.number, flush=True)
sys.stdin.read()
"""


def test_workers_of_one_seed_choose_their_ports_in_an_order_of_their_own() -> None:
    first, second = (
        subprocess.run(
            [sys.executable, "-c", _FIRST_PORTS], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )

    assert len(set(first.split())) == 20
    assert first != second


def test_a_port_on_which_nobody_listens_yet_is_given_to_no_machine_of_another_worker() -> None:
    taken = "no machine can be at .*: Address already in use"
    with kept_by_another_process() as url, pytest.raises(MachineError, match=taken):
        Port.of(url)

    Port.of(url).release()


def test_a_port_is_free_again_once_it_is_released() -> None:
    port = Port.any_free()
    url = f"http://127.0.0.1:{port.number}"
    with pytest.raises(MachineError):
        Port.of(url)

    port.release()

    Port.of(url).release()


@contextmanager
def kept_by_another_process() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", _KEPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()
