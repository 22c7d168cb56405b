"""All checks that there are."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import harness.oracle

from .check import Check


def every_check() -> frozenset[str]:
    """Their names."""
    modules = [
        import_module(f"harness.oracle.{each.name}") for each in pkgutil.iter_modules(harness.oracle.__path__)
    ]
    return frozenset(
        thing.name for module in modules for thing in vars(module).values() if isinstance(thing, Check)
    )
