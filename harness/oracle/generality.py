"""GEN: no template is special."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from .check import NotApplicable, Saw, check
from .seen import Seen

SYMBOLS = (
    "EnableSEOSkillPackage",
    "SEOSkillPackageFiles",
    "SEOSkillConfigBlock",
    "seo_skill_package",
    "conciergeSystemPromptTmpl",
    "conciergeMCPServersBlock",
    "conciergeIdentityFiles",
    "conciergeDeclaredModel",
)
"""The contract's list."""
LARGEST = 4 << 20
"""Bytes of a file that somebody may have written by hand."""

_DOCUMENTATION = frozenset({".md", ".rst", ".adoc"})
_NOT_SHIPPED = frozenset({"test", "tests", "node_modules", "__pycache__", "testdata"})
_SYMBOL = re.compile(rf"\b(?:{'|'.join(SYMBOLS)})\b", re.IGNORECASE)
_BRANCH = re.compile(
    r"==|!=|=~|\b(?:if|elif|unless|case|when|switch|match|in|equals\w*|startswith|endswith|hasprefix|hassuffix"
    r"|contains|matches|includes)\b",
    re.IGNORECASE,
)
"""What a line of a language that is not parsed here decides by."""
_IDENTITY = re.compile(r"[/@]")
"""Between the parts of `owner/repo@ref`."""
_DECIDING_CALLS = frozenset(
    {"startswith", "endswith", "get", "fnmatch", "fnmatchcase", "match", "fullmatch", "search"}
)


@check("GEN-1")
def gen_1_a_template_never_seen_before_is_delivered(seen: Seen) -> Saw:
    """A repository, skills and files of names that nobody can have known are delivered whole, and its skills load."""
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    for path, file in seen.expected.template.asset_set().items():
        entry = seen.configs.get(path)
        if entry is None or entry.sha256 != file.sha256:
            problems.append(f"{path}: {'missing' if entry is None else 'other bytes'}")
    carried = seen.carded_skills
    problems += [
        f"the skill {name!r} is not in the agent card"
        for name in seen.expected.template.named_skills()
        if name not in carried
    ]
    return Saw(f"{seen.expected.identity}: {seen.status}, {len(carried)} skills", tuple(problems))


@check("GEN-2")
def gen_2_the_source_knows_no_template(source: Path | None, names: Collection[str]) -> Saw:
    """No symbol of the contract's list is in the source, and nothing in it branches on one of these templates' names.

    Python is parsed; of other languages each line is read for the names and for what lines decide by. Documentation,
    comments of Python, and tests are not the source.
    """
    if source is None:
        raise NotApplicable("its source is not given (capabilities.source)")
    problems: list[str] = []
    files = 0
    for path in _sources(source):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        files += 1
        where = path.relative_to(source).as_posix()
        problems += [f"{where}:{line}: {what}" for line, what in _told(path, text, frozenset(names))]
    if not files:
        problems.append(f"there is no source in {source.name}")
    return Saw(f"{files} files; names: {', '.join(sorted(names))}", tuple(problems))


@check("GEN-3")
def gen_3_the_concierge_comes_by_the_channel_of_any(concierge: Seen, other: Seen) -> Saw:
    """It is asked of the template host in the same ways as another template, and reported in the same shape."""
    problems = [
        f"{seen.expected.repository}: the status is {seen.status!r}, not 'online': {seen.complaint}"
        for seen in (concierge, other)
        if seen.status != "online"
    ]
    ways = {seen.expected.repository: _ways(seen) for seen in (concierge, other)}
    if not ways[concierge.expected.repository]:
        problems.append("nothing was asked of the template host for the concierge")
    common = _ways(concierge) & _ways(other)
    problems += [
        f"only {repository} is asked for by {way}"
        for repository, asked in ways.items()
        for way in asked - common
    ]
    shapes = [_shape(seen.report) for seen in (concierge, other)]
    problems += [f"only one of the reports has {what}" for what in sorted(shapes[0] ^ shapes[1])]
    return Saw(
        f"{len(ways[concierge.expected.repository])} ways to ask, {len(shapes[0])} parts of a report",
        tuple(problems),
    )


@check("GEN-4")
def gen_4_a_missing_concierge_leaves_no_agent_in_its_place(seen: Seen) -> Saw:
    """The workspace failed with an error that says why; no agent answers, and nothing of one is on the volume."""
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message") if not seen.error.get(part)]
    problems += [f"{path} was written ({entry.size} bytes)" for path, entry in seen.written.items()]
    if seen.card is not None or seen.workspace.get("agent_card"):
        problems.append("an agent came up")
    return Saw(f"{seen.expected.identity}: {seen.status}: {seen.complaint}", tuple(problems))


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parents = path.relative_to(folder).parts[:-1]
        if any(part.startswith(".") or part in _NOT_SHIPPED for part in parents):
            continue
        if path.suffix.lower() not in _DOCUMENTATION and path.is_file() and path.stat().st_size <= LARGEST:
            yield path


def _told(path: Path, text: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """(line, what) of each thing that is wrong with a file."""
    if path.suffix == ".py":
        try:
            tree = ast.parse(text)
        except SyntaxError:
            pass  # of a later Python: read as any other language
        else:
            yield from _told_by_python(tree, names)
            return
    yield from _told_by_lines(text, names)


def _told_by_lines(text: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    quoted = (
        re.compile(rf"[\"'`](?:[^\"'`\s]*/)?(?:{'|'.join(map(re.escape, names))})(?:@[^\"'`\s]*)?[\"'`]")
        if names
        else None
    )
    for number, line in enumerate(text.splitlines(), 1):
        if symbol := _SYMBOL.search(line):
            yield number, f"the symbol {symbol[0]}"
        if quoted and (name := quoted.search(line)) and _BRANCH.search(line.replace(name[0], "")):
            yield number, f"a branch on {name[0]}"


def _told_by_python(tree: ast.Module, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for word in _words(node) if id(node) not in prose else ():
            if symbol := _SYMBOL.search(word):
                yield getattr(node, "lineno", 0), f"the symbol {symbol[0]}"
    known = _constants(tree)
    told: set[tuple[int, str]] = set()
    for decision in chain.from_iterable(_decisions(node) for node in ast.walk(tree)):
        for node in ast.walk(decision):
            values: Iterable[str] = ()
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                values = (node.value,)
            elif isinstance(node, ast.Name):
                values = known.get(node.id, ())
            told |= {
                (getattr(node, "lineno", 0), f"a branch on {value!r}")
                for value in values
                if not names.isdisjoint(_IDENTITY.split(value))
            }
    yield from sorted(told)


def _words(node: ast.AST) -> Iterator[str]:
    """What a node is called, or says."""
    for field in ("id", "attr", "name", "arg", "module", "asname"):
        if isinstance(word := getattr(node, field, None), str):
            yield word
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _constants(tree: ast.Module) -> dict[str, set[str]]:
    """The texts that names stand for, be it alone or in a collection."""
    known: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            said = {
                inner.value
                for inner in ast.walk(node.value)
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
            }
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and said:
                    known.setdefault(target.id, set()).update(said)
    return known


def _decisions(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that a program's way depends on."""
    match node:
        case ast.Compare():
            yield node
        case ast.match_case(pattern=pattern):
            yield pattern
        case ast.Dict(keys=keys):
            yield from (key for key in keys if key is not None)
        case ast.Subscript(slice=index):
            yield index
        case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in _DECIDING_CALLS:
            yield from arguments


def _ways(seen: Seen) -> set[str]:
    """How the template host was asked for the workspace's template, without what is of this template alone."""
    repository = seen.expected.repository
    return {
        f"{request.method} "
        + re.sub(r"[0-9a-f]{40}", "{commit}", request.path.replace(repository, "{repository}"))
        + "".join(sorted(re.findall(r"(?:^|&)([^=&]+)=", request.query)))
        for request in seen.requests
        if request.repository == repository
    }


def _shape(document: object, at: str = "report") -> set[str]:
    """The keys of a document, however deep; the rows of a list are taken together."""
    match document:
        case dict():
            return {at}.union(*(_shape(value, f"{at}.{key}") for key, value in document.items()))
        case list():
            return {at}.union(*(_shape(value, f"{at}[]") for value in document))
        case _:
            return {at}
