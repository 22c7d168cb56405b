"""Images named by their content: built at most once a change on this computer, whoever asks, and then never again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import requests
from docker.errors import APIError, ContainerError, DockerException, ImageNotFound
from docker.utils.build import exclude_paths
from filelock import FileLock

from . import engine, workdir
from .ownership import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from docker import DockerClient

log = logging.getLogger(__name__)

BASE_VARIABLE: Final = "CONFORMANCE_BASE_IMAGE"
IMAGE_LABEL: Final = "conformance.image"
_NAMESPACE: Final = "workspace-conformance"

_PULL_SILENCE = 15.0
"""Seconds without a word from the registry; while a pull gets on there are several words a second."""

_UPSTREAM = "python:3.12-slim-bookworm"
# strace is for the keeper, which injects faults into machines with it.
_BASE_DOCKERFILE = f"""\
FROM {_UPSTREAM}
RUN apt-get -o Acquire::http::Timeout=15 update \\
 && apt-get install -y --no-install-recommends git ca-certificates strace \\
 && rm -rf /var/lib/apt/lists/* \\
 && python3 -m compileall -q -j 0 "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')"
"""
# Upstream takes the compiled standard library out, and every boot would have to compile what it imports.
_BASE_MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    "--include=python3,git,ca-certificates,strace",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--format=tar",
    "bookworm",
)
_PACKAGES: Final = "/opt/packages"
_PACKAGES_DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
COPY packages {_PACKAGES}
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash {_PACKAGES}
ENV PYTHONPATH={_PACKAGES}
"""
_PROBE = """\
import json, platform, sys
print(json.dumps([sys.version_info[:2], platform.machine(), platform.libc_ver()]))
"""
_LONG_AGO = 315532800
"""The time of every file in a context, 1980-01-01, so that the same content is the same layer."""


class ImageError(Exception):
    """An image could not be built; the message says what failed, in the words of what failed, and the ways out."""


class _NotThere(Exception):
    """A base image cannot be had this way."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What an implementation's image is built from.

    The Dockerfile begins with `ARG BASE` and `FROM ${BASE}`, and finds there python3, git and the packages. What
    `<dockerfile>.dockerignore`, or else `.dockerignore`, names does not count.
    """

    name: str
    context: Path
    dockerfile: str = "Dockerfile"
    """Relative to the context."""
    requirements: Path | None = None
    """Exact versions of all packages, the indirect ones too (`pip freeze`): none but these are installed."""


class Images:
    """Builds images on an engine. `report` is told of everything that takes long."""

    def __init__(
        self,
        client: DockerClient,
        *,
        at: str | None = None,
        base: str | None = None,
        report: Callable[[str], None] = log.info,
    ) -> None:
        """`client` speaks to the engine `at`; `base` is an image with python3 and git to use in place of our own
        (`CONFORMANCE_BASE_IMAGE`).
        """
        self._client = client
        self._at = at
        self._given_base = base or os.environ.get(BASE_VARIABLE)
        self._report = report
        self._lock = FileLock(workdir.private_root() / "images.lock")

    def base(self) -> str:
        """The image that everything else stands on: python3 and git. Raises ImageError."""
        if self._given_base:
            try:
                self._pull_if_absent(self._given_base)
            except _NotThere as error:
                raise ImageError(
                    f"the base image {self._given_base} (see {BASE_VARIABLE}): {error}"
                ) from error
            return self._given_base
        upstream = _tag("base", [_BASE_DOCKERFILE.encode()])
        bootstrapped = _tag("base", [json.dumps(_BASE_MMDEBSTRAP).encode()])
        present = self._first_present(upstream, bootstrapped)
        if present is not None:
            return present
        with self._lock:
            present = self._first_present(upstream, bootstrapped)
            return present if present is not None else self._make_base(upstream, bootstrapped)

    def present(self, image: str) -> str:
        """The image itself, pulled if it is not there. Raises ImageError."""
        try:
            self._pull_if_absent(image)
        except _NotThere as error:
            raise ImageError(f"there is no image {image}: {error}; build it, or mend its name") from error
        return image

    def build(self, source: ImageSource) -> str:
        """The tag of the image of this source as it is now. Raises ImageError."""
        base = self.base()
        if source.requirements is not None:
            base = self._with_packages(base, source.name, source.requirements)
        files = _context_files(source)
        tag = _tag(
            source.name,
            [
                self._identity(base).encode(),
                source.dockerfile.encode(),
                *_fingerprints(source.context, files),
            ],
        )

        def make() -> None:
            self._report(f"building the image {tag} from {source.context}")
            with tempfile.TemporaryFile() as context:
                _pack(context, [(source.context / path, path) for path in files])
                self._build(tag, source.name, context, source.dockerfile, base)

        return self._ensure(tag, make)

    def remove_old(self, *, dry_run: bool = False) -> list[str]:
        """Remove our images but the newest of each name, unless a container uses them. Gives the tags."""
        removed = []
        seen: set[str] = set()
        with self._lock:  # a build may stand on a layer that goes with an old image
            ours = self._client.images.list(filters={"label": IMAGE_LABEL})
            for image in sorted(ours, key=lambda each: str(each.attrs["Created"]), reverse=True):
                for tag in image.tags:
                    name = tag.rpartition(":")[0]
                    if name not in seen:
                        seen.add(name)
                        continue
                    try:
                        if not dry_run:
                            self._client.images.remove(tag)
                    except APIError as error:
                        log.info("%s stays: %s", tag, engine.words(error))
                    else:
                        removed.append(tag)
        return removed

    def _ensure(self, tag: str, make: Callable[[], None]) -> str:
        if not self._first_present(tag):
            with self._lock:
                if not self._first_present(tag):
                    make()
        return tag

    def _first_present(self, *tags: str) -> str | None:
        for tag in tags:
            try:
                self._client.images.get(tag)
            except ImageNotFound:
                continue
            return tag
        return None

    def _identity(self, image: str) -> str:
        """Ours are named by their content; others are what they are at the moment."""
        if image.startswith(f"{_NAMESPACE}/"):
            return image
        return str(self._client.images.get(image).id)

    def _make_base(self, upstream: str, bootstrapped: str) -> str:
        try:
            self._make_base_from_registry(upstream)
        except (_NotThere, ImageError) as error:
            without_registry = str(error)
            log.info("no base image from a registry: %s", without_registry)
        else:
            return upstream
        try:
            self._make_base_with_mmdebstrap(bootstrapped)
        except _NotThere as error:
            raise ImageError(
                f"no base image: with a registry: {without_registry}; without one: {error}. Let the engine pull "
                f"{_UPSTREAM}, or install mmdebstrap, or name an image that has python3 and git in {BASE_VARIABLE}"
            ) from error
        return bootstrapped

    def _make_base_from_registry(self, tag: str) -> None:
        self._pull_if_absent(_UPSTREAM)
        self._report(f"building the base image {tag} from {_UPSTREAM}, once")
        with tempfile.TemporaryFile() as context:
            _pack(context, [], dockerfile=_BASE_DOCKERFILE)
            self._build(tag, "base", context, "Dockerfile", None)

    def _make_base_with_mmdebstrap(self, tag: str) -> None:
        if shutil.which(_BASE_MMDEBSTRAP[0]) is None:
            raise _NotThere("mmdebstrap is not installed")
        self._report(f"building the base image {tag} with mmdebstrap, about a minute, once")
        with tempfile.NamedTemporaryFile(dir=workdir.private_root(), suffix=".tar") as root:
            done = subprocess.run(
                _BASE_MMDEBSTRAP, stdin=subprocess.DEVNULL, stdout=root, stderr=subprocess.PIPE, check=False
            )
            if done.returncode:
                raise _NotThere(
                    f"mmdebstrap failed: {_last_lines(done.stderr.decode(errors='replace').splitlines())}"
                )
            root.flush()
            repository, _, version = tag.rpartition(":")
            changes = [f"LABEL {IMAGE_LABEL}=base", "ENV LANG=C.UTF-8", 'CMD ["python3"]']
            said = self._client.api.import_image(
                root.name, repository=repository, tag=version, changes=changes
            )
            if '"error"' in said:
                raise _NotThere(f"the engine did not import it: {said.strip()}")

    def _pull_if_absent(self, image: str) -> None:
        if self._first_present(image):
            return
        self._report(f"pulling {image}")
        client = engine.ImpatientClient(_PULL_SILENCE, self._at)
        try:
            for line in client.pull(image, stream=True, decode=True):
                if "error" in line:
                    raise _NotThere(f"{image} cannot be pulled: {line['error']}")
        except (DockerException, requests.RequestException) as error:
            raise _NotThere(f"{image} cannot be pulled: {engine.words(error)}") from error
        finally:
            client.close()

    def _with_packages(self, base: str, name: str, requirements: Path) -> str:
        pinned = requirements.read_bytes()
        tag = _tag(f"{name}-packages", [self._identity(base).encode(), _PACKAGES_DOCKERFILE.encode(), pinned])

        def make() -> None:
            self._report(
                f"building the image {tag} with the packages of {requirements.name}, about a minute, once"
            )
            with (
                tempfile.TemporaryDirectory(dir=workdir.private_root()) as place,
                tempfile.TemporaryFile() as context,
            ):
                packages = Path(place)
                self._install(packages, requirements, base)
                files = sorted(path for path in packages.rglob("*") if not path.is_dir())
                members = [(path, f"packages/{path.relative_to(packages)}") for path in files]
                _pack(context, members, dockerfile=_PACKAGES_DOCKERFILE)
                self._build(tag, f"{name}-packages", context, "Dockerfile", base)

        return self._ensure(tag, make)

    def _install(self, packages: Path, requirements: Path, base: str) -> None:
        """With this computer's pip and its configuration, so that the engine's containers need no network."""
        try:
            said = self._client.containers.run(
                base,
                ["-c", _PROBE],
                entrypoint=["python3"],
                network_mode="none",
                labels=Owner.current().labels(),
                remove=True,
            )
        except (APIError, ContainerError) as error:
            raise ImageError(f"{base} has no python3 that answers: {engine.words(error)}") from error
        (major, minor), architecture, (_, libc) = json.loads(said)
        newest = int(libc.partition(".")[2] or 17)
        platforms = [f"manylinux_2_{each}_{architecture}" for each in range(newest, 16, -1)]
        platforms.append(f"manylinux2014_{architecture}")
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-input",
                    "--disable-pip-version-check",
                ),
                *("--no-deps", "--no-compile", "--only-binary=:all:", "--implementation=cp"),
                *(f"--python-version={major}.{minor}", *(f"--platform={each}" for each in platforms)),
                *(f"--target={packages}", f"--requirement={requirements}"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            why = _last_lines(done.stderr.decode(errors="replace").splitlines())
            raise ImageError(
                f"pip could not get the packages of {requirements} for Python {major}.{minor} on {architecture}: {why}"
            )

    def _build(self, tag: str, name: str, context: IO[bytes], dockerfile: str, base: str | None) -> None:
        context.seek(0)
        said: list[str] = []
        try:
            steps = self._client.api.build(
                fileobj=context,
                custom_context=True,
                dockerfile=dockerfile,
                tag=tag,
                rm=True,
                forcerm=True,
                buildargs={"BASE": base} if base else {},
                labels={IMAGE_LABEL: name},
                decode=True,
            )
            for step in cast("Iterable[dict[str, Any]]", steps):
                said.extend(str(step.get("stream", "")).splitlines())
                if "error" in step:
                    raise ImageError(f"{tag} cannot be built: {step['error']}: {_last_lines(said)}")
        except (DockerException, requests.RequestException) as error:
            raise ImageError(f"{tag} cannot be built: {engine.words(error)}: {_last_lines(said)}") from error


def _tag(name: str, inputs: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for each in inputs:
        digest.update(len(each).to_bytes(8) + each)
    return f"{_NAMESPACE}/{name}:{digest.hexdigest()[:12]}"


def _context_files(source: ImageSource) -> list[str]:
    """What the engine gets to see: relative paths, sorted. Raises ImageError."""
    if not (source.context / source.dockerfile).is_file():
        raise ImageError(f"the image {source.name} has no {source.dockerfile} in {source.context}")
    patterns: list[str] = []
    for ignore in (f"{source.dockerfile}.dockerignore", ".dockerignore"):
        if (source.context / ignore).is_file():
            lines = (source.context / ignore).read_text().splitlines()
            patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            break
    paths = exclude_paths(str(source.context), patterns, source.dockerfile)
    return sorted(path for path in paths if not stat.S_ISDIR((source.context / path).lstat().st_mode))


def _fingerprints(context: Path, files: Iterable[str]) -> Iterable[bytes]:
    for path in files:
        full = context / path
        yield path.encode()
        if full.is_symlink():
            yield b"link " + os.fsencode(full.readlink())
        else:
            yield (b"program " if os.access(full, os.X_OK) else b"file ") + full.read_bytes()


def _pack(context: IO[bytes], members: Iterable[tuple[Path, str]], *, dockerfile: str | None = None) -> None:
    """Write a build context: nobody's files, of no time."""
    with tarfile.open(fileobj=context, mode="w") as archive:
        if dockerfile is not None:
            with tempfile.NamedTemporaryFile("w") as generated:
                generated.write(dockerfile)
                generated.flush()
                archive.add(generated.name, "Dockerfile", filter=_anonymous)
        for path, name in members:
            archive.add(path, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.mtime = _LONG_AGO
    return member


def _last_lines(lines: list[str]) -> str:
    return " | ".join(line.strip() for line in lines[-5:] if line.strip())
