"""Work, now on a pool of threads or later by one clock thread that sleeps until the next deadline."""

from __future__ import annotations

import heapq
import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Condition, Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Scheduler:
    """Runs callables on `workers` threads. Once closed, it starts nothing more."""

    def __init__(self, workers: int) -> None:
        self.closing = Event()
        """Set when the process is to end: bounded waits give up on it."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._changed = Condition()
        self._clock = Thread(target=self._run, name="clock", daemon=True)
        self._clock.start()

    def now(self, work: Callable[[], None]) -> None:
        with self._changed:
            if not self.closing.is_set():
                self._pool.submit(self._guarded, work)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (monotonic() + max(0.0, seconds), next(self._order), work))
            self._changed.notify()

    def close(self) -> None:
        """Drops what is not yet started and waits for what is."""
        with self._changed:
            self.closing.set()
            self._changed.notify()
        self._clock.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self.closing.is_set() and not (self._due and self._due[0][0] <= monotonic()):
                    self._changed.wait(self._due[0][0] - monotonic() if self._due else None)
                if self.closing.is_set():
                    return
                _, _, work = heapq.heappop(self._due)
            self.now(work)

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("background work failed")
