"""EDIT: user edits."""

from __future__ import annotations

from .check import Saw, check
from .seen import CONFIGS, Seen


@check("EDIT-1")
def edit_1_user_edits_are_unchanged(seen: Seen) -> Saw:
    """Each file that the user edited or added has the user's bytes."""
    problems = []
    for path, want in seen.expected.edits.items():
        found = seen.content.get(f"{CONFIGS}/{path}")
        if found is None:
            problems.append(f"{path}: gone")
        elif found != want:
            problems.append(f"{path}: {len(found)} bytes, not the user's {len(want)} bytes")
    return Saw(f"{len(seen.expected.edits)} edits", tuple(problems))
