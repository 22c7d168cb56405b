"""Measures which lines and branches of a Python implementation run: Python imports this by itself at its start."""

from __future__ import annotations

import os
from pathlib import Path

import coverage

os.environ.setdefault("COVERAGE_PROCESS_START", str(Path(__file__).with_name("coveragerc")))
coverage.process_startup()
