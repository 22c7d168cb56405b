"""What the harness's own tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.runtime.engine import engine_available


@pytest.fixture(scope="session")
def needs_engine() -> None:
    """For tests of what only a container engine can do."""
    if (without := engine_available()) is not None:
        pytest.skip(f"could not run: {without}")


@pytest.fixture(scope="session", autouse=True)
def _runs_within_this_one_are_not_shown_by_github() -> Iterator[None]:
    """Most of them are meant to fail."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("GITHUB_STEP_SUMMARY", raising=False)
        yield
