"""A small package to be mutated."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from harness.proof.automatic.mutation import Module, Mutation, modules

LIMITS = """\
    from __future__ import annotations

    from dataclasses import dataclass
    from typing import TYPE_CHECKING

    if TYPE_CHECKING:
        from pathlib import Path

    _MOST = 2
    _TIMEOUT = 10.0
    _PIECE = 1 << 20


    @dataclass(frozen=True, slots=True)
    class Bound:
        name: str | None


    def within(count: int | None, *, path: Path | None = None) -> bool | None:
        if count is None:
            log.info("%s of %s", 1, 2)
            return False
        return count < _MOST
"""
NAMES = """\
    def shout(name):
        if name:
            return name + "!"
        return name
"""
EMPTY = '"""Nothing."""\n'


def package(folder: Path, **sources: str) -> Path:
    source = folder / "invented"
    source.mkdir()
    for name, text in (sources or {"limits": LIMITS, "names": NAMES, "empty": EMPTY}).items():
        (source / f"{name}.py").write_text(dedent(text))
    return source


def module(folder: Path, text: str) -> Module:
    (made,) = modules(package(folder, only=text))
    return made


def mutation(of: Module, was: str, becomes: str) -> Mutation:
    """The one that does this."""
    return next(each for each in of.mutations() if each.edit.words == (was, becomes))
