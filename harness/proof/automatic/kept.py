"""`fixtures/equivalents.toml`: mutants that no scenario has to catch, each with the reason why it is no fault."""

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


class _File(Strict):
    equivalent: tuple[Kept, ...] = ()


def load_kept(path: Path, of: Sequence[Module]) -> tuple[Kept, ...]:
    """Raises KeptProblem: an unknown key, no reason, or an entry of which there is no such mutant any more."""
    try:
        kept = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).equivalent
    except FileNotFoundError:
        raise KeptProblem(f"{path}: no such file; an empty one explains nothing") from None
    except (tomllib.TOMLDecodeError, ValidationError) as wrong:
        raise KeptProblem(f"{path}: {' '.join(str(wrong).split())}") from None
    for entry in kept:
        _know(path, entry, of)
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
