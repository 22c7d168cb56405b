"""What the harness's own tests share."""

from __future__ import annotations

import pytest

from harness.runtime.engine import engine_available


@pytest.fixture(scope="session")
def needs_engine() -> None:
    """For tests of what only a container engine can do."""
    if (without := engine_available()) is not None:
        pytest.skip(f"could not run: {without}")
