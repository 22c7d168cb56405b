"""`fixtures/equivalents.toml`: what no scenario has to catch, each with the reason why it is no fault.

Either one change that was seen to survive, or a whole function or module whose work the contract leaves open.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from harness.contract.strict import Strict, Words

from .mutation import Module, Mutation


class KeptProblem(Exception):
    """A kept list that cannot be used; one line saying why."""


class Kept(Strict):
    """An entry: every mutant that makes this of these lines, by whichever operator."""

    module: str
    """As it is imported."""
    within: str
    """The qualified name of the function or class; empty at the module's level."""
    was: str
    """The changed lines, without their indentation."""
    becomes: Annotated[tuple[str, ...], Field(min_length=1)]
    """What they become; more than one where all are explained by one reason."""
    reason: Words

    def explains(self, mutation: Mutation) -> bool:
        was, becomes = mutation.edit.words
        return (
            self.module == mutation.module
            and self.within == mutation.statement.within
            and self.was == was
            and becomes in self.becomes
        )


class Open(Strict):
    """What the contract leaves open: no place in it is drawn."""

    module: str
    """As it is imported."""
    within: str = ""
    """The qualified name of a function or class, with all that is in it; empty for the whole module."""
    reason: Words

    def covers(self, module: str, within: str) -> bool:
        return self.module == module and (self.within in ("", within) or within.startswith(f"{self.within}."))


class KeptList(Strict):
    """The file."""

    equivalent: tuple[Kept, ...] = ()
    open: tuple[Open, ...] = ()

    def leaves_open(self, module: str, within: str) -> bool:
        return any(each.covers(module, within) for each in self.open)


def load_kept(path: Path, of: Sequence[Module]) -> KeptList:
    """Raises KeptProblem: an unknown key, no reason, or an entry of which there is no such mutant or place any more."""
    try:
        kept = KeptList.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise KeptProblem(f"{path}: no such file; an empty one explains nothing") from None
    except (tomllib.TOMLDecodeError, ValidationError) as wrong:
        raise KeptProblem(f"{path}: {' '.join(str(wrong).split())}") from None
    for entry in kept.equivalent:
        _know(path, entry, of)
    for left in kept.open:
        _know_place(path, left, of)
    return kept


def _know(path: Path, entry: Kept, of: Iterable[Module]) -> None:
    """Raises KeptProblem where the entry is stale."""
    module = next((each for each in of if each.name == entry.module), None)
    made = () if module is None else tuple(module.mutations(at=entry.was.splitlines()[0]))
    for becomes in entry.becomes:
        one = entry.model_copy(update={"becomes": (becomes,)})
        if not any(map(one.explains, made)):
            raise KeptProblem(
                f"{path}: stale: no mutant makes {becomes!r} of {entry.was!r} in {entry.module}"
                f"{f', {entry.within}' if entry.within else ''} any more; remove it, or name the lines as they are now"
            )


def _know_place(path: Path, left: Open, of: Iterable[Module]) -> None:
    """Raises KeptProblem where nothing of that name can be mutated."""
    module = next((each for each in of if each.name == left.module), None)
    names = {module.statements.at(site.line).within for site in module.sites} if module is not None else set()
    if not any(left.covers(left.module, name) for name in names):
        place = f"{left.module}{f', {left.within}' if left.within else ''}"
        raise KeptProblem(
            f"{path}: stale: there is nothing to mutate in {place} any more; remove it, or name it as it is now"
        )
