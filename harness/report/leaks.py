"""No secret of a run in what the run itself leaves behind: its ledger, artifacts, consoles, whatever is attached."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from harness.oracle.canaries import Brood
from harness.oracle.search import Search

_AT_ONCE = 32
"""Tenants whose secrets are searched for in one pass, which keeps the automaton small."""


def secrets_in(folder: Path, broods: Iterable[Brood], key: bytes) -> list[str]:
    """One line for each secret of these broods in each file below the folder, in names too; the secret not shown."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = "\n".join(str(path.relative_to(folder)) for path in files).encode("utf-8", "surrogateescape")
    left, found = iter(broods), dict[str, None]()
    while some := list(islice(left, _AT_ONCE)):
        search = Search(canary for brood in some for canary in brood.canaries(key).values())
        sightings = search.leaks(names, "the names of files")
        for path in files:
            sightings += search.leaks(path.read_bytes(), str(path.relative_to(folder)))
        found |= dict.fromkeys(map(str, sightings))
    return list(found)
