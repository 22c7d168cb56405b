"""A real git client fetches from the template host."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import psutil
import pytest

from harness.templates import Template, with_generated_skill
from harness.world.template_host import TemplateHost

from .conftest import Git

BIG = 20 * 1024 * 1024


def left_behind() -> list[str]:
    """Threads of a server and git processes of this test process that still run."""
    threads = [thread.name for thread in threading.enumerate() if "process_request" in thread.name]
    return threads + [child.name() for child in psutil.Process().children() if "git" in child.name()]


def test_a_clone_has_every_byte_and_every_mode(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    host.create_repository("acme/agent", private=False).publish(agent)
    assert git("clone", "--quiet", host.clone_url("acme/agent"), "clone").returncode == 0
    assert Template.from_directory(tmp_path / "clone") == agent


def test_a_private_repository_is_cloned_with_a_token_from_askpass(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    host.create_repository("acme/agent").publish(agent)
    token = host.issue_token("acme/agent")
    assert git("clone", "--quiet", host.clone_url("acme/agent"), "clone", token=token).returncode == 0
    assert Template.from_directory(tmp_path / "clone") == agent
    assert [request.status for request in host.requests.of("acme/agent")] == [401, 200, 200, 200]


def test_a_wrong_token_is_refused(host: TemplateHost, agent: Template, git: Git) -> None:
    host.create_repository("acme/agent").publish(agent)
    refused = git("clone", host.clone_url("acme/agent"), "clone", token="wrong")
    assert "Authentication failed" in refused.stderr
    assert [request.status for request in host.requests.of("acme/agent")] == [401, 401]


def test_without_a_token_a_client_is_asked_for_one(host: TemplateHost, agent: Template, git: Git) -> None:
    host.create_repository("acme/agent").publish(agent)
    assert "terminal prompts disabled" in git("clone", host.clone_url("acme/agent"), "clone").stderr


def test_a_repository_out_of_the_tokens_scope_is_not_found(
    host: TemplateHost, agent: Template, git: Git
) -> None:
    host.create_repository("acme/agent").publish(agent)
    token = host.issue_token("acme/other", "rival")
    refused = git("clone", host.clone_url("acme/agent"), "clone", token=token)
    assert f"repository '{host.url}/acme/agent.git/' not found" in refused.stderr


def test_a_commit_that_no_branch_names_any_more_is_fetched_by_its_id(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    repository = host.create_repository("acme/agent", private=False)
    first = repository.publish(agent)
    second = repository.publish(agent.with_file("config.yaml", "name: b\n"))
    repository.move("main", first)

    git("init", "--quiet", "clone")
    url = host.clone_url("acme/agent")
    fetched = git("fetch", "--depth=1", "--filter=blob:none", url, second, directory=tmp_path / "clone")
    assert fetched.returncode == 0, fetched.stderr
    assert git("rev-parse", "FETCH_HEAD", directory=tmp_path / "clone").stdout.strip() == second


def test_a_shallow_fetch_in_either_protocol_version_brings_one_commit(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    repository = host.create_repository("acme/agent", private=False)
    first = repository.publish(agent)
    repository.publish(agent.with_file("prompts/more.md", "more"))
    for version in ("0", "2"):
        git("init", "--quiet", f"clone{version}")
        directory = tmp_path / f"clone{version}"
        for ref in ("main", first):
            mark = host.requests.mark()
            fetched = git(
                "-c", f"protocol.version={version}", "fetch", "--depth=1", host.clone_url("acme/agent"), ref,
                directory=directory,
            )  # fmt: skip
            assert fetched.returncode == 0, fetched.stderr
            assert git("rev-list", "--count", "FETCH_HEAD", directory=directory).stdout == "1\n"
            spoken = {request.headers.get("Git-Protocol") for request in host.requests.all(since=mark)}
            assert spoken == {None if version == "0" else "version=2"}


def test_a_request_body_that_git_sends_gzipped_is_understood(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    repository = host.create_repository("acme/agent", private=False)
    commits = {
        repository.publish(agent.with_file("config.yaml", f"name: a{number}\n"), branch=f"b{number}")
        for number in range(60)
    }
    assert git("clone", "--quiet", "--mirror", host.clone_url("acme/agent"), "clone").returncode == 0
    assert "gzip" in {request.headers.get("Content-Encoding") for request in host.requests.all()}
    assert set(git("rev-list", "--all", directory=tmp_path / "clone").stdout.split()) == commits


def test_a_request_body_that_comes_in_chunks_is_understood(host: TemplateHost, agent: Template) -> None:
    commit = host.create_repository("acme/agent", private=False).publish(agent)
    answer = httpx.post(
        f"{host.url}/acme/agent.git/git-upload-pack",
        headers={"Git-Protocol": "version=2", "Content-Type": "application/x-git-upload-pack-request"},
        content=iter([b"0014command=", b"ls-refs\n00", b"00"]),
        trust_env=False,
        verify=False,
    )
    assert host.requests.all()[0].headers["Transfer-Encoding"] == "chunked"
    assert answer.text == f"0032{commit} HEAD\n003d{commit} refs/heads/main\n0000"


def test_a_push_is_refused_whoever_asks(
    host: TemplateHost, agent: Template, git: Git, tmp_path: Path
) -> None:
    host.create_repository("acme/agent").publish(agent)
    token = host.issue_token("acme")
    git("clone", "--quiet", host.clone_url("acme/agent"), "clone", token=token)
    refused = git("push", "origin", "HEAD:refs/heads/mine", directory=tmp_path / "clone", token=token)
    assert "The requested URL returned error: 403" in refused.stderr
    posted = httpx.post(
        f"{host.url}/acme/agent.git/git-receive-pack", headers={"Authorization": f"token {token}"}
    )
    assert posted.status_code == 403


def test_an_annotated_tag_is_fetched(host: TemplateHost, agent: Template, git: Git, tmp_path: Path) -> None:
    repository = host.create_repository("acme/agent", private=False)
    commit = repository.publish(agent)
    repository.tag("v1", commit, message="The first one")
    git("clone", "--quiet", "--branch=v1", "--depth=1", host.clone_url("acme/agent"), "clone")
    assert git("rev-parse", "HEAD", directory=tmp_path / "clone").stdout.strip() == commit


def test_a_client_that_goes_away_leaves_no_thread_and_no_process_behind(
    host: TemplateHost, agent: Template
) -> None:
    host.create_repository("acme/agent", private=False).publish(with_generated_skill(agent, "big", size=BIG))
    with httpx.stream(
        "GET", f"{host.url}/api/v1/repos/acme/agent/archive/main.tar.gz", verify=False
    ) as answer:
        next(answer.iter_raw())
    host.close()
    assert left_behind() == []


def test_a_host_that_is_closed_cuts_off_a_client_that_has_stopped_reading(
    host: TemplateHost, agent: Template
) -> None:
    host.create_repository("acme/agent", private=False).publish(with_generated_skill(agent, "big", size=BIG))
    with httpx.stream(
        "GET", f"{host.url}/api/v1/repos/acme/agent/archive/main.tar.gz", verify=False
    ) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        host.close()
        assert left_behind() == []
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            list(chunks)
