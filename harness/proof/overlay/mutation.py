"""What a mutant's `overlay.py` is written with: `@replace("module:function")` over a function that takes the original.

@replace("reference.allowlist:select")
def select(original, entries):
    return original(entries)[:200]

Or, where a single line is wrong, with `edit("module", line=12, was=["…"], becomes=["…"])`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

_replacements: dict[str, dict[str, Callable[..., Any]]] = {}
_edits: dict[str, tuple[int, list[str], list[str]]] = {}


def replace(target: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace `module:function` or `module:Class.method`. The replacement gets the original as its first argument."""
    module, _, name = target.partition(":")

    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        _replacements.setdefault(module, {})[name] = replacement
        return replacement

    return register


def edit(module: str, *, line: int, was: list[str], becomes: list[str]) -> None:
    """Replace the lines `was` of a module's source, the first of which is line `line`, by others."""
    _edits[module] = (line, was, becomes)


def targets() -> set[str]:
    """The modules that the mutant changes."""
    return {*_replacements, *_edits}


def edited(module: str, source: str) -> str | None:
    """The source as it is after the edit; None where the module has none. Raises LookupError where it was another."""
    if module not in _edits:
        return None
    line, was, becomes = _edits[module]
    lines = source.splitlines()
    if lines[line - 1 : line - 1 + len(was)] != was:
        raise LookupError(f"{module}, line {line}: is not {' '.join(was).strip()!r} any more")
    return "\n".join([*lines[: line - 1], *becomes, *lines[line - 1 + len(was) :], ""])


def apply(module: ModuleType) -> bool:
    """Lay the replacements over a freshly loaded module, if it has any. Raises LookupError where a name is gone."""
    for name, replacement in _replacements.get(module.__name__, {}).items():
        holder: Any = module
        *path, last = name.split(".")
        for part in path:
            holder = getattr(holder, part, None)
        original = getattr(holder, last, None)
        if original is None:
            raise LookupError(f"{module.__name__}:{name} is not there to be replaced")
        wrapped = functools.wraps(original)(functools.partial(replacement, original))
        setattr(holder, last, _method(replacement, original) if path else wrapped)
    return module.__name__ in _replacements


def _method(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replacement(functools.partial(original, self), self, *args, **kwargs)

    return method
