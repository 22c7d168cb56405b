"""An example that broke the contract, as a folder: a ready template, and the life that it was the template of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.templates.model import Template, TemplateFile, TemplateLink, TemplateProblem

Step = tuple[str, ...]
"""A verb, and what is said behind it."""

TEMPLATE = "template"
"""The folder of the template's files."""
LIFE = "life.json"
"""`{"transport": "git", "steps": [["edit", "add", "prompts/mine.md"], …]}`"""


class CounterexampleProblem(Exception):
    """A folder is no counterexample; one line that names it, the rule and the way out."""


@dataclass(frozen=True)
class Counterexample:
    template: Template
    transport: str
    steps: Sequence[Step] = ()

    def __str__(self) -> str:
        """Some lines for people."""
        files = ", ".join(sorted(map(repr, self.template.entries)))
        steps = "".join(f"\n  - {' '.join(step)}" for step in self.steps)
        return f"a template of {len(self.template.entries)} files over {self.transport} ({files}){steps}"

    def write(self, folder: Path) -> None:
        """Whatever was in the folder is replaced. Submodules are left out: no folder holds one."""
        shutil.rmtree(folder, ignore_errors=True)
        for path, entry in self.template.entries.items():
            target = folder / TEMPLATE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, TemplateFile):
                target.write_bytes(entry.content)
                target.chmod(0o755 if entry.mode == "755" else 0o644)
            elif isinstance(entry, TemplateLink):
                target.symlink_to(entry.target)
        steps = ",\n".join(f"    {json.dumps(step, ensure_ascii=False)}" for step in self.steps)
        told = f"[\n{steps}\n  ]" if steps else "[]"
        (folder / LIFE).write_text(
            f'{{\n  "transport": {json.dumps(self.transport)},\n  "steps": {told}\n}}\n', encoding="utf-8"
        )


def read_counterexample(folder: Path, verbs: Collection[str]) -> Counterexample:
    """Its steps are of these verbs. Raises CounterexampleProblem."""
    if not (folder / LIFE).is_file() or not (folder / TEMPLATE).is_dir():
        raise CounterexampleProblem(
            f"{folder}: holds no counterexample; give a folder with {TEMPLATE}/ and {LIFE}, such as the "
            "counterexample/ in a failed scenario's artifacts"
        )
    try:
        told = json.loads((folder / LIFE).read_text(encoding="utf-8"))
        transport, steps = told["transport"], [_step(words, verbs) for words in told["steps"]]
        template = Template.from_directory(folder / TEMPLATE)
    except (ValueError, TypeError, KeyError, OSError, TemplateProblem) as problem:
        raise CounterexampleProblem(
            f"{folder / LIFE}: not a life ({problem}); it has a `transport` and `steps`, each a list of words"
        ) from problem
    return Counterexample(template, str(transport), steps)


def _step(words: Any, verbs: Collection[str]) -> Step:
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{words!r} is no list of words")
    if words[0] not in verbs:
        raise ValueError(f"{words[0]!r} is none of {', '.join(verbs)}")
    return tuple(words)
