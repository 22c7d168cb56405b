"""Where a scenario's time goes, by what it was spent on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Part = Literal["world", "boots", "assertions", "teardown"]
"""Making templates, tenants and volumes; waiting for the implementation and its machines; looking at what came of it
and judging that; deleting it all."""


class Clock:
    """Seconds by part. Of parts within each other, the innermost counts."""

    def __init__(self) -> None:
        self.spent: dict[Part, float] = {}
        self._open: list[Part] = []
        self._since = 0.0

    @contextmanager
    def on(self, part: Part) -> Iterator[None]:
        self._turn()
        self._open.append(part)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._open:
            part = self._open[-1]
            self.spent[part] = self.spent.get(part, 0.0) + now - self._since
        self._since = now
