"""How a boot that is told to stop stops: as an exception, so that everything open is closed on its way."""

from __future__ import annotations

from types import FrameType
from typing import NoReturn


def end_cleanly(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
