"""The part of Gitea's API (v1) that reads a repository, as Gitea 1.2x answers it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug import Request, Response

from ...templates.git import run_git
from .process import GitOutput
from .repository import DEFAULT_BRANCH

if TYPE_CHECKING:
    from .repository import Repository

_STORED = 32 << 20
"""Bytes of a repository beyond which its archives are packed without being squeezed."""
TREE_PAGE = 1000
"""Entries of a tree that one answer holds at most; Gitea's DEFAULT_GIT_TREES_PER_PAGE."""

_PATH = re.compile(r"/api/v1/repos/(?P<repository>[^/]+/[^/]+)(?:/(?P<rest>.*))?", re.DOTALL)
_COMMIT_FORMAT = "%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


def repository_of(path: str) -> str | None:
    """The repository (`owner/name`) that an API path names; None if it names none."""
    match = _PATH.fullmatch(path)
    return match["repository"] if match else None


def problem(status: int, message: str, base_url: str) -> Response:
    """An error as Gitea words it."""
    return _json({"message": message, "url": f"{base_url}/api/swagger"}, status)


def serve(repository: Repository, request: Request, base_url: str) -> Response:
    """What the API answers, for a request that may read the repository."""
    match = _PATH.fullmatch(request.path)
    kind, _, rest = ((match["rest"] if match else None) or "").partition("/")
    answer: Response | None = None
    if not kind:
        answer = _json(_repository(repository, base_url))
    elif kind == "git" and rest.startswith("commits/"):
        answer = _commit(repository, rest.removeprefix("commits/"), base_url)
    elif kind == "git" and rest.startswith("trees/"):
        answer = _tree(repository, rest.removeprefix("trees/"), request, base_url)
    elif kind == "archive":
        answer = _archive(repository, rest)
    elif kind == "raw":
        answer = _raw(repository, rest, request.args.get("ref") or DEFAULT_BRANCH)
    return answer or problem(404, "The target couldn't be found.", base_url)


def _repository(repository: Repository, base_url: str) -> dict[str, Any]:
    owner, _, name = repository.name.partition("/")
    return {
        "owner": {"login": owner},
        "name": name,
        "full_name": repository.name,
        "description": "",
        "empty": repository.is_empty(),
        "private": repository.private,
        "fork": False,
        "archived": False,
        "default_branch": DEFAULT_BRANCH,
        "url": _url(repository, base_url),
        "html_url": f"{base_url}/{repository.name}",
        "clone_url": f"{base_url}/{repository.name}.git",
        "permissions": {"admin": False, "push": False, "pull": True},
    }


def _commit(repository: Repository, ref: str, base_url: str) -> Response | None:
    commit = repository.find(ref)
    if commit is None:
        return None
    shown = run_git("log", "-1", f"--format={_COMMIT_FORMAT}", commit, directory=repository.path)
    tree, parents, author, author_email, authored, committer, committer_email, committed, message = (
        shown.decode("utf-8", "replace").split("\0")
    )
    url = f"{_url(repository, base_url)}/git"
    return _json(
        {
            "url": f"{url}/commits/{commit}",
            "sha": commit,
            "created": committed,
            "commit": {
                "url": f"{url}/commits/{commit}",
                "author": {"name": author, "email": author_email, "date": authored},
                "committer": {"name": committer, "email": committer_email, "date": committed},
                "message": message.rstrip("\n") + "\n",
                "tree": {"url": f"{url}/trees/{tree}", "sha": tree, "created": committed},
            },
            "parents": [{"url": f"{url}/commits/{parent}", "sha": parent} for parent in parents.split()],
        }
    )


def _tree(repository: Repository, ref: str, request: Request, base_url: str) -> Response | None:
    """A page of a tree. As in Gitea, `truncated` tells that there is more than one page (on the last as well), and
    a page behind the last has a `tree` of null."""
    tree = repository.find_tree(ref)
    if tree is None:
        return None
    recursive = request.args.get("recursive", "").lower() in ("true", "1")
    page = max(request.args.get("page", 1, type=int), 1)
    per_page = request.args.get("per_page", TREE_PAGE, type=int)
    if not 0 < per_page <= TREE_PAGE:
        per_page = TREE_PAGE
    entries = repository.tree(tree, recursive=recursive)
    shown = entries[per_page * (page - 1) : per_page * page]
    url = f"{_url(repository, base_url)}/git"
    listed = [
        {
            "path": entry.path,
            "mode": entry.mode,
            "type": entry.kind,
            "size": entry.size,
            "sha": entry.sha,
            "url": "" if entry.kind == "commit" else f"{url}/{entry.kind}s/{entry.sha}",
        }
        for entry in shown
    ]
    return _json(
        {
            "sha": tree,
            "url": f"{url}/trees/{tree}",
            "tree": listed or None,
            "truncated": bool(shown) and len(entries) > per_page,
            "page": page,
            "total_count": len(entries),
        }
    )


def _archive(repository: Repository, file_name: str) -> Response | None:
    """`<ref>.tar.gz`, made by the real `git archive`: the attributes of the archived tree apply."""
    ref = file_name.removesuffix(".tar.gz")
    commit = repository.find(ref) if ref != file_name else None
    if commit is None:
        return None
    name = repository.name.partition("/")[2]
    # Of what is large most is noise, at which gzip would be for 3 s per 100 MiB and not make it smaller.
    effort = "-0" if repository.size_on_disk() > _STORED else "-6"
    output = GitOutput(
        "archive", "--format=tar.gz", effort, f"--prefix={name}/", commit, directory=repository.path
    )
    answer = Response(output, mimetype="application/gzip")
    attachment = quote(f"{name}-{ref.replace('/', '-')}.tar.gz")
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{attachment}"
    return answer


def _raw(repository: Repository, path: str, ref: str) -> Response | None:
    """A blob, byte for byte: no attribute applies to it; of a link, its target."""
    commit = repository.find(ref)
    entry = repository.entry(commit, path) if commit is not None and path else None
    if entry is None or entry.kind != "blob":
        return None
    output = GitOutput("cat-file", "blob", entry.sha, directory=repository.path)
    answer = Response(output, mimetype="application/octet-stream")
    answer.content_length = entry.size
    return answer


def _url(repository: Repository, base_url: str) -> str:
    return f"{base_url}/api/v1/repos/{repository.name}"


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, mimetype="application/json")
