"""git over HTTP: the real `git http-backend`, called as a web server calls it (CGI, RFC 3875), for reading only."""

from __future__ import annotations

import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from werkzeug import Request, Response

from .process import GitOutput

if TYPE_CHECKING:
    from .repository import Repository

_PATH = re.compile(
    r"/(?P<repository>[^/]+/[^/]+?)(?:\.git)?/(?P<service>info/refs|git-upload-pack|git-receive-pack)"
)

_CONFIGURATION = {
    # As Gitea does: any commit can be asked for by its id, and clients may leave blobs out.
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "http.receivepack": "false",
}


def repository_of(path: str) -> str | None:
    """The repository (`owner/name`) that the path of a git request names; None if it is no git request."""
    match = _PATH.fullmatch(path)
    return match["repository"] if match else None


def method_of(path: str) -> str:
    """The one method that this git path answers to."""
    return "GET" if path.endswith("/info/refs") else "POST"


def is_push(request: Request) -> bool:
    return "git-receive-pack" in (request.path.rpartition("/")[2], request.args.get("service"))


def serve(repository: Repository, request: Request) -> Response:
    """What `git http-backend` answers."""
    service = "info/refs" if request.path.endswith("/info/refs") else "git-upload-pack"
    # The body goes through a file: git may write before it has read everything, so with pipes on both sides each
    # could wait for the other. A file also has a known length where the client sent chunks.
    with tempfile.TemporaryFile() as body:
        shutil.copyfileobj(request.stream, body)
        size = body.tell()
        body.seek(0)
        output = GitOutput(
            "http-backend",
            directory=repository.path,
            stdin=body,
            configuration=_CONFIGURATION,
            environment=_cgi(repository, request, service, size),
            # upload-pack ends with an error whenever a client goes away between two rounds, which clients do.
            must_succeed=False,
        )
    try:
        return _answer(output)
    except BaseException:
        output.close()
        raise


def _cgi(repository: Repository, request: Request, service: str, size: int) -> dict[str, str]:
    return {
        "GIT_PROJECT_ROOT": str(repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": f"/{repository.path.name}/{service}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string.decode("latin-1"),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(size),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "REMOTE_ADDR": request.remote_addr or "",
    }


def _answer(output: GitOutput) -> Response:
    answer = Response(output)
    answer.headers.clear()
    while line := output.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "status":
            answer.status = value.strip()
        else:
            answer.headers.add(name, value.strip())
    return answer
