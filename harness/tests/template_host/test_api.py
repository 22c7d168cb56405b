"""The part of Gitea's API that reads a repository."""

from __future__ import annotations

import gzip
import io
import tarfile

import httpx
import pytest

from harness.templates import Template, TemplateLink, with_generated_skill
from harness.world.template_host import Repository, TemplateHost


@pytest.fixture
def repository(host: TemplateHost) -> Repository:
    return host.create_repository("acme/agent", private=False)


def archived(answer: httpx.Response) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.content))) as archive:
        return {
            member.name: body.read()
            for member in archive
            if (body := archive.extractfile(member)) is not None
        }


def test_the_repository_says_whether_it_is_empty(
    repository: Repository, agent: Template, api: httpx.Client, host: TemplateHost
) -> None:
    assert api.get("/acme/agent").json()["empty"] is True
    repository.publish(agent)
    about = api.get("/acme/agent").json()
    assert about["empty"] is False
    assert about["private"] is False
    assert about["full_name"] == "acme/agent"
    assert about["default_branch"] == "main"
    assert about["clone_url"] == host.clone_url("acme/agent")


def test_branch_tag_annotated_tag_and_id_all_resolve(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    first = repository.publish(agent, tag="v1")
    second = repository.publish(agent.with_file("prompts/b.md", ""), message="Second\n\nWith a body")
    repository.tag("v2", second, message="annotated")
    repository.branch("feature/x", first)
    for ref, commit in {"main": second, "v1": first, "v2": second, first: first, "feature/x": first}.items():
        answer = api.get(f"/acme/agent/git/commits/{ref}").json()
        assert answer["sha"] == commit == repository.commit(ref)
    about = api.get("/acme/agent/git/commits/main").json()
    assert about["commit"]["message"] == "Second\n\nWith a body\n"
    assert [parent["sha"] for parent in about["parents"]] == [first]
    tree = about["commit"]["tree"]["sha"]
    assert api.get(f"/acme/agent/git/trees/{tree}").json()["sha"] == tree


@pytest.mark.parametrize(
    "path",
    [
        "git/commits/none",
        "git/commits/" + "0" * 40,
        "git/commits/main~1",
        "git/commits/main%0Amain",
        "git/commits/-h",
        "git/trees/none",
        "archive/none.tar.gz",
        "archive/main.zip",
        "archive/main",
        "raw/none.md",
        "raw/prompts",
        "raw/config.yaml/",
        "raw/",
        "raw/config.yaml?ref=none",
        "contents/config.yaml",
    ],
)
def test_what_is_not_there_is_not_found(
    repository: Repository, agent: Template, api: httpx.Client, host: TemplateHost, path: str
) -> None:
    repository.publish(agent)
    answer = api.get(f"/acme/agent/{path}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "The target couldn't be found.", "url": f"{host.url}/api/swagger"}


def test_an_empty_repository_has_no_branch(repository: Repository, api: httpx.Client) -> None:
    assert api.get("/acme/agent/git/commits/main").status_code == 404


def test_a_tree_is_listed_with_modes_sizes_and_directories(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    commit = repository.publish(agent.with_entries({"link": TemplateLink("config.yaml")}))
    listed = api.get(f"/acme/agent/git/trees/{commit}", params={"recursive": "true"}).json()
    entries = {entry["path"]: (entry["mode"], entry["type"], entry["size"]) for entry in listed["tree"]}
    assert entries == {
        "agent-skills": ("040000", "tree", 0),
        "agent-skills/a": ("040000", "tree", 0),
        "agent-skills/a/SKILL.md": ("100644", "blob", 17),
        "agent-skills/a/empty": ("100644", "blob", 0),
        "agent-skills/a/run.sh": ("100755", "blob", 10),
        "config.yaml": ("100644", "blob", 8),
        "link": ("120000", "blob", 11),
        "prompts": ("040000", "tree", 0),
        "prompts/größe.md": ("100644", "blob", 8),
        'prompts/quo"te back\\slash.md': ("100644", "blob", 6),
    }
    assert (listed["truncated"], listed["page"], listed["total_count"]) == (False, 1, 10)
    root = api.get(f"/acme/agent/git/trees/{commit}").json()["tree"]
    assert [entry["path"] for entry in root] == ["agent-skills", "config.yaml", "link", "prompts"]


def test_a_large_tree_comes_in_pages_of_a_thousand_at_most(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    many = with_generated_skill(agent, "many", size=100_000, files=2_100)
    repository.publish(many)
    pages = [
        api.get(
            "/acme/agent/git/trees/main", params={"recursive": "1", "page": page, "per_page": 5_000}
        ).json()
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["tree"] or ()) for page in pages[:2]] == [1_000, 1_000]
    # As Gitea has it: the last page is "truncated" like the others, and the one behind it holds null.
    assert [page["truncated"] for page in pages] == [True, True, True, False]
    assert pages[3]["tree"] is None
    listed = [entry["path"] for page in pages[:3] for entry in page["tree"] if entry["type"] == "blob"]
    assert sorted(listed) == sorted(many.entries)
    assert {page["total_count"] for page in pages} == {sum(len(page["tree"]) for page in pages[:3])}


def test_a_raw_file_is_its_blob_byte_for_byte(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    commit = repository.publish(agent)
    repository.publish(agent.with_file("config.yaml", "name: newer\n"))
    for path, file in agent.files.items():
        answer = api.get(f"/acme/agent/raw/{path}", params={"ref": commit})
        assert answer.content == file.content
        assert answer.headers["Content-Length"] == str(file.size)
    assert api.get("/acme/agent/raw/config.yaml").content == b"name: newer\n"


def test_an_archive_holds_the_tree_below_the_repositorys_name(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    commit = repository.publish(agent, tag="v1")
    for ref in ("main", "v1", commit):
        assert archived(api.get(f"/acme/agent/archive/{ref}.tar.gz")) == {
            f"agent/{path}": file.content for path, file in agent.files.items()
        }


def test_the_attributes_of_a_template_change_its_archive_and_not_its_raw_files(
    repository: Repository, agent: Template, api: httpx.Client
) -> None:
    attributes = "prompts export-ignore\nconfig.yaml text eol=crlf\n"
    repository.publish(agent.with_file(".gitattributes", attributes))
    archive = archived(api.get("/acme/agent/archive/main.tar.gz"))
    assert archive["agent/config.yaml"] == b"name: a\r\n"
    assert not [path for path in archive if path.startswith("agent/prompts")]
    assert api.get("/acme/agent/raw/config.yaml").content == b"name: a\n"
    assert api.get("/acme/agent/raw/prompts/größe.md").content == b"\xff\x00binary"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(
    repository: Repository, agent: Template, api: httpx.Client, method: str
) -> None:
    repository.publish(agent)
    answer = api.request(method, "/acme/agent/raw/config.yaml")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
