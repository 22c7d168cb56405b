"""All canaries of a scenario, and the one search for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .canaries import CREDENTIAL_FIELD
from .search import Search

if TYPE_CHECKING:
    from .canaries import Brood, Canary


class Aviary:
    """Where the canaries of all tenants of a scenario are from: none of them may surface, whosever it is."""

    def __init__(self, key: bytes, told: list[Brood] | None = None) -> None:
        """Each brood is entered in `told` too, which may be of several aviaries."""
        self.told: list[Brood] = told if told is not None else []
        self._key = key
        self._canaries: list[Canary] = []
        self._search: Search | None = None

    def hatch(self, brood: Brood) -> dict[str, Canary]:
        """Its canaries, by field."""
        canaries = brood.canaries(self._key)
        self.told.append(brood)
        self._canaries += canaries.values()
        self._search = None
        return canaries

    def another(self) -> Aviary:
        """With nothing in it yet, for one of several examples."""
        return Aviary(self._key, self.told)

    @property
    def template_tokens(self) -> list[Canary]:
        """Of all tenants, with those that they had before, and of tenants that are gone."""
        return [canary for canary in self._canaries if canary.field == CREDENTIAL_FIELD]

    @property
    def search(self) -> Search:
        """For all that ever hatched here, former secrets included."""
        if self._search is None:
            self._search = Search(self._canaries)
        return self._search
