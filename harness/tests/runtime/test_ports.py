"""Machines that are processes share the ports of this computer, with those of every other worker and run."""

from __future__ import annotations

import subprocess
import sys

_FIRST_PORTS = """
import random
random.seed(1)  # as pytest-randomly does, in every worker alike
from harness.runtime.process import _free_port
print(*(_free_port() for _ in range(20)))
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
