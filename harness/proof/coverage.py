"""How far the scenarios reach into an implementation: branch coverage of a Python one, taken from its own processes.

Code that no scenario reaches is code that no requirement asked for, or a requirement that nobody checks.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage

TRACING = Path(__file__).with_name("tracing")
"""The folder with the sitecustomize.py by which a program is measured."""
IN_A_CONTAINER = "/var/tmp/coverage"  # noqa: S108 - a container has its own
"""Where a measured program leaves its data, on its machine's root disk."""
_ENOUGH = 90.0
"""Percent of a module, below which it is worth a look."""
_SETTINGS = """\
[run]
branch = true
parallel = true
data_file = {data}/data
include = */{package}/*
patch = execv, _exit
sigterm = true
disable_warnings = no-data-collected, module-not-measured
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """Of one module: how much of it ran, in percent of its lines and branches."""

    module: str
    percent: float
    lines: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What all processes of a run reached together."""

    percent: float
    modules: tuple[Reached, ...]
    """The least reached first."""
    never_loaded: tuple[str, ...]
    """Modules that no measured process loaded. One that runs without `site` is never measured."""

    @property
    def thin(self) -> Sequence[Reached]:
        return [module for module in self.modules if module.percent < _ENOUGH]


def lay_out(folder: Path, *, data: str, source: Path) -> None:
    """What has to be ahead on a Python program's PYTHONPATH for it to be measured."""
    shutil.copytree(TRACING, folder, ignore=shutil.ignore_patterns("__pycache__"))
    package = Path(coverage.__file__).parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__", "htmlfiles"))
    (folder / "coveragerc").write_text(_SETTINGS.format(data=data, package=source.resolve().name))


def combine(data: Path, source: Path) -> Coverage | None:
    """Of all the data files below `data`; None where there is none. Leaves `data/combined` for more reports."""
    source = source.resolve()
    settings = data / "combine.rc"
    settings.write_text(f"[run]\nbranch = true\n[paths]\nsource =\n    {source}\n    */{source.name}\n")
    found = [str(path) for path in data.rglob("data.*")]
    if not found:
        return None
    whole = coverage.Coverage(data_file=data / "combined", config_file=str(settings))
    whole.combine(found)
    whole.save()
    told = data / "coverage.json"
    whole.json_report(outfile=str(told))
    document = json.loads(told.read_text())
    modules = [
        Reached(
            str(Path(path).resolve().relative_to(source)),
            file["summary"]["percent_covered"],
            file["summary"]["num_statements"],
        )
        for path, file in document["files"].items()
    ]
    loaded = {module.module for module in modules}
    return Coverage(
        percent=document["totals"]["percent_covered"],
        modules=tuple(sorted(modules, key=lambda module: module.percent)),
        never_loaded=tuple(
            name
            for path in sorted(source.rglob("*.py"))
            if (name := str(path.relative_to(source))) not in loaded and path.name != "__init__.py"
        ),
    )
