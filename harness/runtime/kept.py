"""The keeper's container: one a worker, started at the first look into a volume, because a look must cost milliseconds.

It sees the engine's volumes where the engine keeps them, so that nothing here needs root, nor the engine to be local.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import DockerException, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.exceptions import ContainerStartException
from testcontainers.core.wait_strategies import WaitStrategy

from .base import MachineError
from .engine import environment, words
from .volume import KeeperClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient
    from testcontainers.core.waiting_utils import WaitStrategyTarget

_PORT = 8080
_LAUNCHER = """\
import sys, types
package = sys.modules["kept"] = types.ModuleType("kept")
package.__path__ = []
for name, text in {sources!r}.items():
    module = sys.modules[f"kept.{{name}}"] = types.ModuleType(f"kept.{{name}}")
    module.__package__ = "kept"
    exec(compile(text, f"{{name}}.py", "exec"), module.__dict__)
module.main(*sys.argv[1:])
"""
"""Makes a package of what one argument holds, its last module the program."""
_VOLUMES = "/volumes"


class _Listening(WaitStrategy):
    """Until the keeper says so. The console is followed, not polled."""

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        said = b""
        for piece in container.get_wrapped_container().logs(stream=True, follow=True):
            said += piece
            if b"listening" in said:
                return
        raise ContainerStartException(f"it ended, saying {said.decode(errors='replace')!r}")


@dataclass(frozen=True, slots=True)
class KeeperContainer:
    """A running keeper."""

    container: DockerContainer
    client: KeeperClient

    def close(self) -> None:
        self.client.close()
        with suppress(NotFound):
            self.container.stop()


def start(
    engine: DockerClient,
    *,
    name: str,
    image: str,
    network: str,
    prefix: str,
    labels: Mapping[str, str],
    published_host: str | None,
    at: str | None,
) -> KeeperContainer:
    """Start a keeper for the volumes whose names have the prefix.

    `engine` speaks to the engine `at`. The keeper is reached at `published_host`, or, where that is None, at its own
    address. Raises MachineError.
    """
    # The sweep does what Ryuk would, for every kind of thing and with no image to pull.
    testcontainers_config.ryuk_disabled = True
    sources = {part: (Path(__file__).parent / f"{part}.py").read_text() for part in ("tracer", "keeper")}
    program = ["python3", "-I", "-X", "utf8", "-c", _LAUNCHER.format(sources=sources)]
    token = secrets.token_urlsafe(32)
    container = (
        DockerContainer(image, {"environment": environment(at)} if at is not None else None)
        .with_name(name)
        .with_command([*program, _VOLUMES, prefix, str(_PORT)])
        .with_env("KEEPER_TOKEN", token)
        .with_volume_mapping(f"{engine.info()['DockerRootDir']}/volumes", _VOLUMES, "rw")
        .with_kwargs(
            entrypoint=[],
            labels=dict(labels),
            network=network,
            pid_mode="host",  # to read what machines' processes were started with, and to trace them
            cap_add=["SYS_PTRACE"],
            security_opt=["label=disable"],  # where SELinux rules, volumes bear the labels of their machines
        )
        .waiting_for(_Listening())
    )
    if published_host is not None:
        container.with_exposed_ports(_PORT)
    try:
        container.start()
        if published_host is None:
            settings = container.get_wrapped_container()
            settings.reload()
            host, port = settings.attrs["NetworkSettings"]["Networks"][network]["IPAddress"], _PORT
        else:
            host, port = published_host, container.get_exposed_port(_PORT)
    except (DockerException, ContainerStartException, OSError) as error:
        container.stop()
        raise MachineError(
            f"the keeper, which looks into volumes, did not start from {image}: {words(error)}"
        ) from error
    return KeeperContainer(container, KeeperClient(f"http://{host}:{port}", token))
