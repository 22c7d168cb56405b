"""What a line of a module belongs to: its statement, its definition, and whether it runs when the module is loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement without the statements in it: the head of an `if`, a `for` or a `def`."""

    first: int
    last: int
    """Lines, both of them its own."""
    within: str
    """The qualified name of the definition that it is in; empty at the module's level."""
    at_import: bool
    """Whether it runs when the module is loaded, and not when a function is called."""
    names: tuple[str, ...]
    """What it gives a value to, where it is an assignment at the level of the module or of a class."""
    body: range
    """The lines of the function that it is the head of; empty where it is none's."""
    node: ast.AST = field(repr=False, compare=False)


class Statements:
    """Of one module."""

    def __init__(self, source: str) -> None:
        self._all = list(_statements(ast.parse(source), (), at_import=True))

    def at(self, line: int) -> Statement:
        """The innermost one. Raises LookupError where the line is none's, as a comment is."""
        found = [each for each in self._all if each.first <= line <= each.last]
        if not found:
            raise LookupError(f"no statement at line {line}")
        return min(found, key=lambda each: each.last - each.first)

    def function(self, line: int) -> range:
        """The lines of the innermost function around it, head and all; the line alone where it is in none."""
        around = [
            range(each.first, each.body.stop)
            for each in self._all
            if each.body and each.first <= line < each.body.stop
        ]
        return min(around, key=len, default=range(line, line + 1))

    def uses(self, name: str) -> set[int]:
        """Lines in functions that name it, or an attribute of that name."""
        return {
            node.lineno
            for each in self._all
            if not each.at_import
            for node in _own(each.node)
            if (isinstance(node, ast.Name) and node.id == name)
            or (isinstance(node, ast.Attribute) and node.attr == name)
        }


def _statements(node: ast.AST, path: tuple[str, ...], *, at_import: bool) -> Iterator[Statement]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _STATEMENTS):
            yield from _statements(child, path, at_import=at_import)
            continue
        inner = (*path, child.name) if isinstance(child, _DEFINITIONS) else path
        first, last = _span(child)
        yield Statement(
            first=first,
            last=last,
            within=".".join(inner),
            at_import=at_import,
            names=_assigned(child) if at_import else (),
            body=_lines_of(child.body) if isinstance(child, _FUNCTIONS) else range(0),
            node=child,
        )
        yield from _statements(child, inner, at_import=at_import and not isinstance(child, _FUNCTIONS))


def _span(node: ast.AST) -> tuple[int, int]:
    """Of its head, decorators included."""
    at: Any = node.pattern if isinstance(node, ast.match_case) else node
    first = min([at.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    return first, max(at.lineno, _span(body[0])[0] - 1) if body else at.end_lineno


def _lines_of(body: list[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of its head: those in no statement of its own."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _STATEMENTS):
            yield from _own(child)


def _assigned(node: ast.AST) -> tuple[str, ...]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return tuple(target.id for target in targets if isinstance(target, ast.Name))
