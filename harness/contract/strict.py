"""What every file of the contract is held to: no unknown key, nothing empty, nothing changed once it is loaded."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Strict(BaseModel):
    """A table whose unknown keys are errors: a typo would otherwise silently empty a whole leg of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
