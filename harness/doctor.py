"""What a run needs from this computer, looked at before it is blamed on an implementation."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.images import ImplementationImages
from harness.runtime import engine
from harness.runtime.base import MachineError, MachineSpec, RuntimeUnavailable
from harness.runtime.docker import DockerRuntime
from harness.runtime.image import ImageError
from harness.runtime.ownership import Owner
from harness.world.server import PortInUse, Server

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from harness.session import Choices

State = Literal["ok", "limited", "broken"]
ROOM = 3 * 1024**3
"""Bytes on disk that images and volumes of a run may take."""
REACH_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `limited`: runs are possible, but not every one."""

    what: str
    state: State
    saw: str
    mend: str = ""


def examine(choices: Choices) -> Iterator[Finding]:
    """Look at one thing after the other, in the order in which a run needs them."""
    yield _git()
    yield _disk()
    yield _ports()
    for at in choices.engines:
        without_engine = engine.engine_available(at)
        if without_engine is not None:
            yield Finding(
                "container engine",
                "limited",
                without_engine,
                "scenarios run in child processes until then (--runtime process), which passes no gate",
            )
            continue
        yield Finding("container engine", "ok", f"answers at {engine.address(at)}")
        yield from _containers(choices, at)


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding(
            "git", "broken", "not on the PATH", "install git (apt-get install git, brew install git)"
        )
    backend = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not (Path(backend) / "git-http-backend").exists():
        return Finding("git", "broken", f"{backend} has no git-http-backend", "install the whole git package")
    return Finding("git", "ok", "with git-http-backend")


def _disk() -> Finding:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    saw = f"{free / 1024**3:.1f} GiB free in {place}"
    if free < ROOM:
        return Finding(
            "disk", "broken", saw, f"make room ({ROOM // 1024**3} GiB), or set TMPDIR to another disk"
        )
    return Finding("disk", "ok", saw)


def _ports() -> Finding:
    try:
        Server("doctor", _hello).close()
    except PortInUse as refused:
        return Finding(
            "ports", "broken", str(refused), "allow this user to listen on ports of the loopback address"
        )
    return Finding("ports", "ok", "free ports can be had")


def _containers(choices: Choices, at: str | None) -> Iterator[Finding]:
    """The image, then whether a machine of it reaches this computer."""
    with closing(engine.connect(at)) as client:
        images = ImplementationImages(client, choices.implementation, None, lambda _: None, at=at)
        try:
            image = images.of(choices.implementation.machine)
            base = images.base()
        except ImageError as problem:
            yield Finding(
                "image", "broken", str(problem), "see above; then `harness image build` shows its progress"
            )
            return
        yield Finding("image", "ok", image)
    yield _reach(base, choices.advertise_host, at)


def _reach(image: str, advertise_host: str | None, at: str | None) -> Finding:
    """Whether a machine reaches a server of this computer, tried for real."""
    what = "host, from a machine"
    try:
        runtime = DockerRuntime(Owner.current(), keeper_image=image, advertise_host=advertise_host, at=at)
    except RuntimeUnavailable as unavailable:
        return Finding(what, "broken", str(unavailable))
    try:
        with Server("doctor", _hello, bind_host=runtime.bind_host) as server:
            url = server.url(runtime.advertise_host)
            fetch = f"import urllib.request as r; print(r.urlopen({url!r}, timeout=10).read().decode())"
            machine = runtime.create_machine(
                MachineSpec(name="doctor", image=image, command=("python3", "-c", fetch))
            )
            machine.start()
            status = machine.wait(REACH_SECONDS)
            if status != 0:
                last = machine.console().decode(errors="replace").strip().splitlines()[-1:]
                return Finding(
                    what,
                    "broken",
                    f"{url} is not reached: {''.join(last)}",
                    "let the firewall pass connections from the engine's networks to this computer, "
                    "or name the address by which machines reach it (--advertise-host)",
                )
            return Finding(what, "ok", url)
    except (MachineError, TimeoutError) as problem:
        return Finding(
            what, "broken", str(problem), "run it again; if it stays, look at the engine's own log"
        )
    finally:
        runtime.close()


def _hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
