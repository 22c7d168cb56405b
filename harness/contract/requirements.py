"""The requirements as data: `requirements.toml`, loaded strictly."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from .strict import Strict, Words


class ContractProblem(Exception):
    """The contract's own data is wrong: a defect of the harness, never of an implementation."""


class _RequirementRow(Strict):
    text: Words
    level: Literal["MUST", "SHOULD"] = "MUST"
    evidence: Literal["observed", "gateway"] = "observed"
    needs: Literal["source"] | None = None


class _AreaTable(Strict):
    title: Words
    requirements: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Z]{3,4}-[1-9][0-9]*$")], _RequirementRow
    ]


class _ContractFile(Strict):
    revision: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
    words: dict[str, Words]
    areas: dict[Annotated[str, StringConstraints(pattern=r"^[A-Z]{3,4}$")], _AreaTable]


class Requirement(_RequirementRow):
    """One row of the contract."""

    id: str
    area: str


class Contract(Strict):
    """A revision of the contract."""

    revision: str
    digest: str
    """SHA-256, in hex, of what `sha256sum credentials.toml lifecycle.yaml requirements.toml` says: two runs of equal
    digest were judged by the same words, formats and interface."""
    areas: dict[str, str]
    """Titles by code, in the order of the file."""
    requirements: dict[str, Requirement]
    """By id, in the order of the file."""

    def requirement(self, name: str) -> Requirement:
        """Raises ContractProblem where the contract holds no such id: a check may not invent one."""
        try:
            return self.requirements[name]
        except KeyError:
            raise ContractProblem(f"requirement {name!r} is not in contract {self.revision}") from None


def load_contract(path: Path | None = None) -> Contract:
    """Of `requirements.toml`, and of the digest alone of what lies beside it.

    Raises ContractProblem on anything that the schema does not know, and on an id outside its area.
    """
    path = path or Path(__file__).with_name("requirements.toml")
    content = path.read_bytes()
    try:
        file = _ContractFile.model_validate(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as wrong:
        raise ContractProblem(f"{path.name}: {wrong}") from wrong
    requirements: dict[str, Requirement] = {}
    for code, area in file.areas.items():
        for name, row in area.requirements.items():
            if not name.startswith(f"{code}-"):
                raise ContractProblem(f"{path.name}: {name} stands in area {code}")
            requirements[name] = Requirement(id=name, area=code, **row.model_dump())
    return Contract(
        revision=file.revision,
        digest=_digest(path.parent),
        areas={code: area.title for code, area in file.areas.items()},
        requirements=requirements,
    )


def _digest(folder: Path) -> str:
    sums = "".join(
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n"
        for each in sorted(folder.iterdir())
        if each.suffix in (".toml", ".yaml")
    )
    return hashlib.sha256(sums.encode()).hexdigest()
