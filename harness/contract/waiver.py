"""A known failure that an implementation asks to be let pass for a while."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import model_validator

from .strict import Strict, Words


class Waiver(Strict):
    """A row of `[[waivers]]`: of one requirement, or of one of its checks."""

    requirement: Words | None = None
    check: Words | None = None
    reason: Words
    owner: Words
    """Who is to mend it."""
    issue: Words
    """Where that is followed."""
    expires: date
    """The last day on which it holds."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.requirement is None) == (self.check is None):
            raise ValueError('give either requirement = "HEAL-1" or check = "heal_1_…"')
        return self
