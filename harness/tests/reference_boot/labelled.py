"""How well the reference tells live credentials from what resembles them, on the set in `fixtures/credentials`.

`python -m harness.tests.reference_boot.labelled` prints precision, recall and every text that was judged wrong, as the
template that it was made of.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.contract.credentials import expand
from harness.reference.errors import BootError
from harness.reference.inspection import inspected

FOLDER = Path(__file__).parents[3] / "fixtures" / "credentials"


@dataclass(frozen=True)
class Outcome:
    """Templates by how they were judged, each as `group: template`."""

    found: tuple[str, ...]
    missed: tuple[str, ...]
    passed: tuple[str, ...]
    refused: tuple[str, ...]
    """Harmless, and yet refused."""

    @property
    def precision(self) -> float:
        return len(self.found) / (len(self.found) + len(self.refused))

    @property
    def recall(self) -> float:
        return len(self.found) / (len(self.found) + len(self.missed))


def judge() -> Outcome:
    live, harmless = _texts("live"), _texts("harmless")
    return Outcome(
        found=tuple(each for each in live if _is_refused(live[each])),
        missed=tuple(each for each in live if not _is_refused(live[each])),
        passed=tuple(each for each in harmless if not _is_refused(harmless[each])),
        refused=tuple(each for each in harmless if _is_refused(harmless[each])),
    )


def _texts(label: str) -> dict[str, bytes]:
    groups = tomllib.loads((FOLDER / f"{label}.toml").read_text("utf-8"))
    return {
        f"{name}: {template.strip()}": f"{expand(template).text}\n".encode()
        for name, group in groups.items()
        for template in group["texts"]
    }


def _is_refused(content: bytes) -> bool:
    try:
        for _ in inspected("prompts/a.md", [content], ()):
            pass
    except BootError:
        return True
    return False


def main() -> int:
    outcome = judge()
    live = len(outcome.found) + len(outcome.missed)
    harmless = len(outcome.passed) + len(outcome.refused)
    lines = [
        f"credentials: {live} live texts, {harmless} harmless ones",
        f"  precision {outcome.precision:.3f}, recall {outcome.recall:.3f}",
        *(f"  missed   {each!r}" for each in outcome.missed),
        *(f"  refused  {each!r}" for each in outcome.refused),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
