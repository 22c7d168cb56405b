"""A known-bad implementation: a good one with one realistic fault laid over it.

A mutant is a folder with `mutant.toml` (what it breaks, and which requirement must catch it) and `overlay.py`, whose
functions replace functions of the implementation by name. The implementation knows nothing of it: Python imports
`sitecustomize` from the overlay's folder at its start, and that lays the overlay over each module as it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.contract.requirements import Contract, ContractProblem
from harness.contract.strict import Words
from harness.proof.overlaid import Overlaid, OverlaidProblem, load_overlaid

LOADER = Path(__file__).with_name("overlay")
"""The folder with the sitecustomize.py that every mutant is loaded by."""


class Mutant(Overlaid):
    """A loaded `mutant.toml`."""

    breaks: Words
    """What is wrong with it, in a sentence."""
    caught_by: Annotated[tuple[str, ...], Field(min_length=1)]
    """Requirements, one of which must fail."""
    scenarios: Words
    """The `-k` expression of scenarios that can catch it."""
    suite: str | None = None
    """The one suite that makes a situation in which it shows, as in `scenarios/test_<suite>.py`; None where more do."""
    runtime: Literal["docker"] | None = None
    """Where alone it shows; None where any runtime will do."""
    incident: Words | None = None
    """What really happened that it re-enacts."""


def load_mutant(folder: Path, contract: Contract) -> Mutant:
    """Raises OverlaidProblem: as `load_overlaid`, and for a requirement that the contract has not."""
    mutant = load_overlaid(Mutant, "mutant", folder)
    try:
        for requirement in mutant.caught_by:
            contract.requirement(requirement)
    except ContractProblem as wrong:
        raise OverlaidProblem(f"{folder / 'mutant.toml'}: {wrong}") from None
    return mutant
