"""Who may read what, over git and over the API."""

from __future__ import annotations

from base64 import b64encode

import httpx
import pytest

from harness.templates import Template
from harness.world.template_host import TemplateHost

API = "/api/v1/repos/{}"
GIT = "/{}.git/info/refs?service=git-upload-pack"


@pytest.fixture(autouse=True)
def repositories(host: TemplateHost, agent: Template) -> None:
    host.create_repository("acme/private").publish(agent)
    host.create_repository("acme/public", private=False).publish(agent)


def ask(host: TemplateHost, path: str, authorization: str | None = None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.get(f"{host.url}{path}", headers=headers, trust_env=False, verify=False)


@pytest.mark.parametrize(
    ("path", "anonymous", "unknown_token", "out_of_scope", "in_scope"),
    [
        (API.format("acme/private"), 401, 401, 404, 200),
        (GIT.format("acme/private"), 401, 401, 404, 200),
        (API.format("acme/public"), 200, 401, 200, 200),
        (GIT.format("acme/public"), 200, 401, 200, 200),
        (API.format("acme/none"), 404, 401, 404, 404),
        (GIT.format("acme/none"), 401, 401, 404, 404),
    ],
)
def test_a_repository_answers_each_caller_as_gitea_does(
    host: TemplateHost, path: str, anonymous: int, unknown_token: int, out_of_scope: int, in_scope: int
) -> None:
    foreign, own = host.issue_token("rival"), host.issue_token("acme/private", "acme/public", "acme/none")
    callers = (None, "token nobody", f"token {foreign}", f"token {own}")
    answers = [ask(host, path, caller) for caller in callers]
    assert [answer.status_code for answer in answers] == [anonymous, unknown_token, out_of_scope, in_scope]
    for answer in answers:
        assert answer.headers.get("WWW-Authenticate") == (
            'Basic realm="Gitea"' if answer.status_code == 401 else None
        )


def test_a_token_is_taken_as_token_bearer_or_basic_password(host: TemplateHost) -> None:
    token = host.issue_token("acme/private")
    basic = b64encode(f"whoever:{token}".encode()).decode()
    for authorization in (f"token {token}", f"Bearer {token}", f"bearer {token}", f"Basic {basic}"):
        assert ask(host, API.format("acme/private"), authorization).status_code == 200


@pytest.mark.parametrize("shape", ["{}", "Basic {}", "Digest {}", "token", "Basic ====", "Basic /w=="])
def test_a_token_in_any_other_place_is_worth_nothing(host: TemplateHost, shape: str) -> None:
    token = host.issue_token("acme/private")
    assert ask(host, API.format("acme/private"), shape.format(token)).status_code == 401
    assert ask(host, f"{API.format('acme/private')}?token={token}&access_token={token}").status_code == 401


def test_an_owners_token_reads_all_that_the_owner_has(host: TemplateHost, agent: Template) -> None:
    token = host.issue_token("acme")
    host.create_repository("acme/later").publish(agent)
    assert ask(host, API.format("acme/later"), f"token {token}").status_code == 200


def test_a_revoked_token_is_unknown(host: TemplateHost) -> None:
    token = host.issue_token("acme")
    host.revoke(token)
    assert ask(host, API.format("acme/private"), f"token {token}").status_code == 401


def test_a_token_can_be_given_its_value(host: TemplateHost) -> None:
    assert host.issue_token("acme", token="ghp_canary") == "ghp_canary"
    assert ask(host, API.format("acme/private"), "token ghp_canary").status_code == 200


def test_a_token_for_nothing_is_not_issued(host: TemplateHost) -> None:
    with pytest.raises(ValueError, match="a token needs something to read"):
        host.issue_token()


def test_an_api_error_is_json_as_gitea_words_it(host: TemplateHost) -> None:
    answer = ask(host, API.format("acme/private"))
    assert answer.json() == {"message": "token is required", "url": f"{host.url}/api/swagger"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/version",
        "/acme/private.git/HEAD",
        "/acme/private.git/objects/info/packs",
        "/acme/public",
    ],
)
def test_there_is_nothing_else(host: TemplateHost, path: str) -> None:
    token = host.issue_token("acme")
    assert ask(host, path, f"token {token}").status_code == 404


@pytest.mark.parametrize(
    "name", ["acme", "acme/a/b", "../agent", "acme/..", "acme/a.git", "acme/a b", "", "/a"]
)
def test_a_malformed_repository_name_is_refused(host: TemplateHost, name: str) -> None:
    with pytest.raises(ValueError, match="is no repository name"):
        host.create_repository(name)


def test_a_repository_name_is_taken_once(host: TemplateHost) -> None:
    with pytest.raises(ValueError, match="there is a repository acme/private already"):
        host.create_repository("acme/private")
