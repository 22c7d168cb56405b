"""Generated skills: any size, the same bytes every time, and enabled without touching the rest of config.yaml."""

from __future__ import annotations

import pytest

from harness.templates import Template, TemplateProblem, generated_skill, with_generated_skill

KIB = 1024


def listing(config: str) -> Template:
    return Template().with_file("config.yaml", config).with_file("agent-skills/a/SKILL.md", "")


@pytest.mark.parametrize(
    ("size", "files"), [(65_537, 12), (262_145, 4), (716 * KIB, 12), (1024 * KIB, 5_000)]
)
def test_a_skill_has_exactly_the_size_and_the_number_of_files_asked_for(size: int, files: int) -> None:
    skill = generated_skill("big", size=size, files=files)
    assert len(skill) == files
    assert sum(file.size for file in skill.values()) == size


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    first, again, other = (generated_skill("big", size=9_000, seed=seed) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_no_two_reference_files_of_a_skill_are_alike() -> None:
    skill = generated_skill("big", size=716 * KIB)
    assert len({file.sha256 for file in skill.values()}) == len(skill)


def test_a_generated_skill_has_a_script_and_the_commands_asked_for() -> None:
    template = with_generated_skill(listing("name: x\n"), "big", size=9_000, commands=("audit", "plan"))
    assert template.commands("big") == ("audit.md", "plan.md")
    assert template.files["agent-skills/big/scripts/check.sh"].mode == "755"


def test_a_size_with_no_room_for_a_skill_is_refused() -> None:
    with pytest.raises(ValueError, match="a skill of 100 bytes in 12 files has no room"):
        generated_skill("big", size=100)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("skills:\n  - a # ours\n\n# end\nmodel: m\n", "skills:\n  - a # ours\n  - big\n\n# end\nmodel: m\n"),
        ("model: m\nskills:\n- a", "model: m\nskills:\n- a\n- big\n"),
        ("skills:\r\n  - a\r\nmodel: m\r\n", "skills:\r\n  - a\r\n  - big\r\nmodel: m\r\n"),
        ("skills: [a]  # ours\nmodel: m\n", "skills: [a, big]  # ours\nmodel: m\n"),
        ("skills: []\n", "skills: [big]\n"),
        ("skills: [\n  a,\n]\n", "skills: [\n  a, big,\n]\n"),
        ("\ufeffskills:\n  - a\n", "\ufeffskills:\n  - a\n  - big\n"),
        ("skills: [a, big]\n", "skills: [a, big]\n"),
        ("model: m\n", "model: m\n"),
    ],
    ids=[
        "block",
        "no newline at end",
        "CRLF",
        "flow",
        "empty",
        "flow on lines",
        "BOM",
        "there already",
        "no list",
    ],
)
def test_the_name_is_added_to_the_list_and_nothing_else_is_touched(before: str, after: str) -> None:
    template = with_generated_skill(listing(before), "big", size=9_000)
    assert template.files["config.yaml"].content.decode() == after
    assert "big" in template.named_skills()


@pytest.mark.parametrize("name", ["yes", "1", "a: b", "null", 'quo"te', "größe"])
def test_a_name_that_yaml_would_read_as_something_else_is_quoted(name: str) -> None:
    template = with_generated_skill(listing("skills:\n  - a\n"), name, size=9_000)
    assert template.named_skills() == ("a", name)


def test_a_list_that_cannot_be_added_to_is_refused_rather_than_spoilt() -> None:
    with pytest.raises(
        TemplateProblem, match=r"written in a way that 'big' cannot be added to; write one skill a"
    ):
        with_generated_skill(listing("others: &all [a]\nskills: *all\n"), "big", size=9_000)
