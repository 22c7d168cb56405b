"""Which scenarios reach which lines of an implementation, and how long each takes: measured once on the good one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coverage import CoverageData

from .mutation import Module, Mutation

_FORMAT = b"2"

Arc = tuple[int, int]
"""A step from one line to another; -1 is a function's beginning or end."""


@dataclass(frozen=True)
class Reached:
    """By one scenario."""

    scenario: str
    seconds: float
    arcs: Mapping[str, frozenset[Arc]]
    """By module."""
    judged: frozenset[str] = frozenset()
    """The requirements that it is about, by id."""

    @property
    def suite(self) -> str:
        return self.scenario.partition("::")[0]

    def lines(self, module: str) -> set[int]:
        return {line for arc in self.arcs.get(module, ()) for line in arc if line > 0}

    @cached_property
    def entered(self) -> frozenset[tuple[str, int]]:
        """The functions that it calls, of all modules: what kind of boot it is."""
        return frozenset(
            (module, last) for module, arcs in self.arcs.items() for first, last in arcs if first < 0
        )


@dataclass(frozen=True)
class Reach:
    """Of all scenarios that passed and are quick enough."""

    scenarios: tuple[Reached, ...]

    def write(self, path: Path) -> None:
        document = [
            {
                "scenario": each.scenario,
                "seconds": each.seconds,
                "arcs": {module: sorted(arcs) for module, arcs in each.arcs.items()},
                "judged": sorted(each.judged),
            }
            for each in self.scenarios
        ]
        path.write_text(json.dumps(document, separators=(",", ":")) + "\n")

    @classmethod
    def read(cls, path: Path) -> Reach:
        return cls(
            tuple(
                Reached(
                    each["scenario"],
                    each["seconds"],
                    {
                        module: frozenset((first, last) for first, last in arcs)
                        for module, arcs in each["arcs"].items()
                    },
                    frozenset(each["judged"]),
                )
                for each in json.loads(path.read_text())
            )
        )

    def reaching(self, mutation: Mutation, of: Iterable[Module]) -> list[Reached]:
        """The scenarios that can notice the mutant: that run what it changes."""
        places = _places(mutation, of)
        return [
            each
            for each in self.scenarios
            if any(each.lines(module) & lines for module, lines in places.items())
        ]


def choose(
    reaching: Collection[Reached], module: str, around: Mapping[str, Collection[int]], bound: int
) -> list[Reached]:
    """The quickest that go every way through the functions `around` the change (lines by module), then others.

    Of these none before each suite had its turn, since every suite asks another question of the same lines: of a suite
    it is the scenario that runs most a second of what none before it ran, of the module, or, where all of that was
    run, of the functions of all modules. The order is that in which they are to be run.
    """
    left = sorted(reaching, key=lambda each: (each.seconds, each.scenario))
    chosen: list[Reached] = []
    turns: Counter[str] = Counter()
    near: set[tuple[str, Arc]] = set()
    ran: set[Arc] = set()
    entered: set[tuple[str, int]] = set()

    ways = {
        each.scenario: {
            (name, arc)
            for name, lines in around.items()
            for arc in each.arcs.get(name, ())
            if arc[0] in lines or arc[1] in lines
        }
        for each in left
    }

    def gain(each: Reached) -> tuple[float, float, float]:
        """In what is new a second: ways, steps in the module, functions of all modules."""
        seconds = max(each.seconds, 0.01)
        return (
            len(ways[each.scenario] - near) / seconds,
            len(each.arcs.get(module, frozenset()) - ran) / seconds,
            len(each.entered - entered) / seconds,
        )

    def worth(each: Reached) -> tuple[float, int, float, float]:
        new_ways, of_module, of_all = gain(each)
        return new_ways, -turns[each.suite], of_module, of_all

    while left and len(chosen) < bound:
        best = max(left, key=worth)
        if not any(gain(best)) and entered:
            ran, entered = set(), set()  # all is run once; now once more, by others
            continue
        left.remove(best)
        chosen.append(best)
        turns[best.suite] += 1
        near |= ways[best.scenario]
        ran |= best.arcs.get(module, frozenset())
        entered |= best.entered
    return chosen


def about(reaching: Iterable[Reached], requirements: Collection[str]) -> list[Reached]:
    """Those that are about any of these requirements, the quickest first."""
    found = (each for each in reaching if not each.judged.isdisjoint(requirements))
    return sorted(found, key=lambda each: (each.seconds, each.scenario))


def digest(source: Path, scenarios: Path) -> str:
    """Of everything that decides which scenarios reach which lines, and of the format in which that is kept."""
    found = hashlib.sha256(_FORMAT)
    for folder in (source, scenarios):
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def measured(folder: Path, source: Path) -> dict[str, dict[str, frozenset[Arc]]]:
    """By scenario, the arcs by module, of all coverage data below `folder`; by "" what ran in none of them."""
    found: dict[str, dict[str, set[Arc]]] = {}
    for path in folder.rglob("data.*"):
        data = CoverageData(basename=str(path))
        data.read()
        for context in data.measured_contexts():
            data.set_query_context(context)
            modules = found.setdefault(context, {})
            for name in data.measured_files():
                if arcs := data.arcs(name):
                    modules.setdefault(_module(name, source), set()).update(arcs)
    return {
        context: {module: frozenset(arcs) for module, arcs in modules.items()}
        for context, modules in found.items()
    }


def _module(path: str, source: Path) -> str:
    """Where a program ran its source may be elsewhere; the package's name is the same."""
    words = (source.name, *Path(path.rpartition(f"/{source.name}/")[2]).with_suffix("").parts)
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def _places(mutation: Mutation, of: Iterable[Module]) -> dict[str, set[int]]:
    """The lines by module of which one must run for the mutant to matter.

    What gives a name its value at import matters where the name is used; what decorates a function, where it runs.
    """
    statement = mutation.statement
    here = {mutation.module: set(range(statement.first, statement.last + 1))}
    if not statement.at_import:
        return here
    if statement.body:
        return {mutation.module: set(statement.body)}
    uses = {
        module.name: lines
        for module in of
        if (lines := {line for name in statement.names for line in module.statements.uses(name)})
    }
    return uses or here


def around(mutation: Mutation, of: Iterable[Module]) -> dict[str, set[int]]:
    """By module, the lines of the functions in which it matters."""
    statements = {module.name: module.statements for module in of}
    return {
        name: {each for line in lines for each in statements[name].function(line)}
        for name, lines in _places(mutation, of).items()
    }
