"""The container engine: finding it, and saying in one sentence what it says in many."""

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


def connect() -> DockerClient:
    """The engine of `DOCKER_HOST`, or of the current docker context. Raises RuntimeUnavailable.

    Close the client after use.
    """
    try:
        return _client()
    except (DockerException, requests.RequestException, OSError) as error:
        raise RuntimeUnavailable(
            f"no container engine answers at {_address()}: {words(error)}; start Docker, or set DOCKER_HOST, "
            "or use the process runtime"
        ) from None


def engine_available() -> str | None:
    """None if an engine answers and can run Linux containers; otherwise why not, and what to do."""
    try:
        with_engine = connect()
    except RuntimeUnavailable as unavailable:
        return str(unavailable)
    try:
        system = with_engine.version()["Os"]
    except (DockerException, requests.RequestException) as error:
        return f"the container engine at {_address()} is out of order: {words(error)}"
    finally:
        with_engine.close()
    if system != "linux":
        return f"the container engine at {_address()} runs {system} containers; switch it to Linux containers"
    return None


def words(error: BaseException) -> str:
    """What the engine said, without what the libraries on the way wrapped around it."""
    if isinstance(error, APIError) and error.explanation:
        return " ".join(str(error.explanation).split())
    while error.__context__ is not None:
        error = error.__context__
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


def published_host() -> str:
    """The host at which the ports that the engine publishes are reached from here."""
    return urlsplit(_address()).hostname or "127.0.0.1"


class ImpatientClient(docker.APIClient):
    """Gives up when the engine says nothing for so long, also where the library would wait for ever (pull)."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        super().__init__(**_parameters())

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(request, **{**options, "timeout": self._silence})


def _client() -> DockerClient:
    client = docker.DockerClient(timeout=_ANSWER_SECONDS, max_pool_size=_CONNECTIONS, **_parameters())
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    client.api.timeout = _REQUEST_SECONDS
    return client


def _parameters() -> dict[str, Any]:
    """Where the engine is and how to speak to it: as the environment says, or else the current context."""
    parameters: dict[str, Any] = dict(kwargs_from_env())
    context = _context()
    if not parameters and context is not None:
        parameters = {"base_url": context.Host, "tls": context.TLSConfig or False}
    # The user's own ssh, with the user's own configuration.
    return {**parameters, "use_ssh_client": _address().startswith("ssh://")}


def _address() -> str:
    context = _context()
    return os.environ.get("DOCKER_HOST") or (context and context.Host) or "unix:///var/run/docker.sock"


def _context() -> Context | None:
    """The context that the user chose, if any."""
    context = ContextAPI.get_current_context()
    return None if context is None or context.Name == "default" else context
