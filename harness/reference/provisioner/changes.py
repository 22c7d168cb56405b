"""Tells whoever waits for a workspace that something about it has changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Changes:
    """Wakes tasks of event loops from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = defaultdict(set)

    @contextmanager
    def listen(self, workspace: str) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set at every change from now on; the listener clears it."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiting[workspace].add(listener)
        try:
            yield listener[1]
        finally:
            with self._lock:
                self._waiting[workspace].discard(listener)
                if not self._waiting[workspace]:
                    del self._waiting[workspace]

    def notify(self, workspace: str) -> None:
        """To be called after the change is committed."""
        with self._lock:
            listeners = tuple(self._waiting.get(workspace, ()))
            for loop, event in listeners:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)
