"""Another good implementation: one that conforms as well, and differs in what the contract leaves open.

A variant is a folder with `variant.toml` (what differs, by which words of the contract, and what its manifest says
otherwise) and `overlay.py`, which is laid over the implementation as a mutant's is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from harness.contract.strict import Words
from harness.proof.overlaid import Overlaid, load_overlaid


class Variant(Overlaid):
    """A loaded `variant.toml`."""

    differs: Words
    """What it does otherwise, in a sentence."""
    left_open: Words
    """The words of the contract that allow it, and what they do not say."""
    manifest: dict[str, Any] = Field(default_factory=dict)
    """What is laid over `implementation.toml`, table by table."""


def load_variant(folder: Path) -> Variant:
    """Raises OverlaidProblem."""
    return load_overlaid(Variant, "variant", folder)
