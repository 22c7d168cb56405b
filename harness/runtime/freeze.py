"""Holding machines still for a moment, whichever runtime they are of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .base import Machine


@contextmanager
def paused(machines: Sequence[Machine]) -> Iterator[None]:
    """None of them runs within the block; all go on behind it."""
    for machine in machines:
        machine.pause()
    try:
        yield
    finally:
        for machine in machines:
            machine.resume()
