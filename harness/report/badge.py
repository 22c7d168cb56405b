"""What a run comes to in two words, for a page that is not ours: an SVG, and the JSON that shields.io draws one from.

https://shields.io/badges/endpoint-badge
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .conclusion import Conclusion, Outcome

LABEL = "conformance"
_CHARACTER = 6.6
"""Pixels that one takes at most, on average, in the type of the badge."""
_PADDING = 12


class Colour(Enum):
    """By shields.io's name."""

    GREEN = "brightgreen"
    YELLOW = "yellow"
    RED = "red"

    @property
    def hex(self) -> str:
        """Dark enough for white letters."""
        return {Colour.GREEN: "#1a7f37", Colour.YELLOW: "#8f6a00", Colour.RED: "#c0262d"}[self]


_COLOURS = {Outcome.CONFORMS: Colour.GREEN, Outcome.INCOMPLETE: Colour.YELLOW}
"""All the rest is red."""


@dataclass(frozen=True, slots=True)
class Badge:
    """`message` is what stands beside the label."""

    message: str
    colour: Colour

    @classmethod
    def of(cls, conclusion: Conclusion, revision: str) -> Self:
        """Green is a whole run that conforms, and nothing else. `revision` is that of the contract."""
        noted = ", with notes" if conclusion.signable and conclusion.notes else ""
        return cls(
            f"{conclusion.outcome.value}, contract {revision}{noted}",
            _COLOURS.get(conclusion.outcome, Colour.RED),
        )

    @classmethod
    def of_a_broken_run(cls) -> Self:
        """Of a ledger that is not whole: no badge at all would leave an older one standing."""
        return cls("no verdict", Colour.RED)

    def write(self, folder: Path) -> list[Path]:
        """`badge.svg` and `badge.json` in the folder, which is made if absent. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        drawn, told = folder / "badge.svg", folder / "badge.json"
        drawn.write_text(self._svg(), encoding="utf-8")
        document = {
            "schemaVersion": 1,
            "label": LABEL,
            "message": self.message,
            "color": self.colour.value,
            "isError": self.colour is Colour.RED,
        }
        told.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return [drawn, told]

    def _svg(self) -> str:
        environment = Environment(
            autoescape=True,
            undefined=StrictUndefined,
            loader=FileSystemLoader(Path(__file__).parent),
            trim_blocks=True,
        )
        environment.filters["width"] = lambda text: round(len(text) * _CHARACTER) + _PADDING
        return environment.get_template("badge.svg.j2").render(badge=self, label=LABEL) + "\n"
