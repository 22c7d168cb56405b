"""Lays a mutant over an implementation: Python imports this by itself when its folder is on PYTHONPATH.

The folder also holds the mutant's `overlay.py`. A replacement whose target does not exist ends the program with
status 97 before it does anything: a mutant that no longer applies must never look like one that was caught. An
overlay that cannot be loaded ends it with status 96: Python itself would go on without it, and nothing would be broken.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import mutation

CANNOT_BE_LOADED = 96
DOES_NOT_APPLY = 97


def _end(status: int, words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
    os._exit(status)


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        try:
            mutation.apply(module)
        except LookupError as missing:
            _end(DOES_NOT_APPLY, f"mutant does not apply: {missing}")
        sys.stderr.write(f"mutant applied to {module.__name__}\n")
        sys.stderr.flush()


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the loaders of the modules that the mutant changes, and of no others."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in mutation.targets():
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


# By path, since an implementation may have an `overlay` of its own.
_overlay = importlib.util.spec_from_file_location("_mutant_overlay", Path(__file__).with_name("overlay.py"))
if _overlay is not None and _overlay.loader is not None:
    try:
        _overlay.loader.exec_module(importlib.util.module_from_spec(_overlay))
    except Exception as wrong:
        _end(CANNOT_BE_LOADED, f"mutant cannot be loaded: {type(wrong).__name__}: {wrong}")
    sys.meta_path.insert(0, _Finder())
