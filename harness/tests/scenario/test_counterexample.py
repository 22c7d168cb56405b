"""A counterexample that is written reads as the same, and what is none is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.scenario.counterexample import (
    LIFE,
    TEMPLATE,
    Counterexample,
    CounterexampleProblem,
    read_counterexample,
)
from harness.templates.model import Template, TemplateFile, TemplateLink

VERBS = ("edit", "restart")
TEMPLATE_OF_ALL = Template(
    {
        "config.yaml": TemplateFile(b"name: a\n"),
        "agent-skills/a/run.sh": TemplateFile(b"\0\r\n", "755"),
        "prompts/cafe\N{COMBINING ACUTE ACCENT}.md": TemplateFile(b""),
        "link": TemplateLink("/etc/passwd"),
    }
)


def test_what_is_written_reads_as_the_same(tmp_path: Path) -> None:
    steps = [("edit", "add", "prompts/cafe\N{COMBINING ACUTE ACCENT}.md"), ("restart",)]
    Counterexample(Template({"gone": TemplateFile(b"")}), "git").write(tmp_path / "it")

    Counterexample(TEMPLATE_OF_ALL, "object", steps).write(tmp_path / "it")
    read = read_counterexample(tmp_path / "it", VERBS)

    assert dict(read.template.entries) == dict(TEMPLATE_OF_ALL.entries)
    assert (read.transport, list(read.steps)) == ("object", steps)


@pytest.mark.parametrize(
    ("life", "complaint"),
    [
        (None, "holds no counterexample"),
        ("{", "not a life"),
        ('{"transport": "git"}', "steps"),
        ('{"transport": "git", "steps": [["fly"]]}', "'fly' is none of edit, restart"),
        ('{"transport": "git", "steps": ["restart"]}', "'restart' is no list of words"),
    ],
)
def test_what_is_no_counterexample_is_refused(tmp_path: Path, life: str | None, complaint: str) -> None:
    (tmp_path / TEMPLATE).mkdir()
    if life is not None:
        (tmp_path / LIFE).write_text(life)

    with pytest.raises(CounterexampleProblem, match=complaint) as refused:
        read_counterexample(tmp_path, VERBS)

    assert str(tmp_path) in str(refused.value)
