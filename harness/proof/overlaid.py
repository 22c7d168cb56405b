"""A good implementation with something laid over it: a folder with a manifest, and with `overlay.py`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from harness.contract.strict import Strict


class OverlaidProblem(Exception):
    """A mutant or a variant that cannot be used; one line saying why."""


class Overlaid(Strict):
    """What every such manifest comes to."""

    name: str
    folder: Path

    @property
    def overlay(self) -> Path:
        """Functions that replace the implementation's own by name."""
        return self.folder / "overlay.py"


Kind = TypeVar("Kind", bound=Overlaid)


def load_overlaid(kind: type[Kind], word: str, folder: Path) -> Kind:
    """Of a folder with `<word>.toml`. Raises OverlaidProblem: no such folder, no overlay, a missing or unknown key."""
    manifest = folder / f"{word}.toml"
    try:
        table = tomllib.loads(manifest.read_text())
        overlaid = kind.model_validate({**table, "name": folder.resolve().name, "folder": folder.resolve()})
    except (FileNotFoundError, NotADirectoryError):
        raise OverlaidProblem(
            f"--{word} {folder}: no {manifest.name} in it; give a folder of fixtures/{word}s"
        ) from None
    except (tomllib.TOMLDecodeError, ValidationError) as wrong:
        raise OverlaidProblem(f"{manifest}: {' '.join(str(wrong).split())}") from None
    if not overlaid.overlay.is_file():
        raise OverlaidProblem(f"{folder}: no overlay.py in it, so it would be no {word}")
    return overlaid
