"""Templates that nobody thought of: what must arrive arrives whole, and what must not is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import allowlist, skills
from harness.oracle.seen import Seen
from harness.scenario.counterexample import Counterexample
from harness.scenario.scenario import Scenario
from harness.templates.classes import CLASSES, classes_of
from harness.templates.model import Template
from harness.templates.profiles import Profile
from harness.templates.strategies import (
    KINDS,
    AbsentSkill,
    Hostile,
    HostilePaths,
    MalformedSkills,
    NoList,
    NoPlainFile,
    hostile_templates,
    valid_templates,
)

RULES = {
    "traversing": allowlist.OUTSIDE,
    "absolute": (*allowlist.OUTSIDE, "absolute", "relative", "slash"),
    "backslashed": ("backslash",),
    "a control character": ("control", "character", "printable"),
    "colliding by case": allowlist.SAME,
    "colliding by normalisation": allowlist.SAME,
    "a name too long": allowlist.LONG,
    "reserved": allowlist.RESERVED,
    "one name twice": allowlist.SAME,
    "a file and a directory": (*allowlist.SAME, "directory"),
}
"""By what a path breaks, the words of which an error that names the rule has one."""


def test_no_part_of_a_generated_template_is_dropped(scenario: Scenario, examples: Profile) -> None:
    def arrives_whole(drawn: tuple[str, Template]) -> None:
        transport, template = drawn
        with scenario.example() as example:
            example.counterexample = Counterexample(template, transport)
            published = example.publish(template)
            example.tenant(published).provision(published, transport=transport)

    examples.each(
        st.tuples(transports(scenario), valid_templates()),
        holds=arrives_whole,
        classes_of=lambda drawn: {drawn[0], *classes_of(drawn[1])},
        classes=[*CLASSES, *scenario.cloud.implementation.capabilities.transports],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_not_be_in_a_generated_template_is_named(
    scenario: Scenario, examples: Profile, kind: str
) -> None:
    @examples.one_in(len(KINDS))
    @given(hostile=hostile_templates(kind), transport=transports(scenario))
    def is_named(hostile: Hostile, transport: str) -> None:
        with scenario.example() as example:
            published = example.publish(hostile.template)
            if isinstance(hostile, HostilePaths):
                published.publish_literally([*hostile.template.entries.items(), *hostile.files])
            workspace = example.tenant(published).create(published, transport=transport)
            with workspace.expecting_trouble():
                judge_hostile(example, hostile, workspace.booted("provision"))

    is_named()


def transports(scenario: Scenario) -> st.SearchStrategy[str]:
    return st.sampled_from(scenario.cloud.implementation.capabilities.transports)


def judge_hostile(example: Scenario, hostile: Hostile, seen: Seen) -> None:
    judge = example.judge
    match hostile:
        case HostilePaths(kind=kind, files=files):
            paths = [path for path, _ in files]
            judge(allowlist.alw_2_a_hostile_path_is_refused_by_name, seen, kind, paths, RULES[kind], {})
        case NoPlainFile(kind=kind, path=path):
            judge(allowlist.alw_3_a_link_or_submodule_is_refused_by_name, seen, kind, path, (kind,), {})
        case NoList(kind=kind):
            judge(skills.skl_4_skills_of_another_type_are_a_named_error, seen, kind)
        case MalformedSkills(malformed=malformed, sound=sound):
            judge(
                skills.skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it,
                seen,
                malformed,
                sound,
            )
        case AbsentSkill(named=named):
            judge(skills.skl_2_a_named_skill_that_is_not_there_is_named_by_the_error, seen, named)
