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
from types import CodeType, ModuleType
from typing import NoReturn

import mutation

CANNOT_BE_LOADED = 96
DOES_NOT_APPLY = 97


def _end(status: int, words: str) -> NoReturn:
    _say(words)
    os._exit(status)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, loader: importlib.machinery.SourceFileLoader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def get_source(self, fullname: str) -> str | None:
        return self._loader.get_source(fullname)

    def get_code(self, fullname: str) -> CodeType | None:
        """Also asked for by `python -m`, which then runs it itself."""
        try:
            edited = mutation.edited(fullname, self._loader.get_source(fullname) or "")
        except LookupError as missing:
            _end(DOES_NOT_APPLY, f"mutant does not apply: {missing}")
        if edited is None:
            return self._loader.get_code(fullname)
        _say(f"mutant applied to {fullname}")
        return self.source_to_code(edited, self._loader.get_filename(fullname))

    def exec_module(self, module: ModuleType) -> None:
        code = self.get_code(module.__name__)
        if code is None:
            raise ImportError(f"{module.__name__} has no code")
        try:
            exec(code, module.__dict__)  # noqa: S102 - as any loader
        except Exception as wrong:
            if mutation.edited(module.__name__, self._loader.get_source(module.__name__) or "") is None:
                raise
            _end(CANNOT_BE_LOADED, f"mutant cannot be loaded: {type(wrong).__name__}: {wrong}")
        try:
            if mutation.apply(module):
                _say(f"mutant applied to {module.__name__}")
        except LookupError as missing:
            _end(DOES_NOT_APPLY, f"mutant does not apply: {missing}")


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
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
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
