"""Measures which lines and branches of a Python implementation run: Python imports this by itself at its start.

What runs counts for the context that is named by a file `context` beside the data, if there is one, at that moment.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import coverage

_LOOK = 0.02
"""Seconds between two looks at which context it is."""


def _follow(measuring: coverage.Coverage, context: Path, known: str) -> None:
    while True:
        time.sleep(_LOOK)
        if (now := context.read_text()) != known:
            measuring.switch_context(now)
            known = now


os.environ.setdefault("COVERAGE_PROCESS_START", str(Path(__file__).with_name("coveragerc")))
coverage.process_startup()
_measuring = coverage.Coverage.current()
if _measuring is not None:
    _context = Path(str(_measuring.get_option("run:data_file"))).with_name("context")
    if _context.is_file():
        _now = _context.read_text()
        _measuring.switch_context(_now)
        Thread(target=_follow, args=(_measuring, _context, _now), daemon=True).start()
