"""A cloud that stands for as long as a block runs, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from harness.contract.manifest import Implementation
from harness.images import ImplementationImages, lay_out
from harness.proof import coverage
from harness.runtime import engine, workdir
from harness.runtime.docker import DockerRuntime
from harness.runtime.process import ProcessRuntime
from harness.world.cloud import ANY_PORTS, Cloud, Ports

if TYPE_CHECKING:
    from pathlib import Path

    from harness.runtime.base import Runtime
    from harness.runtime.ownership import Owner
    from harness.session import Choices


class Leaked(Exception):
    """The runtime took itself down, and something of it is still there."""


@contextmanager
def standing_cloud(
    choices: Choices,
    owner: Owner,
    *,
    progress: Callable[[str], None],
    ports: Ports = ANY_PORTS,
    measurements: Path | None = None,
    canary_key: bytes | None = None,
) -> Iterator[Cloud]:
    """`measurements` is where the coverage data of a measured implementation go; for `canary_key` see Cloud.

    Raises RuntimeUnavailable, ImageError and CloudProblem before the block; Leaked behind it.
    """
    with ExitStack() as undo:
        stand = _in_containers if choices.runtime == "docker" else _in_processes
        runtime, cloud = stand(choices, owner, progress, ports, undo, measurements, canary_key)
        yield cloud
    if left := runtime.leftovers():
        raise Leaked("; ".join(left))


def _in_containers(
    choices: Choices,
    owner: Owner,
    progress: Callable[[str], None],
    ports: Ports,
    undo: ExitStack,
    measurements: Path | None,
    canary_key: bytes | None,
) -> tuple[Runtime, Cloud]:
    at = choices.engine_of(owner.worker)
    client = engine.connect(at)
    undo.callback(client.close)
    images = ImplementationImages(
        client, choices.implementation, choices.mutant, progress, choices.coverage, at
    )
    directory = workdir.make(owner)
    undo.callback(workdir.remove, directory)
    runtime = DockerRuntime(owner, keeper_image=images.base(), advertise_host=choices.advertise_host, at=at)
    undo.callback(runtime.close)
    cloud = Cloud(
        runtime=runtime,
        implementation=choices.implementation,
        images=images.of,
        root=directory / "repositories",
        progress=progress,
        ports=ports,
        canary_key=canary_key,
        salvage={coverage.IN_A_CONTAINER: measurements} if measurements is not None else {},
    )
    undo.callback(cloud.close)
    return runtime, cloud


def _in_processes(
    choices: Choices,
    owner: Owner,
    progress: Callable[[str], None],
    ports: Ports,
    undo: ExitStack,
    measurements: Path | None,
    canary_key: bytes | None,
) -> tuple[Runtime, Cloud]:
    runtime = ProcessRuntime(owner)
    undo.callback(runtime.close)
    implementation = choices.implementation
    if choices.overlay is not None:
        overlay = runtime.directory / "overlay"
        lay_out(choices.overlay, overlay)
        implementation = _with_python_path(implementation, overlay)
    if choices.coverage is not None and measurements is not None:
        overlay = runtime.directory / "measured"
        coverage.lay_out(overlay, data=str(measurements.resolve()), source=choices.coverage)
        implementation = _with_python_path(implementation, overlay)
    cloud = Cloud(
        runtime=runtime,
        implementation=implementation,
        images=lambda _: None,
        root=runtime.directory / "repositories",
        progress=progress,
        ports=ports,
        canary_key=canary_key,
    )
    undo.callback(cloud.close)
    return runtime, cloud


def _with_python_path(implementation: Implementation, folder: Path) -> Implementation:
    """The same, with `folder` ahead of everything that its Python programs import from."""
    parts = {}
    for name in ("provisioner", "machine"):
        part = getattr(implementation, name)
        process = part.process
        path = process.environment.get("PYTHONPATH") or part.environment.get("PYTHONPATH")
        environment = {**process.environment, "PYTHONPATH": f"{folder}:{path}" if path else str(folder)}
        parts[name] = part.model_copy(
            update={"process": process.model_copy(update={"environment": environment})}
        )
    return implementation.model_copy(update=parts)
