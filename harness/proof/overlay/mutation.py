"""What a mutant's `overlay.py` is written with: `@replace("module:function")` over a function that takes the original.

@replace("reference.allowlist:select")
def select(original, entries):
    return original(entries)[:200]
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

_replacements: dict[str, dict[str, Callable[..., Any]]] = {}


def replace(target: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace `module:function` or `module:Class.method`. The replacement gets the original as its first argument."""
    module, _, name = target.partition(":")

    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        _replacements.setdefault(module, {})[name] = replacement
        return replacement

    return register


def targets() -> set[str]:
    """The modules that the mutant changes."""
    return set(_replacements)


def apply(module: ModuleType) -> None:
    """Lay the replacements over a freshly loaded module. Raises LookupError where a name is gone."""
    for name, replacement in _replacements[module.__name__].items():
        holder: Any = module
        *path, last = name.split(".")
        for part in path:
            holder = getattr(holder, part, None)
        original = getattr(holder, last, None)
        if original is None:
            raise LookupError(f"{module.__name__}:{name} is not there to be replaced")
        wrapped = functools.wraps(original)(functools.partial(replacement, original))
        setattr(holder, last, _method(replacement, original) if path else wrapped)


def _method(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replacement(functools.partial(original, self), self, *args, **kwargs)

    return method
