"""Which mutants a change bears on: those whose overlay, target, checks or scenarios it touches.

A scenario file counts where any word of the mutant's `-k` expression is in the name of one of its tests, which errs on
the side of proving too much.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.proof.mutant import Mutant

_TARGET = re.compile(r"""@replace\(\s*["']([\w.]+):""")
_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
_OPERATORS = frozenset({"and", "or", "not"})


class UnknownRevision(Exception):
    """Git does not know it, or this is no git repository; one line saying so."""


def changed_since(revision: str, root: Path) -> set[Path]:
    """Files that differ from the revision's, new ones too, relative to `root`. Raises UnknownRevision."""
    differing = _git(root, "diff", "--name-only", "--relative", "-z", "--end-of-options", revision)
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return {Path(name) for name in (*differing, *new)}


def affected(mutants: Iterable[Mutant], changed: set[Path], root: Path) -> list[Mutant]:
    """The mutants that rest on any of these files."""
    return [mutant for mutant in mutants if changed & set(_rests_on(mutant, changed, root))]


def _rests_on(mutant: Mutant, changed: set[Path], root: Path) -> Iterable[Path]:
    for path in changed:
        if (root / path).is_relative_to(mutant.folder):
            yield path
    for module in _TARGET.findall(mutant.overlay.read_text()):
        source = Path("harness", *module.split("."))
        yield source.with_suffix(".py")
        yield source / "__init__.py"
    for path in sorted((root / "harness" / "oracle").glob("*.py")):
        if any(f'@check("{requirement}")' in path.read_text() for requirement in mutant.caught_by):
            yield path.relative_to(root)
    words = [word for word in re.findall(r"[\w-]+", mutant.scenarios) if word not in _OPERATORS]
    for path in sorted((root / "scenarios").glob("test_*.py")):
        tests = _TEST.findall(path.read_text())
        if path.stem == f"test_{mutant.suite}" or any(word in test for test in tests for word in words):
            yield path.relative_to(root)


def _git(root: Path, *words: str) -> Sequence[str]:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnknownRevision(" ".join(done.stderr.split()[:30]))
    return [name for name in done.stdout.split("\0") if name]
