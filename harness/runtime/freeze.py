"""Holding machines still for a moment, whichever runtime they are of."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import tenacity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .base import Machine


@contextmanager
def paused(machines: Sequence[Machine]) -> Iterator[None]:
    """None of them runs within the block; all go on behind it."""
    with ExitStack() as held:
        for machine in machines:
            machine.pause()
            held.callback(machine.resume)
        yield


def freeze_patiently(freeze: Callable[[], None], *, patience: float = 10.0) -> None:
    """On a busy computer the kernel may not hold all processes of a container at once, and does so a moment later.

    `patience` is in seconds. Raises what `freeze` raises at last, or at once where it is something else.
    """
    tenacity.retry(
        retry=tenacity.retry_if_exception(lambda error: "unable to freeze" in str(error)),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_fixed(0.05),
        reraise=True,
    )(freeze)()
