"""How a scenario ends: its checks are concluded, what it made is deleted, and that is judged too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.oracle.check import ContractBroken, NotApplicable
from harness.runtime.base import NotSupported

if TYPE_CHECKING:
    from .scenario import Scenario

NOT_APPLICABLE = "not applicable"
"""How the reason of a skip begins where the implementation does not claim what the scenario is about."""


class HarnessBroken(Exception):
    """The harness itself went wrong, so that nothing in this scenario may be blamed on the implementation."""


@contextmanager
def brought_to_an_end(acted: Scenario) -> Iterator[None]:
    """Raises ContractBroken or HarnessBroken. What ended it and is tolerated does not fail it.

    Skips where this runtime cannot do what the scenario needs, or where the implementation does not claim it.
    """
    try:
        yield
        acted.judge.conclude()
        acted.purge()
        acted.judge.conclude()
    except ContractBroken as broken:
        # Of many examples the one that broke it was judged apart.
        acted.judge.lines += [line for line in broken.failed if line not in acted.judge.lines]
        if not acted.judge.tolerates(broken):
            raise
    except NotSupported as why:
        pytest.skip(f"could not run: {why}")
    except NotApplicable as why:
        pytest.skip(f"{NOT_APPLICABLE}: {why}")
    finally:
        if defects := acted.harness_defects():
            raise HarnessBroken("; ".join(defects))
