"""A table of checks: each with what it must find in order, and with all that it must find wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.oracle.check import Check, Saw

Case = tuple[Check[...], tuple[Any, ...], list[tuple[Any, ...]]]
"""The check, the arguments where all is well, and further ones of which each has one thing wrong."""


def look(made: Check[...], arguments: tuple[Any, ...]) -> Saw:
    looked: Callable[..., Saw] = made.look
    return looked(*arguments)


def assert_passes(case: Case) -> None:
    made, arguments, _ = case
    assert look(made, arguments).problems == ()


def assert_fails(name: str, case: Case) -> None:
    """`name` has to begin the check's own name."""
    made, _, wrong = case
    assert made.name.startswith(f"{name}_")
    for arguments in wrong:
        assert look(made, arguments).problems, f"it saw nothing wrong with {arguments}"
