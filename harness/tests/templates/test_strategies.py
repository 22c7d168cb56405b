"""What the strategies make is what they say, and what is counted of it is told from the template alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.templates import Template, TemplateFile
from harness.templates.classes import CLASSES, classes_of
from harness.templates.model import CONFIG, SKILLS
from harness.templates.profiles import PROFILES, ClassNeverMet
from harness.templates.strategies import (
    KINDS,
    LONGEST_NAME,
    Hostile,
    HostilePaths,
    folded,
    hostile_templates,
    skill_names,
    valid_templates,
)

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
quick = settings(PROFILES["dev"].every, max_examples=40, derandomize=True)


@quick
@given(name=skill_names())
def test_a_name_of_a_skill_is_as_agentskills_io_has_it(name: str) -> None:
    assert NAME.fullmatch(name)
    assert len(name) <= LONGEST_NAME


@quick
@given(template=valid_templates())
def test_a_valid_template_reads_as_it_was_meant_and_collides_nowhere(template: Template) -> None:
    assert template.config["persona"] == "brief"
    assert set(template.named_skills()) <= set(template.skills())
    assert all(f"{SKILLS}/{name}/SKILL.md" in template.files for name in template.skills())
    names = {
        "/".join(parts[:depth])
        for parts in (path.split("/") for path in template.asset_set())
        for depth in range(1, len(parts) + 1)
    }
    assert len({folded(name) for name in names}) == len(names)
    directories = {name.rpartition("/")[0] for name in names}
    assert directories.isdisjoint(template.asset_set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_template_is_sound_but_for_one_thing(kind: str) -> None:
    @settings(quick, max_examples=5)
    @given(hostile=hostile_templates(kind))
    def is_sound(hostile: Hostile) -> None:
        sound = [name for name in hostile.template.skills() if not name.startswith("z")]
        assert sound
        if isinstance(hostile, HostilePaths):
            assert hostile.files
            assert all(path not in hostile.template.entries for path, _ in hostile.files)

    is_sound()


def template(**files: bytes) -> Template:
    there = {path.replace("__", "/"): TemplateFile(content) for path, content in files.items()}
    return Template({CONFIG: TemplateFile(b"name: a\n"), **there})


@pytest.mark.parametrize(
    ("made", "met", "unmet"),
    [
        (template(), {"no skill", "no list of skills"}, {"one skill", "CRLF", "a file that is no asset"}),
        (template(prompts__a=b"a\r\n"), {"CRLF"}, {"no newline at the end", "a binary file"}),
        (template(prompts__a=b"\0"), {"a binary file", "no newline at the end"}, {"an empty file"}),
        (template(prompts__a=b"\xff"), {"a binary file"}, {"a byte order mark"}),
        (template(README=b""), {"a file that is no asset"}, {"an empty file"}),
        (template(prompts__a=b"\xef\xbb\xbf"), {"a byte order mark"}, {"an empty file"}),
        (template(prompts__a=bytes(65_536)), {"a file of 65,536 bytes"}, {"a file beyond 65,536 bytes"}),
        (
            Template({CONFIG: TemplateFile(b"skills: []\r\n"), f"{SKILLS}/no/SKILL.md": TemplateFile(b"")}),
            {"a name that YAML reads as no text", "an empty list of skills", "a config.yaml with CRLF"},
            {"some skills enabled and some not", "a name with hyphens"},
        ),
    ],
)
def test_a_class_is_told_from_what_the_template_is(made: Template, met: set[str], unmet: set[str]) -> None:
    found = classes_of(made)

    assert found <= set(CLASSES)
    assert met <= found
    assert not unmet & found


def parity(number: int) -> set[str]:
    return {"odd" if number % 2 else "even"}


def with_seven(numbers: list[int]) -> set[str]:
    return {"with seven"} if 7 in numbers else set()


def test_a_class_that_luck_did_not_bring_is_sought() -> None:
    seen: list[list[int]] = []

    PROFILES["ci"].each(
        st.lists(st.integers(0, 200)), holds=seen.append, classes_of=with_seven, classes=["with seven"]
    )

    *by_luck, sought = seen
    assert len(by_luck) == PROFILES["ci"].every.max_examples
    assert not any(map(with_seven, by_luck))
    assert with_seven(sought)


def test_a_class_that_no_example_can_be_in_is_an_error_that_names_it() -> None:
    with pytest.raises(ClassNeverMet, match="no example was negative"):
        PROFILES["ci"].each(
            st.integers(0, 9), holds=lambda _: None, classes_of=parity, classes=["odd", "negative"]
        )


def test_what_breaks_in_a_class_that_had_to_be_sought_is_shrunk_too() -> None:
    broke: list[list[int]] = []

    def holds(numbers: list[int]) -> None:
        if 7 in numbers:
            broke.append(numbers)
            raise ValueError

    with pytest.raises(ValueError):
        PROFILES["ci"].each(
            st.lists(st.integers(0, 200)), holds=holds, classes_of=with_seven, classes=["with seven"]
        )

    assert broke[-1] == [7]


def test_few_examples_may_miss_a_class() -> None:
    PROFILES["dev"].each(st.just(1), holds=lambda _: None, classes_of=parity, classes=["even"])


PRINT_EXAMPLES = """
from hypothesis import given
from harness.templates.profiles import PROFILES
from harness.templates.strategies import valid_templates

@PROFILES["ci"].every
@given(template=valid_templates())
def look(template):
    print(template.digest())

look()
"""


def test_the_examples_of_ci_are_the_same_whatever_else_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(
        "\n".join(f"NUMBER_{i} = {i}; TEXT_{i} = 'text {i}'" for i in range(50))
    )
    (tmp_path / "examples.py").write_text(PRINT_EXAMPLES)

    def drawn(program: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    alone, among_others = drawn("import examples"), drawn("import loaded, examples")

    assert alone == among_others
    assert len(alone) == PROFILES["ci"].every.max_examples


@pytest.mark.parametrize("kinds", [1, 19, 1_000])
def test_many_properties_share_the_examples_and_each_has_one(kinds: int) -> None:
    shared = PROFILES["ci"].one_in(kinds)

    assert shared.max_examples == max(1, PROFILES["ci"].every.max_examples // kinds)
