"""One change to one module: the lines that were, and the lines that they become."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


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
        changes = [
            change
            for change in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
            if change[0] != "equal"
        ]
        if not changes:
            return None
        (_, first, _, new_first, _), (_, _, last, _, new_last) = changes[0], changes[-1]
        return cls(first + 1, tuple(old[first:last]), tuple(new[new_first:new_last]))

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


def _joined(lines: tuple[str, ...]) -> str:
    return "\n".join(line.strip() for line in lines)
