"""Another good implementation: one that conforms as well, and differs in what the contract leaves open.

A variant is a folder with `variant.toml` (what differs, by which words of the contract, and what its manifest says
otherwise) and `overlay.py`, which is laid over the implementation as a mutant's is.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from harness.contract.strict import Words
from harness.proof.overlaid import Overlaid


class VariantProblem(Exception):
    """A variant that cannot be used; one line saying why."""


class Variant(Overlaid):
    """A loaded `variant.toml`."""

    differs: Words
    """What it does otherwise, in a sentence."""
    left_open: Words
    """The words of the contract that allow it, and what they do not say."""
    manifest: dict[str, Any] = Field(default_factory=dict)
    """What is laid over `implementation.toml`, table by table."""


def load_variant(folder: Path) -> Variant:
    """Raises VariantProblem: no such folder, no overlay, a missing or unknown key."""
    manifest = folder / "variant.toml"
    try:
        table = tomllib.loads(manifest.read_text())
        variant = Variant.model_validate({**table, "name": folder.resolve().name, "folder": folder.resolve()})
    except (FileNotFoundError, NotADirectoryError):
        raise VariantProblem(
            f"--variant {folder}: no variant.toml in it; give a folder of fixtures/variants"
        ) from None
    except (tomllib.TOMLDecodeError, ValidationError) as wrong:
        raise VariantProblem(f"{manifest}: {' '.join(str(wrong).split())}") from None
    if not variant.overlay.is_file():
        raise VariantProblem(f"{folder}: no overlay.py in it, so it would differ in nothing")
    return variant
