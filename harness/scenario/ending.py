"""How a scenario ends: its checks are concluded, what it made is deleted, and that is judged too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.runtime.base import NotSupported

if TYPE_CHECKING:
    from .scenario import Scenario


class HarnessBroken(Exception):
    """The harness itself went wrong, so that nothing in this scenario may be blamed on the implementation."""


@contextmanager
def brought_to_an_end(acted: Scenario) -> Iterator[None]:
    """Raises ContractBroken or HarnessBroken; skips where this runtime cannot do what the scenario needs."""
    try:
        yield
        acted.judge.conclude()
        acted.purge()
        acted.judge.conclude()
    except NotSupported as why:
        pytest.skip(f"could not run: {why}")
    finally:
        if defects := acted.harness_defects():
            raise HarnessBroken("; ".join(defects))
