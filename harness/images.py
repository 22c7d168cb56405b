"""Which image each part of an implementation runs from, built where it has to be."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.manifest import Implementation, Part
from harness.proof import coverage
from harness.proof.mutant import LOADER
from harness.proof.overlaid import Overlaid
from harness.runtime import engine
from harness.runtime.image import Images, ImageSource

if TYPE_CHECKING:
    from docker import DockerClient

OVERLAY = "/opt/overlay"
_OVERLAY_DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
COPY overlay {OVERLAY}
ENV PYTHONPATH={OVERLAY}:${{PYTHONPATH}}
"""


class ImplementationImages:
    """Images of an implementation on the container engine; each built at most once a change."""

    def __init__(
        self,
        client: DockerClient,
        implementation: Implementation,
        overlay: Overlaid | None,
        say: Callable[[str], None],
        measured: Path | None = None,
        at: str | None = None,
    ) -> None:
        """`client` speaks to the engine `at`.

        `measured` is the source folder, where it is measured how much of it runs.
        """
        self._client = client
        self._at = at
        self._implementation = implementation
        self._overlay = overlay
        self._measured = measured
        self._say = say
        self._images = Images(client, at=at, report=say)

    def base(self) -> str:
        """An image with python3, which the harness's own helpers run from."""
        return self._images.base()

    def of(self, part: Part) -> str:
        """The image of a part. Raises ImageError."""
        program = part.docker
        if program is None:
            raise ValueError("the manifest says nothing of docker")
        if program.build is None:
            image = self._images.present(str(program.image))
        else:
            home, build = self._implementation.home, program.build
            image = self._images.build(
                ImageSource(
                    name=self._implementation.name,
                    context=(home / build.context).resolve(),
                    dockerfile=build.dockerfile,
                    requirements=home / build.requirements if build.requirements else None,
                )
            )
        if self._overlay is not None:
            kind = type(self._overlay).__name__.lower()
            return self._overlaid(image, f"{kind}-{self._overlay.name}", partial(lay_out, self._overlay))
        if self._measured is not None:
            lay = partial(coverage.lay_out, data=coverage.IN_A_CONTAINER, source=self._measured)
            return self._overlaid(image, f"measured-{self._implementation.name}", lay)
        return image

    def identity(self, part: Part) -> str:
        """The image of a part as `name@sha256:…`: its manifest's digest where it is of a registry, else its own id."""
        name = self.of(part)
        found = self._client.images.get(name)
        known = (each.partition("@") for each in found.attrs["RepoDigests"])
        manifest = next(
            (digest for at, _, digest in known if name.startswith((f"{at}:", f"{at}@"))), found.id
        )
        return f"{name.partition('@')[0]}@{manifest}"

    def _overlaid(self, image: str, name: str, lay: Callable[[Path], None]) -> str:
        with tempfile.TemporaryDirectory(prefix="overlay-") as place:
            context = Path(place)
            lay(context / "overlay")
            (context / "Dockerfile").write_text(_OVERLAY_DOCKERFILE)
            return Images(self._client, at=self._at, base=image, report=self._say).build(
                ImageSource(name, context)
            )


def lay_out(overlay: Overlaid, folder: Path) -> None:
    """What has to be ahead on a Python program's PYTHONPATH for it to be the mutant or variant."""
    shutil.copytree(LOADER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(overlay.overlay, folder)


def build_all(
    implementation: Implementation,
    overlay: Overlaid | None,
    say: Callable[[str], None],
    measured: Path | None = None,
    at: str | None = None,
) -> list[str]:
    """Every image that the implementation needs, on one engine. Raises ImageError, RuntimeUnavailable."""
    with closing(engine.connect(at)) as client:
        images = ImplementationImages(client, implementation, overlay, say, measured, at)
        return [
            images.base(),
            *dict.fromkeys(map(images.of, (implementation.provisioner, implementation.machine))),
        ]


def identities(
    implementation: Implementation,
    overlay: Overlaid | None,
    measured: Path | None,
    engines: Iterable[str | None] = (None,),
) -> list[str]:
    """What the implementation's parts run from on any of these engines, once `build_all` is done.

    Raises ImageError, RuntimeUnavailable.
    """
    found: set[str] = set()
    for at in engines:
        with closing(engine.connect(at)) as client:
            images = ImplementationImages(client, implementation, overlay, lambda _: None, measured, at)
            found.update(map(images.identity, (implementation.provisioner, implementation.machine)))
    return sorted(found)
