"""The kill matrix as files: `kill-matrix.json` for programs, `kill-matrix.html` for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.contract.requirements import Contract, Requirement

from .matrix import Cell, Matrix, Outcome, Row

NAME = "kill-matrix"
_MARKS = {
    Cell.KILL: "●",
    Cell.MISSED: "○",
    Cell.ALARM: "▲",
    Cell.UNIVERSAL_ALARM: "△",
    Cell.HELD: "·",
    Cell.NOT_JUDGED: "",
}


@dataclass(frozen=True, slots=True)
class Square:
    """One mutant under one requirement."""

    kind: str
    """The cell's name in CSS."""
    mark: str
    title: str


@dataclass(frozen=True, slots=True)
class Area:
    """Requirements that stand side by side."""

    code: str
    title: str
    requirements: tuple[Requirement, ...]


def write(matrix: Matrix, contract: Contract, folder: Path) -> tuple[Path, Path]:
    """Both files, into the folder of the proof: the page, then the data."""
    data, page = folder / f"{NAME}.json", folder / f"{NAME}.html"
    data.write_text(json.dumps(matrix.as_data(), indent=2, ensure_ascii=False) + "\n")
    page.write_text(render(matrix, contract))
    return page, data


def render(matrix: Matrix, contract: Contract) -> str:
    """One page that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("harness.proof", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = _columns(matrix, contract)
    return environment.get_template(f"{NAME}.html.j2").render(
        matrix=matrix,
        contract=contract,
        outcomes=[(outcome, matrix.outcomes()[outcome]) for outcome in Outcome],
        areas=_areas(contract, columns),
        squares=_squares(matrix, columns),
        worst_first=sorted(matrix.rows, key=lambda row: row.outcome is Outcome.KILLED),
        marks=[(mark, _slug(cell), cell) for cell, mark in _MARKS.items() if mark],
        slug=_slug,
    )


def _columns(matrix: Matrix, contract: Contract) -> list[Requirement]:
    """What the proof is about, and what tripped besides, in the contract's order."""
    named = {
        name for row in matrix.rows for name in (*row.caught_by, *(trip.requirement for trip in row.trips))
    }
    return [each for each in contract.requirements.values() if each.id in named or each.id in matrix.scope]


def _areas(contract: Contract, columns: Sequence[Requirement]) -> list[Area]:
    return [
        Area(code, contract.areas[code], tuple(requirements))
        for code, requirements in groupby(columns, key=lambda requirement: requirement.area)
    ]


def _squares(matrix: Matrix, columns: Sequence[Requirement]) -> dict[str, dict[str, Square]]:
    """By mutant, by requirement."""
    return {row.name: {each.id: _square(row, each.id) for each in columns} for row in matrix.rows}


def _square(row: Row, requirement: str) -> Square:
    cell = row.cell(requirement)
    trips = [trip for trip in row.trips if trip.requirement == requirement]
    lines = [f"{requirement} × {row.name}: {cell}", *(f"{trip.check}: {trip.problem}" for trip in trips)]
    return Square(_slug(cell), _MARKS[cell], "\n".join(lines))


def _slug(words: str) -> str:
    return words.replace(",", "").replace(" ", "-")
