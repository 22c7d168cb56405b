"""What a user may give as a agent, and what he is told when it is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.templates import (
    Template,
    TemplateFile,
    TemplateLink,
    TemplateProblem,
    TemplateSubmodule,
    load_skills,
    load_template,
)
from harness.templates.git import git_environment, run_git

SKILL = b"---\nname: a\ndescription: b\n---\r\n\xff"
OTHER_COMMIT = "1" * 40


def write(directory: Path, agent: Template) -> Path:
    for path, file in agent.files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(int(file.mode, 8))
    return directory


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    return run_git(*identity, *arguments, directory=directory).decode().strip()


@pytest.fixture
def agent() -> Template:
    return (
        Template()
        .with_file("config.yaml", "name: a\nskills: [a]\n")
        .with_file("agent-skills/a/SKILL.md", SKILL)
        .with_file("agent-skills/a/run.sh", "#!/bin/sh\n", "755")
        .with_file("prompts/größe.md", "")
        .with_file(".gitattributes", "* text=auto eol=lf\n")
    )


@pytest.fixture
def repository(tmp_path: Path, agent: Template) -> Path:
    """A work tree `my agent` whose branch main and tag v1 hold the template; main is one commit ahead of v1."""
    directory = tmp_path / "my agent"
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main")
    write(directory, agent)
    git(directory, "-c", "core.autocrlf=false", "add", ".")
    git(directory, "update-index", "--add", "--cacheinfo", f"160000,{OTHER_COMMIT},vendored")
    git(directory, "commit", "--quiet", "--message=first")
    git(directory, "tag", "v1")
    git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")
    (directory / "link").symlink_to("config.yaml")
    git(directory, "add", "link")
    git(directory, "commit", "--quiet", "--message=second")
    return directory


def problem_of(spec: str | Path) -> str:
    with pytest.raises(TemplateProblem) as problem:
        load_template(str(spec))
    message = str(problem.value)
    assert "\n" not in message
    return message


def test_a_directory_is_taken_as_it_lies_there(tmp_path: Path, agent: Template) -> None:
    loaded = load_template(str(write(tmp_path / "agent", agent)))
    assert loaded.name == "agent"
    assert loaded.template == agent


def test_a_directory_whose_name_holds_an_at_sign_needs_no_ref(tmp_path: Path, agent: Template) -> None:
    assert load_template(str(write(tmp_path / "agent@home", agent))).name == "agent-home"


def test_uncommitted_changes_of_a_work_tree_are_taken_too(repository: Path) -> None:
    (repository / "prompts" / "new.md").write_text("new")
    (repository / "config.yaml").write_text("name: changed\n")
    loaded = load_template(str(repository)).template
    assert loaded.files["prompts/new.md"].content == b"new"
    assert loaded.config == {"name": "changed"}


def test_a_ref_of_a_work_tree_is_read_as_committed_byte_for_byte(repository: Path, agent: Template) -> None:
    (repository / "config.yaml").write_text("name: changed\n")
    loaded = load_template(f"{repository}@v1")
    assert loaded.name == "my-agent"
    assert loaded.template.config == {"name": "a", "skills": ["a"]}
    assert loaded.template.files["agent-skills/a/run.sh"].mode == "755"
    assert "prompts/größe.md" in loaded.template.files
    assert loaded.template.entries["vendored"] == TemplateSubmodule(OTHER_COMMIT)


def test_a_template_below_the_root_of_a_repository_can_be_taken_at_a_ref(
    tmp_path: Path, agent: Template
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    directory = write(tmp_path / "templates" / "agent", agent)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    assert set(load_template(f"{directory}@main").template.entries) == set(agent.entries)


@pytest.mark.parametrize("ref", ["", "@main", "@v1", "@COMMIT"])
def test_a_git_url_is_fetched_at_a_branch_a_tag_or_a_commit(repository: Path, ref: str) -> None:
    ref = ref.replace("COMMIT", git(repository, "rev-parse", "v1"))
    loaded = load_template(f"{repository.as_uri()}{ref}")
    assert loaded.name == "my-agent"
    assert loaded.template.digest() == load_template(f"{repository}@v1").template.digest()
    assert (loaded.template.entries.get("link") == TemplateLink("config.yaml")) == (ref in ("", "@main"))


def test_a_bare_repository_can_be_given_by_url(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "agent.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    assert load_template(f"file://{bare}@v1").name == "agent"
    assert load_template(f"{bare}@v1").name == "agent"


def test_the_users_git_configuration_has_no_say(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text('[url "/nowhere/"]\n\tinsteadOf = file:///\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert load_template(f"file://{repository}@v1").template.skills() == ("a",)
    plain = subprocess.run(
        ["git", "config", "--list"], env=git_environment(), capture_output=True, check=True, cwd=tmp_path
    )
    assert plain.stdout == b"safe.directory=*\n"


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "none") == (
        f"template {tmp_path}/none: no such directory; give a template's directory, or a git URL such as "
        "https://host/owner/repository"
    )


def test_a_directory_without_config_is_no_template(tmp_path: Path) -> None:
    assert problem_of(tmp_path) == (
        f"template {tmp_path}: is no template: it has no config.yaml at its root; "
        "for a bare collection of skill folders use --skills"
    )


def test_a_template_without_skills_is_refused(tmp_path: Path, agent: Template) -> None:
    write(tmp_path, agent.without("agent-skills/a/SKILL.md"))
    assert problem_of(tmp_path) == (
        f"template {tmp_path}: has no skills; it needs at least one agent-skills/<name>/SKILL.md"
    )


def test_a_config_that_enables_a_skill_that_is_not_there_is_refused(tmp_path: Path, agent: Template) -> None:
    write(tmp_path, agent.with_file("config.yaml", "skills: [a, ghost]\n"))
    assert problem_of(tmp_path) == (
        f"template {tmp_path}: config.yaml enables ghost, but there is no agent-skills/ghost/SKILL.md; "
        "add it, or take the name out of `skills`"
    )


def test_a_config_with_malformed_skills_is_refused_with_the_template_named(
    tmp_path: Path, agent: Template
) -> None:
    write(tmp_path, agent.with_file("config.yaml", "skills: null\n"))
    assert problem_of(tmp_path).startswith(
        f"template {tmp_path}: `skills` in config.yaml is not a list of names;"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, agent: Template) -> None:
    write(tmp_path, agent)
    (tmp_path / "config.yaml").chmod(0)
    assert f"template {tmp_path}: cannot be read: [Errno 13] Permission denied: " in problem_of(tmp_path)


def test_a_link_among_the_assets_is_refused_by_name(tmp_path: Path, agent: Template) -> None:
    write(tmp_path, agent)
    (tmp_path / "prompts" / "link.md").symlink_to("größe.md")
    assert problem_of(tmp_path) == (
        f"template {tmp_path}: prompts/link.md is a link, which is never delivered (ALW-3); "
        "put the files there themselves"
    )


@pytest.mark.parametrize("location", ["{0}", "file://{0}"])
def test_an_unknown_ref_is_named(repository: Path, location: str) -> None:
    spec = location.format(repository)
    assert problem_of(f"{spec}@v9") == (
        f"template {spec}: has no branch, tag or commit v9; name one that it has, and a commit by its whole id"
    )


def test_an_unknown_commit_id_is_named(repository: Path) -> None:
    assert f"has no branch, tag or commit {OTHER_COMMIT};" in problem_of(
        f"file://{repository}@{OTHER_COMMIT}"
    )


@pytest.mark.parametrize("ref", ["--upload-pack=x", "a..b", "a b", "+main", "main:x", "", "a~1", "/a", "a/"])
def test_a_ref_that_git_could_take_for_something_else_is_refused_before_git_is_called(
    repository: Path, ref: str
) -> None:
    assert problem_of(f"file://{repository}@{ref}") == (
        f"template file://{repository}: {ref!r} is no git ref; give a branch, a tag or a commit id behind the @"
    )


def test_a_ref_of_a_directory_outside_git_is_refused(tmp_path: Path, agent: Template) -> None:
    directory = write(tmp_path / "agent", agent)
    assert problem_of(f"{directory}@main") == (
        f"template {directory}@main: {directory} is no git repository, so it has no refs; leave @main out"
    )


def test_a_url_of_another_transport_is_refused() -> None:
    assert "git could not fetch HEAD: fatal: transport 'ftp' not allowed; check" in problem_of(
        "ftp://127.0.0.1/x"
    )
    assert "no such directory" in problem_of("ext::sh -c true")


def test_a_failed_fetch_tells_the_cause_and_hides_the_credential() -> None:
    message = problem_of("http://user:hunter2@127.0.0.1:1/owner/name.git@main")
    assert message.startswith(
        "template http://***@127.0.0.1:1/owner/name.git: git could not fetch main: fatal: unable"
    )
    assert "hunter2" not in message
    assert message.endswith("(a token in the URL is never shown)")


def test_without_git_a_url_is_refused_and_a_directory_is_not(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert problem_of(f"file://{repository}") == (
        f"template file://{repository}: there is no git program on the PATH; install git 2.28 or newer, "
        "or give a directory"
    )
    assert load_template(str(repository)).template.skills() == ("a",)


def test_a_collection_of_skills_becomes_a_template_that_enables_them_all(tmp_path: Path) -> None:
    collection = (
        Template()
        .with_file("README.md", "not a skill")
        .with_file("alpha/SKILL.md", SKILL)
        .with_file("alpha/run.sh", "#!/bin/sh\n", "755")
        .with_file("alpha/nested/SKILL.md", "part of alpha")
        .with_file("writing/beta/SKILL.md", SKILL)
        .with_file("writing/beta/commands/b.md", "b")
    )
    loaded = load_skills(write(tmp_path / "my skills", collection))
    assert loaded.name == "my-skills"
    assert loaded.template.named_skills() == loaded.template.skills() == ("alpha", "beta")
    assert loaded.template.commands("beta") == ("b.md",)
    assert dict(loaded.template.files) == {
        "config.yaml": loaded.template.files["config.yaml"],
        "agent-skills/alpha/SKILL.md": TemplateFile(SKILL),
        "agent-skills/alpha/run.sh": TemplateFile(b"#!/bin/sh\n", "755"),
        "agent-skills/alpha/nested/SKILL.md": TemplateFile(b"part of alpha"),
        "agent-skills/beta/SKILL.md": TemplateFile(SKILL),
        "agent-skills/beta/commands/b.md": TemplateFile(b"b"),
    }
    assert set(loaded.template.config) >= {"name", "description", "version", "runtime", "model"}


@pytest.mark.parametrize("other", ["alpha", "Alpha"])
def test_two_skills_of_one_name_are_refused_with_both_folders_named(tmp_path: Path, other: str) -> None:
    write(tmp_path, Template().with_file("x/alpha/SKILL.md", "").with_file(f"y/{other}/SKILL.md", ""))
    with pytest.raises(
        TemplateProblem, match=f"{tmp_path}/x/alpha and {tmp_path}/y/{other} are two skills of one"
    ):
        load_skills(tmp_path)


def test_a_collection_without_skills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TemplateProblem, match=f"skills {tmp_path}: has no skills: no folder in it holds a SKILL.md"
    ):
        load_skills(tmp_path)


def test_a_collection_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateProblem, match=f"skills {tmp_path}/none: no such directory; give a folder"):
        load_skills(tmp_path / "none")


def test_a_link_in_a_collection_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, Template().with_file("alpha/SKILL.md", ""))
    (tmp_path / "alpha" / "link").symlink_to("/etc/passwd")
    with pytest.raises(TemplateProblem, match="agent-skills/alpha/link is a link, which is never delivered"):
        load_skills(tmp_path)
