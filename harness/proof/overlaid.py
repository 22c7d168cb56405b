"""A good implementation with something laid over it: a folder with a manifest, and with `overlay.py`."""

from __future__ import annotations

from pathlib import Path

from harness.contract.strict import Strict


class Overlaid(Strict):
    """What every such manifest comes to."""

    name: str
    folder: Path

    @property
    def overlay(self) -> Path:
        """Functions that replace the implementation's own by name."""
        return self.folder / "overlay.py"
