"""What was asked of the host can be read back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from harness.templates import Template
from harness.world.template_host import TemplateHost


def test_a_request_is_recorded_as_it_was_sent(host: TemplateHost, agent: Template, api: httpx.Client) -> None:
    host.create_repository("acme/agent").publish(agent)
    token = host.issue_token("acme")
    answer = api.get(
        "/acme/agent/raw/config.yaml?ref=main", headers={"Authorization": f"token {token}", "X-Trace": "1"}
    )
    (request,) = host.requests.all()
    assert (request.method, request.path) == ("GET", "/api/v1/repos/acme/agent/raw/config.yaml")
    assert (request.query, request.repository) == ("ref=main", "acme/agent")
    assert (request.status, request.bytes_sent) == (200, len(answer.content))
    assert request.authorization == f"token {token}"
    assert request.headers["x-trace"] == "1"
    assert token not in repr(request)


def test_requests_are_told_apart_by_repository_and_by_mark(host: TemplateHost, api: httpx.Client) -> None:
    api.get("/acme/one")
    mark = host.requests.mark()
    api.get("/acme/two")
    api.get("/acme/one")
    assert [request.repository for request in host.requests.all()] == ["acme/one", "acme/two", "acme/one"]
    assert len(host.requests.of("acme/one")) == 2
    assert len(host.requests.of("acme/one", since=mark)) == 1


def test_requests_at_the_same_time_are_all_recorded(host: TemplateHost, agent: Template) -> None:
    host.create_repository("acme/agent", private=False).publish(agent)
    url = f"{host.url}/api/v1/repos/acme/agent/raw/prompts/größe.md"
    with httpx.Client(trust_env=False, verify=False) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(url), range(40)))
    assert {answer.content for answer in answers} == {b"\xff\x00binary"}
    assert [(request.status, request.bytes_sent) for request in host.requests.all()] == [(200, 8)] * 40


def test_the_host_is_reached_under_the_name_it_advertises(tmp_path: Path) -> None:
    with TemplateHost(tmp_path, bind_host="127.0.0.1", advertise_host="localhost") as host:
        host.create_repository("acme/agent", private=False)
        about = httpx.get(f"{host.url}/api/v1/repos/acme/agent", trust_env=False, verify=False).json()
    assert about["clone_url"] == host.clone_url("acme/agent") == f"{host.url}/acme/agent.git"
    assert host.url.startswith("http://localhost:")
