"""Scenarios by names that a link can carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..ledger import Verdict


@dataclass(frozen=True, slots=True)
class Reference:
    """A scenario: where on the page it is, and what it is called there."""

    id: str
    suite: str
    function: str
    parameters: str
    verdict: Verdict


def references(scenarios: Iterable[tuple[str, Verdict]]) -> dict[str, Reference]:
    """By node id. Each has an id of its own, in which there are only letters, digits, `.`, `-` and `_`."""
    found: dict[str, Reference] = {}
    taken: set[str] = set()
    for node, verdict in scenarios:
        suite, function, parameters = _split(node)
        name = f"{function}-{parameters}" if parameters else function
        address = f"{slug(suite)}.{slug(name)}"
        unique, again = address, 2
        while unique in taken:
            unique, again = f"{address}.{again}", again + 1
        taken.add(unique)
        found[node] = Reference(unique, suite, function, parameters, verdict)
    return found


def suite_of(node: str) -> str:
    """`missing_config` of `scenarios/test_missing_config.py::test_…`."""
    return _split(node)[0]


def _split(node: str) -> tuple[str, str, str]:
    file, _, name = node.partition("::")
    function, _, parameters = name.partition("[")
    suite = file.rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    return suite, function, parameters.removesuffix("]")


def slug(text: str) -> str:
    """With nothing in it but letters, digits, `-` and `_`."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in text
    )
