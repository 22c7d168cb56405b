"""Of a life that breaks, only the steps are left that the break needs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.scenario.counterexample import Step
from harness.scenario.shortened import fewest_steps
from harness.templates.changes import changed, possible_removals
from harness.templates.model import Template, TemplateFile

LIFE = [(verb,) for verb in ("push", "restart", "edit", "stop", "start", "damage", "snapshot", "restore")]


@pytest.mark.parametrize(
    "needed",
    [
        (),
        ("edit",),
        ("restore",),
        ("push", "restart"),
        ("push", "stop", "restore"),
        tuple(verb for (verb,) in LIFE),
    ],
)
def test_what_is_left_is_what_the_break_needs(needed: tuple[str, ...]) -> None:
    tried: list[tuple[str, ...]] = []

    def breaks(steps: Sequence[Step]) -> bool:
        tried.append(tuple(verb for (verb,) in steps))
        return set(needed) <= set(tried[-1])

    left = fewest_steps(LIFE, breaks)

    assert [verb for (verb,) in left] == list(needed)
    assert len(tried) <= 2 * len(LIFE)


def test_a_step_that_another_one_needs_goes_after_it() -> None:
    """A life is tried only as it can be lived: no start without a stop."""

    def breaks(steps: Sequence[Step]) -> bool:
        return ("start",) not in steps or ("stop",) in steps

    assert not fewest_steps(LIFE, breaks)


def test_a_template_loses_all_that_it_can_spare() -> None:
    skills = {f"agent-skills/{name}/SKILL.md": TemplateFile(b"---\n---\n") for name in ("a", "b")}
    template = Template(
        {"config.yaml": TemplateFile(b"name: a\n"), "prompts/x.md": TemplateFile(b""), **skills}
    )

    while removals := possible_removals(template):
        template = changed(template, *removals[0], number=0)

    assert sorted(template.files) == ["agent-skills/a/SKILL.md", "config.yaml"]
