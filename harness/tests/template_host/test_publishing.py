"""Templates are published as commits: reproducible, on top of each other, and fast."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from harness.templates import Template, TemplateLink, TemplateSubmodule, load_template, with_generated_skill
from harness.templates.git import GitFailed
from harness.world.template_host import NoSuchRef, Repository, TemplateHost


@pytest.fixture
def repository(host: TemplateHost) -> Repository:
    return host.create_repository("acme/agent", private=False)


def test_a_published_template_is_read_back_as_it_was(
    host: TemplateHost, repository: Repository, agent: Template
) -> None:
    awkward = agent.with_entries(
        {"link": TemplateLink("../ä"), "module": TemplateSubmodule("1" * 40)}
    ).with_file("prompts/new\nline\udcff.md", "not UTF-8")
    repository.publish(awkward)
    assert load_template(f"{repository.path}@main").template.digest() == awkward.digest()
    assert load_template(f"{host.clone_url('acme/agent')}@main").template == awkward


def test_each_publication_is_a_commit_on_top_that_replaces_the_whole_tree(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    first = repository.publish(agent)
    second = repository.publish(agent.without("prompts"))
    about = api.get(f"/acme/agent/git/commits/{second}").json()
    assert [parent["sha"] for parent in about["parents"]] == [first]
    assert api.get("/acme/agent/raw/prompts/größe.md").status_code == 404
    assert api.get("/acme/agent/raw/prompts/größe.md", params={"ref": first}).status_code == 200


def test_the_same_history_gives_the_same_ids_in_another_repository(
    host: TemplateHost, agent: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = agent.with_file("config.yaml", "name: b\n")
    one = host.create_repository("acme/one")
    expected = [one.publish(agent), one.publish(changed)]
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    other = host.create_repository("acme/other")
    assert [other.publish(agent), other.publish(changed)] == expected
    assert expected[0] != expected[1]


def test_publishing_the_same_template_again_is_another_commit(
    repository: Repository, agent: Template
) -> None:
    assert repository.publish(agent) != repository.publish(agent)


def test_a_branch_is_made_moved_and_deleted(repository: Repository, agent: Template) -> None:
    first = repository.publish(agent, tag="v1")
    second = repository.publish(agent.with_file("config.yaml", "name: b\n"))
    repository.branch("stable", "v1")
    repository.move("stable", second)
    assert repository.commit("stable") == second
    repository.move("main", first)
    assert repository.commit("main") == first
    repository.delete_ref("stable")
    repository.delete_ref("v1")
    for gone in ("stable", "v1"):
        with pytest.raises(NoSuchRef, match=f"acme/agent has no branch, tag or commit '{gone}'"):
            repository.commit(gone)


def test_what_is_not_there_is_neither_moved_nor_deleted(repository: Repository, agent: Template) -> None:
    repository.publish(agent, tag="v1")
    with pytest.raises(NoSuchRef, match="acme/agent has no branch 'v1'"):
        repository.move("v1", "main")
    with pytest.raises(NoSuchRef, match="acme/agent has no branch or tag 'none'"):
        repository.delete_ref("none")


def test_an_empty_template_can_be_published(repository: Repository, api: httpx.Client) -> None:
    repository.publish(Template())
    assert api.get("/acme/agent/git/trees/main").json()["total_count"] == 0


def test_a_path_that_git_refuses_is_reported(repository: Repository) -> None:
    with pytest.raises(GitFailed, match="git fast-import ended with status 128: fatal: Empty path component"):
        repository.publish(Template().with_file("a//b", "x"))


def test_a_repository_holds_no_hook(repository: Repository) -> None:
    assert not (repository.path / "hooks").exists()


def test_five_thousand_files_are_published_whole(
    host: TemplateHost, repository: Repository, agent: Template
) -> None:
    many = with_generated_skill(agent, "many", size=5_000 * 1024, files=5_000)
    repository.publish(many)
    assert load_template(f"{host.clone_url('acme/agent')}@main").template.digest() == many.digest()


def test_what_was_published_lies_in_the_directory_given(repository: Repository, tmp_path: Path) -> None:
    assert repository.path == tmp_path / "host" / "acme" / "agent.git"
