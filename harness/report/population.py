"""Which scenarios a run is expected to have, and how it was narrowed to a part of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

FOLDER = "scenarios"
"""Where they are, below the root of the repository."""
population_key: pytest.StashKey[int] = pytest.StashKey()
"""How many scenarios there are, over all their transports and templates, before any was left out."""
NARROWING = {
    "keyword": "-k",
    "markexpr": "-m",
    "deselect": "--deselect",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "lf": "--last-failed",
    "template": "--template",
    "skills": "--skills",
    "replay": "--replay",
}
"""Options that leave scenarios out, by the names that they go by in pytest's configuration."""


def is_scenario(item: pytest.Item) -> bool:
    return "scenario" in getattr(item, "fixturenames", ())


def population(items: Iterable[pytest.Item]) -> int:
    """How many scenarios are among them."""
    return len({item.nodeid for item in items if is_scenario(item)})


def selection(config: pytest.Config) -> str:
    """By what the run was narrowed to a part of the scenarios, as it was typed; empty where all may run."""
    words = []
    for name, typed in NARROWING.items():
        match getattr(config.option, name, None):
            case None | False | "" | []:
                continue
            case True:
                words.append(typed)
            case list() as given:
                words += [word for each in given for word in (typed, str(each))]
            case given:
                words += [typed, str(given)]
    return shlex.join([*words, *_paths(config)])


def _paths(config: pytest.Config) -> list[str]:
    """What was to be collected, where that is not all scenarios."""
    named = [(config.invocation_params.dir / each).resolve() for each in config.args if "::" not in each]
    files = (config.rootpath / FOLDER).rglob("test_*.py")
    return [] if all(_within(file, named) for file in files) else list(config.args)


def _within(file: Path, folders: Iterable[Path]) -> bool:
    return any(file.is_relative_to(folder) for folder in folders)
