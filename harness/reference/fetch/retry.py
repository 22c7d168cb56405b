"""Trying again what may pass by itself, within the bounds of the fetch (CHN-10)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import TransientError
from .limits import Budget

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
"""Seconds, where the other side asked for none."""


def patiently(budget: Budget, attempt: Callable[[], T]) -> T:
    """The first result of `attempt`, or the last TransientError once retries or time are used up."""
    try:
        return attempt()
    except TransientError as first:
        return again(budget, attempt, first)


def again(budget: Budget, attempt: Callable[[], T], first: TransientError) -> T:
    """The same after a first try that failed elsewhere: it is waited before `attempt` is called."""
    # Loaded only now: nearly every boot succeeds at its first try.
    import tenacity

    from_own_schedule = tenacity.wait_exponential_jitter(
        multiplier=_FIRST_WAIT, max=_LONGEST_WAIT, jitter=_FIRST_WAIT
    )
    failures = iter([first])

    def try_once() -> T:
        for failure in failures:
            raise failure
        return attempt()

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and error.retry_after is not None:
            return min(error.retry_after, budget.remaining())
        return min(from_own_schedule(state), budget.remaining())

    def announce(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s; trying again in %.1f s", error, state.upcoming_sleep)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(budget.limits.retries + 1),
        wait=wait,
        before_sleep=announce,
        reraise=True,
    )(try_once)
