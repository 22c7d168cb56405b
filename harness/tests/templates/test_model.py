"""What the harness reads from a template, and how a scenario changes one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.templates import Template, TemplateFile, TemplateLink, TemplateProblem, is_asset, tree_digest
from harness.templates.generated import BOTTOMLESS

SMALL = (
    Template()
    .with_file("config.yaml", "name: a\n")
    .with_file("agent-skills/a/run.sh", "#!/bin/sh\n", "755")
    .with_file("prompts/ä.md", b"")
    .with_file("README.md", "for maintainers\n")
)


def test_the_digest_of_a_known_tree_is_the_one_that_sha256sum_computed() -> None:
    # printf '%s\0%s\0%s\n' path mode sha256, one line each path in the order of its bytes, into sha256sum
    assert SMALL.digest() == "1a7eec801303ff6fbc3dbd08cbb8cfbbdbaa2a41f958ac0c41fff14682e74ecb"


def test_the_digest_does_not_depend_on_the_order_in_which_files_come() -> None:
    triples = [(path, file.mode, file.sha256) for path, file in SMALL.asset_set().items()]
    assert tree_digest(triples) == tree_digest(reversed(triples))


@pytest.mark.parametrize(
    "changed",
    [
        SMALL.with_file("config.yaml", "name: b\n"),
        SMALL.with_file("agent-skills/a/run.sh", "#!/bin/sh\n", "644"),
        SMALL.with_file("prompts/b.md", b""),
        SMALL.without("prompts/ä.md"),
    ],
    ids=["content", "mode", "one more", "one less"],
)
def test_the_digest_changes_with_whatever_is_delivered(changed: Template) -> None:
    assert changed.digest() != SMALL.digest()


def test_the_digest_is_blind_to_what_is_not_delivered() -> None:
    assert SMALL.with_file("docs/more.md", "more").digest() == SMALL.digest()


@pytest.mark.parametrize(
    ("path", "delivered"),
    [
        ("config.yaml", True),
        ("system-prompt.md", True),
        ("prompts/deep/er.md", True),
        ("agent-skills/a/SKILL.md", True),
        ("README.md", False),
        ("prompts", False),
        ("prompts-old/a.md", False),
        ("docs/config.yaml", False),
        ("Config.yaml", False),
        (".gitattributes", False),
    ],
)
def test_the_allowlist_names_exactly_what_the_contract_names(path: str, delivered: bool) -> None:
    assert is_asset(path) is delivered


def test_a_directory_is_read_with_modes_links_and_untracked_files_but_without_git(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "run.sh"
    script.write_bytes(b"#!/bin/sh\r\n")
    script.chmod(0o755)
    (tmp_path / "scripts" / "link").symlink_to("run.sh")
    (tmp_path / "nothing in it").mkdir()

    assert Template.from_directory(tmp_path).entries == {
        "scripts/run.sh": TemplateFile(b"#!/bin/sh\r\n", "755"),
        "scripts/link": TemplateLink("run.sh"),
    }


def test_a_fifo_in_a_directory_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TemplateProblem, match=r"/pipe is neither a file, a directory nor a link; remove it"):
        Template.from_directory(tmp_path)


def test_a_change_gives_another_template_and_shares_the_rest() -> None:
    changed = SMALL.with_file("prompts/b.md", "b")
    assert "prompts/b.md" not in SMALL.entries
    assert changed.files["config.yaml"].content is SMALL.files["config.yaml"].content


def test_a_directory_is_taken_out_with_all_that_is_below_it_and_nothing_beside_it() -> None:
    with_neighbour = SMALL.with_file("agent-skills/ab/SKILL.md", "")
    assert with_neighbour.without("agent-skills/a").skills() == ("ab",)


def test_taking_out_what_is_not_there_is_a_mistake_of_the_scenario() -> None:
    with pytest.raises(KeyError, match=r"prompts/none\.md"):
        SMALL.without("prompts/none.md")


def test_skills_are_directories_and_commands_are_markdown_files_right_below_commands() -> None:
    template = (
        Template()
        .with_file("agent-skills/README.md", "")
        .with_file("agent-skills/b/SKILL.md", "")
        .with_file("agent-skills/a/commands/run.md", "")
        .with_file("agent-skills/a/commands/notes.txt", "")
        .with_file("agent-skills/a/commands/old/run.md", "")
    )
    assert template.skills() == ("a", "b")
    assert template.commands("a") == ("run.md",)
    assert template.commands("b") == ()


def test_without_a_list_every_skill_is_named() -> None:
    assert SMALL.named_skills() == ("a",)


def test_a_list_names_the_skills_in_its_own_order() -> None:
    assert SMALL.with_file("config.yaml", "skills: [z, a]\n").named_skills() == ("z", "a")


@pytest.mark.parametrize("skills", ["null", "a", "{a: true}", "[1]", "[[a]]"])
def test_skills_that_are_no_list_of_names_are_a_problem(skills: str) -> None:
    with pytest.raises(TemplateProblem, match=r"`skills` in config\.yaml is not a list of names; list the"):
        SMALL.with_file("config.yaml", f"skills: {skills}\n").named_skills()


def test_a_config_that_is_not_there_is_a_problem() -> None:
    with pytest.raises(TemplateProblem, match=r"has no config\.yaml; every template needs one"):
        _ = SMALL.without("config.yaml").config


def test_a_config_that_does_not_parse_is_a_problem_that_tells_the_place() -> None:
    with pytest.raises(
        TemplateProblem, match=r"config\.yaml is not YAML: .*line 2, column 1.*mend it"
    ) as problem:
        _ = SMALL.with_file("config.yaml", "name: [\n").config
    assert "\n" not in str(problem.value)


def test_a_config_without_a_bottom_is_a_problem() -> None:
    with pytest.raises(TemplateProblem, match=r"config\.yaml is nested too deeply"):
        _ = SMALL.with_file("config.yaml", b"name: " + BOTTOMLESS).config


def test_a_config_that_is_no_mapping_is_a_problem() -> None:
    with pytest.raises(TemplateProblem, match=r"config\.yaml is a list, not a mapping"):
        _ = SMALL.with_file("config.yaml", "- a\n").config


def test_what_a_failing_assertion_would_print_does_not_hold_the_content() -> None:
    assert "name: a" not in repr(SMALL) + repr(SMALL.files["config.yaml"])
