"""One change to one module: the lines that were, and the lines that they become."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True, slots=True)
class Edit:
    """From line `line` (the first is 1), the lines `was` become `becomes`; either may be none."""

    line: int
    was: tuple[str, ...]
    becomes: tuple[str, ...]

    @classmethod
    def between(cls, before: str, after: str) -> Edit | None:
        """The least that turns one source into the other; None where they are the same."""
        old, new = before.splitlines(), after.splitlines()
        if old == new:
            return None
        first = _alike(old, new)
        last = _alike(reversed(old[first:]), reversed(new[first:]))
        return cls(first + 1, tuple(old[first : len(old) - last]), tuple(new[first : len(new) - last]))

    def shown(self, path: str, source: str, *, context: int = 2) -> str:
        """A unified diff of the module's source."""
        lines = source.splitlines()
        changed = [*lines[: self.line - 1], *self.becomes, *lines[self.line - 1 + len(self.was) :]]
        return "\n".join(
            difflib.unified_diff(lines, changed, f"a/{path}", f"b/{path}", n=context, lineterm="")
        )

    @property
    def words(self) -> tuple[str, str]:
        """What it was and what it becomes, whatever the indentation: by these a kept entry names it."""
        return _joined(self.was), _joined(self.becomes)


def _alike(some: Iterable[str], others: Iterable[str]) -> int:
    """How many lines are the same before the first that is not."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others, strict=False)))


def _joined(lines: tuple[str, ...]) -> str:
    return "\n".join(line.strip() for line in lines)
