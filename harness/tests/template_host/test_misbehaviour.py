"""The host errs on command, towards one repository, and counts how often it did."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from werkzeug import Request, Response

from harness.templates import Template
from harness.world.template_host import Fail, Misbehaviour, Repository, TemplateHost, Unreachable, with_body
from harness.world.template_host.misbehaviour import Proceed

from .conftest import Git

RAW = "/acme/agent/raw/config.yaml"


@pytest.fixture
def repository(host: TemplateHost, agent: Template) -> Repository:
    repository = host.create_repository("acme/agent", private=False)
    repository.publish(agent)
    return repository


@pytest.mark.usefixtures("repository")
def test_a_host_that_errs_twice_answers_the_third_time(host: TemplateHost, api: httpx.Client) -> None:
    with host.intercept("acme/agent", Fail(503, times=2, retry_after=7)) as fault:
        answers = [api.get(RAW) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert fault.hits == 2
    assert [request.status for request in host.requests.of("acme/agent")] == [503, 503, 200]


@pytest.mark.usefixtures("repository")
def test_a_fault_ends_when_it_is_removed(host: TemplateHost, api: httpx.Client) -> None:
    fault = host.intercept("acme/agent", Fail(500))
    assert api.get(RAW).status_code == 500
    fault.remove()
    assert api.get(RAW).status_code == 200
    assert fault.hits == 1


@pytest.mark.usefixtures("repository")
def test_a_fault_is_of_one_repository_only(host: TemplateHost, agent: Template, api: httpx.Client) -> None:
    host.create_repository("acme/other", private=False).publish(agent)
    with host.intercept("acme/agent", Fail(500)) as fault:
        assert api.get("/acme/other/raw/config.yaml").status_code == 200
    assert fault.hits == 0


@pytest.mark.usefixtures("repository")
def test_a_git_client_sees_the_error(host: TemplateHost, git: Git) -> None:
    with host.intercept("acme/agent", Fail(502)):
        refused = git("ls-remote", host.clone_url("acme/agent"))
    assert "The requested URL returned error: 502" in refused.stderr


@pytest.mark.usefixtures("repository")
def test_a_fault_may_choose_its_requests(host: TemplateHost, git: Git, api: httpx.Client) -> None:
    pack_only = Fail(500, only=lambda request: request.path.endswith("/git-upload-pack"))
    with host.intercept("acme/agent", pack_only) as fault:
        assert api.get(RAW).status_code == 200
        assert git("ls-remote", host.clone_url("acme/agent")).returncode == 128
    assert fault.hits == 1


@pytest.mark.usefixtures("repository")
def test_an_unreachable_host_closes_the_connection_without_an_answer(
    host: TemplateHost, git: Git, api: httpx.Client
) -> None:
    with host.intercept("acme/agent", Unreachable(times=2)) as fault:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            api.get(RAW)
        assert "Empty reply from server" in git("ls-remote", host.clone_url("acme/agent")).stderr
        assert api.get(RAW).status_code == 200
    assert fault.hits == 2
    assert [request.status for request in host.requests.of("acme/agent")] == [None, None, 200]


class CutShort(Misbehaviour):
    """Passes a few bytes of the answer on, then drops the connection."""

    def misbehave(self, request: Request, proceed: Proceed) -> Response:
        return with_body(proceed(), self._cut)

    def _cut(self, body: Iterator[bytes]) -> Iterator[bytes]:
        yield next(body)[:3]
        raise ConnectionResetError


@pytest.mark.usefixtures("repository")
def test_an_answer_can_be_wrapped_and_cut(host: TemplateHost, api: httpx.Client) -> None:
    with (
        host.intercept("acme/agent", CutShort()),
        pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"),
    ):
        api.get(RAW)
    (request,) = host.requests.of("acme/agent")
    assert (request.status, request.bytes_sent) == (200, 3)


@pytest.mark.usefixtures("repository")
def test_the_fault_added_last_stands_foremost(host: TemplateHost, api: httpx.Client) -> None:
    with host.intercept("acme/agent", Fail(500)) as inner, host.intercept("acme/agent", Fail(503)) as outer:
        assert api.get(RAW).status_code == 503
    assert (inner.hits, outer.hits) == (0, 1)


def test_a_fault_needs_no_repository(host: TemplateHost, api: httpx.Client) -> None:
    with host.intercept("acme/none", Fail(410)):
        assert api.get("/acme/none").status_code == 410
