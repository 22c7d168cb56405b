"""When things happened, as far as a ledger tells: it has durations, and no time of day but that of the run."""

from __future__ import annotations

from collections import defaultdict

from ..ledger import Header
from ..page.text import moment


class Clock:
    """Lays what one worker did end to end from the run's start, in the order in which it finished.

    Times are in milliseconds since the epoch. Whatever a worker did between two scenarios is left out.
    """

    def __init__(self, header: Header) -> None:
        began = moment(header.started)
        start = round(began.timestamp() * 1000) if began is not None else 0
        self._next: defaultdict[str, int] = defaultdict(lambda: start)

    def span(self, worker: str, seconds: float) -> tuple[int, int]:
        """The start and end of what this worker did next."""
        start = self._next[worker]
        self._next[worker] = stop = start + round(seconds * 1000)
        return start, stop
