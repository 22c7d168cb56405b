"""Container engines: finding one, and saying in one sentence what it says in many.

`at` is an engine's address (`unix://…`, `tcp://…`, `ssh://…`); None is the engine of `DOCKER_HOST`, or of the current
docker context.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from .base import RuntimeUnavailable

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.context import Context

_ANSWER_SECONDS = 5
"""An engine that is there answers a ping in milliseconds; one that does not is stuck, not slow."""
_REQUEST_SECONDS = 120
_CONNECTIONS = 64


def connect(at: str | None = None) -> DockerClient:
    """Close the client after use. Raises RuntimeUnavailable."""
    try:
        return _client(at)
    except (DockerException, requests.RequestException, OSError) as error:
        way_out = "start Docker, or set DOCKER_HOST" if at is None else "start it, or leave out its --engine"
        raise RuntimeUnavailable(
            f"no container engine answers at {address(at)}: {words(error)}; {way_out}, or use the process runtime"
        ) from None


def engine_available(at: str | None = None) -> str | None:
    """None if an engine answers and can run Linux containers; otherwise why not, and what to do."""
    try:
        with_engine = connect(at)
    except RuntimeUnavailable as unavailable:
        return str(unavailable)
    try:
        system = with_engine.version()["Os"]
    except (DockerException, requests.RequestException) as error:
        return f"the container engine at {address(at)} is out of order: {words(error)}"
    finally:
        with_engine.close()
    if system != "linux":
        return (
            f"the container engine at {address(at)} runs {system} containers; switch it to Linux containers"
        )
    return None


def words(error: BaseException) -> str:
    """What the engine said, without what the libraries on the way wrapped around it."""
    if isinstance(error, APIError) and error.explanation:
        return " ".join(str(error.explanation).split())
    while error.__context__ is not None:
        error = error.__context__
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


def published_host(at: str | None = None) -> str:
    """The host at which the ports that the engine publishes are reached from here."""
    return urlsplit(address(at)).hostname or "127.0.0.1"


def address(at: str | None = None) -> str:
    """Where the engine is, in words that a person can type again."""
    context = _context()
    return at or os.environ.get("DOCKER_HOST") or (context and context.Host) or "unix:///var/run/docker.sock"


def environment(at: str) -> dict[str, str]:
    """This process's environment, as it would be if it were about the engine at this address."""
    return {**os.environ, "DOCKER_HOST": at}


class ImpatientClient(docker.APIClient):
    """Gives up when the engine says nothing for so long, also where the library would wait for ever (pull)."""

    def __init__(self, silence: float, at: str | None = None) -> None:
        self._silence = silence
        super().__init__(**_parameters(at))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(request, **{**options, "timeout": self._silence})


def _client(at: str | None) -> DockerClient:
    client = docker.DockerClient(timeout=_ANSWER_SECONDS, max_pool_size=_CONNECTIONS, **_parameters(at))
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    client.api.timeout = _REQUEST_SECONDS
    return client


def _parameters(at: str | None) -> dict[str, Any]:
    """Where the engine is and how to speak to it: as the environment says, or else the current context."""
    parameters: dict[str, Any] = dict(kwargs_from_env(environment(at) if at is not None else None))
    context = _context()
    if not parameters and context is not None:
        parameters = {"base_url": context.Host, "tls": context.TLSConfig or False}
    # The user's own ssh, with the user's own configuration.
    return {**parameters, "use_ssh_client": address(at).startswith("ssh://")}


def _context() -> Context | None:
    """The context that the user chose, if any."""
    context = ContextAPI.get_current_context()
    return None if context is None or context.Name == "default" else context
