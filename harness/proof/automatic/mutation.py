"""The mutants of a module: what cosmic-ray's operators can do to its source, but for what nothing could ever see."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast, is_number
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from .edit import Edit
from .statements import Statement, Statements

LEFT_OUT = {
    "core/ReplaceComparisonOperator_Eq_Is": "equal strings and numbers are often one object: the interpreter's choice",
    "core/ReplaceComparisonOperator_Is_Eq": "what is compared by identity here is None, a member of an enum or a class",
    "core/ReplaceComparisonOperator_NotEq_IsNot": "as Eq_Is",
    "core/ReplaceComparisonOperator_IsNot_NotEq": "as Is_Eq",
}
"""Operators whose mutants behave alike by nature, each with its reason."""
_GUARDS = frozenset({"frozen", "slots", "kw_only", "order", "repr", "extra", "nullable", "index"})
"""Arguments of a class's decorator or configuration, or of a table's column, that keep programmers from mistakes or
make a query quicker, and change nothing at work."""
_LOGICAL = 2
_BEYOND = frozenset(
    {"name", "string", "newline", "endmarker", "fstring_start", "fstring_string", "fstring_end"}
)
_PUNCTUATION = frozenset("()[]{},:.;=")
_ARITHMETIC = frozenset({"shift_expr", "term", "arith_expr"})
NOT_MUTATED = {
    "bench.py": "no machine runs it",
    "boot/agent.py": "it runs without site (python -I -S), so that no overlay gets into it",
}
"""Modules of the source folder, each with the reason."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One automatic mutant."""

    module: str
    """As it is imported."""
    path: str
    """Of the source folder's own parent, so that a diff can be applied there."""
    operator: str
    statement: Statement
    edit: Edit
    twin: int = 0
    """How many lines of the same words come before it in the same definition."""

    @property
    def id(self) -> str:
        """The same for as long as the change is the same, wherever in the module it is."""
        twin = (str(self.twin),) if self.twin else ()
        told = "\0".join((self.statement.within, *self.edit.words, self.operator, *twin))
        return f"{self.module.partition('.')[2]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Site:
    """A place that one operator, or several that replace the same token, can change."""

    line: int
    changes: tuple[tuple[str, int], ...]
    """(operator, how many of the operator's places come before)."""
    words: str
    """Its statement, the definition that this is in, and where in it: the same wherever in the module it is."""


class Module:
    """A module of the source, and what can be done to it."""

    def __init__(self, source: Path, path: Path) -> None:
        """`source` is the package's folder."""
        self.path = str(path.relative_to(source.parent))
        words = path.relative_to(source.parent).with_suffix("").parts
        self.name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def statements(self) -> Statements:
        return Statements(self.text)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def _program(self) -> str:
        return ast.dump(ast.parse(self.text))

    @cached_property
    def sites(self) -> list[Site]:
        """In the order of the source."""
        nodes = [node for node in ast_nodes(get_ast(self.text)) if not _is_beyond_operators(node)]
        unseen = set(_unseen(ast.parse(self.text)))
        found: dict[tuple[Any, str], list[tuple[str, int]]] = defaultdict(list)
        for name in operator_names():
            kind = get_operator(name)
            if name in LEFT_OUT or kind.arguments():
                continue
            operator, occurrence = kind(), 0
            for node in nodes:
                for begin, end in operator.mutation_positions(node):
                    if begin not in unseen and not _of_a_signature(node) and not _is_a_measure(node):
                        found[(begin, end), name.split("_")[0]].append((name, occurrence))
                    occurrence += 1
        return [
            Site(begin[0], tuple(changes), self._words(begin, kind))
            for ((begin, _), kind), changes in sorted(found.items())
        ]

    def _words(self, begin: tuple[int, int], kind: str) -> str:
        statement = self.statements.at(begin[0])
        lines = self._lines[statement.first - 1 : statement.last]
        ahead = self._lines[begin[0] - 1][: begin[1]].lstrip()
        at = f"{begin[0] - statement.first}:{len(ahead)}"
        return "\0".join((statement.within, *(line.strip() for line in lines), at, kind))

    def mutation(self, line: int, change: tuple[str, int]) -> Mutation | None:
        """None where what comes of it cannot be compiled, or is the same program."""
        operator, occurrence = change
        try:
            mutated = mutate_code(self.text, get_operator(operator)(), occurrence)
        except AttributeError:  # cosmic-ray's ExceptionReplacer takes every exception's name for a plain one
            return None
        edit = Edit.between(self.text, mutated) if mutated is not None else None
        if edit is None:
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                same = ast.dump(ast.parse(mutated)) == self._program
                compile(mutated, self.path, "exec", dont_inherit=True)
        except SyntaxError:
            return None
        if same:
            return None
        statement = self.statements.at(line)
        return Mutation(self.name, self.path, operator, statement, edit, self._twins(line, statement.within))

    def _twins(self, line: int, within: str) -> int:
        """How many lines of the same words come before it in the same definition."""
        words = self._lines[line - 1].strip()
        before = (number for number, each in enumerate(self._lines[: line - 1], 1) if each.strip() == words)
        return sum(self.statements.at(number).within == within for number in before)

    def mutations(self, *, at: str | None = None) -> Iterator[Mutation]:
        """All of them; or those that change a line of these words."""
        for site in self.sites:
            statement = self.statements.at(site.line)
            if at is not None and at not in "\n".join(self._lines[statement.first - 1 : statement.last]):
                continue
            for change in site.changes:
                if (made := self.mutation(site.line, change)) is not None:
                    yield made


def modules(source: Path) -> list[Module]:
    """Of a package, by name."""
    return [
        Module(source, path)
        for path in sorted(source.rglob("*.py"))
        if str(path.relative_to(source)) not in NOT_MUTATED
    ]


def draw(
    of: Sequence[Module], count: int, seed: int, *, leaving_out: Callable[[str, str], bool] = lambda *_: False
) -> list[Mutation]:
    """So many, evenly over the modules: one of each in turn, for as long as it has any that was not drawn.

    A place is drawn first and then what is done to it, since some tokens can be replaced in ten ways and some in one.
    `leaving_out` is told the module and the qualified name of the function or class; what it leaves out does not change
    the order of the others.
    """
    queues = {
        module.name: (
            made for made in _shuffled(module, seed) if not leaving_out(made.module, made.statement.within)
        )
        for module in of
    }
    drawn: list[Mutation] = []
    while queues and len(drawn) < count:
        for name, queue in list(queues.items()):
            made = next(queue, None)
            if made is None:
                del queues[name]
            elif len(drawn) < count:
                drawn.append(made)
    return drawn


def _shuffled(module: Module, seed: int) -> Iterator[Mutation]:
    """A change of each place, then the next of each; an edit elsewhere in the module leaves the order as it is."""

    def lot(*words: object) -> bytes:
        return hashlib.sha256("\0".join(map(str, (seed, module.name, *words))).encode()).digest()

    turns = sorted(
        (turn, lot("place", site.words), site.line, change)
        for site in module.sites
        for turn, (_, change) in enumerate(
            sorted((lot("change", site.words, number), change) for number, change in enumerate(site.changes))
        )
    )
    for _, _, line, change in turns:
        if (made := module.mutation(line, change)) is not None:
            yield made


def named(of: Iterable[Module], ids: Sequence[str]) -> Mapping[str, Mutation]:
    """The mutants of these ids, as far as there are any."""
    return {
        made.id: made
        for module in of
        if any(id_.rpartition("-")[0] == module.name.partition(".")[2] for id_ in ids)
        for made in module.mutations()
        if made.id in ids
    }


def _is_beyond_operators(node: Any) -> bool:
    """Whether no operator has ever anything to do with it, as with names and brackets: most of a source."""
    return node.type in _BEYOND or (node.type == "operator" and node.value in _PUNCTUATION)


def _of_a_signature(node: Any) -> bool:
    """Whether a token is the `*` or `/` of a parameter list, which only says how a function must be called."""
    return node.parent is not None and node.parent.type == "parameters"


def _is_a_measure(node: Any) -> bool:
    """Whether a token is a number of seconds, bytes, workers or characters, of which one more or less does as well.

    The contract names no such number of an implementation's own. What logic rests on is 0, 1 or 2.
    """
    parent = node.parent
    if parent is not None and parent.type in _ARITHMETIC and all(map(is_number, parent.children[::2])):
        return True  # as 4 << 20 is, operator and all
    return bool(is_number(node)) and abs(ast.literal_eval(node.value)) > _LOGICAL


def _unseen(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """Positions (line, column) of tokens that no machine's behaviour rests on."""
    for node in ast.walk(tree):
        for part in _unseen_parts(node):
            for line, (begin, end) in _extent(part).items():
                yield from ((line, column) for column in range(begin, end))


def _unseen_parts(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.AnnAssign(annotation=annotation):  # for type checkers
            yield annotation
        case ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case (
            ast.FunctionDef(returns=ast.expr() as returns)
            | ast.AsyncFunctionDef(returns=ast.expr() as returns)
        ):
            yield returns
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="log"))
        ):  # the wording of a log is nobody's contract
            yield from (*node.args, *node.keywords)
        case ast.Call(func=ast.Name(id="dataclass" | "ConfigDict" | "Column")):
            yield from (keyword for keyword in node.keywords if keyword.arg in _GUARDS)
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node


def _extent(node: Any) -> dict[int, tuple[int, int]]:
    """By line, from which column to which."""
    lines = range(node.lineno, node.end_lineno + 1)
    return {
        line: (
            node.col_offset if line == node.lineno else 0,
            node.end_col_offset if line == node.end_lineno else 1_000,
        )
        for line in lines
    }
