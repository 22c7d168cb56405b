"""What an implementation says of itself: `implementation.toml`, loaded strictly.

The file names, for each runtime that the implementation can run on, the image or command of its two parts (the
provisioner and the machine), and the capabilities that it claims.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from harness.runtime.placeholders import PLACEHOLDER

from .strict import Strict, Words
from .waiver import Waiver

RUNTIME_PLACEHOLDERS = frozenset({"data", "port", "python", "home"})
"""Filled in by the runtime: the volume's place, the port to listen on, a Python interpreter, the manifest's folder."""
WORLD_PLACEHOLDERS = frozenset(
    {
        "aws_endpoint_url",
        "aws_region",
        "aws_access_key_id",
        "aws_secret_access_key",
        "template_host_url",
        "machine_image_id",
        "artifact_bucket",
        "operator_token",
        "public_url",
    }
)
"""Filled in by the world, for the provisioner only."""

NOT_ITS_OWN = frozenset({"configs", "workspace", "plugins", ".claude"})
"""Directories of the volume that the contract gives to the assets and the agent."""

Transport = Literal["git", "archive", "object"]


class ManifestProblem(Exception):
    """An `implementation.toml` that cannot be used; one line saying what, why and what to do."""


class Build(Strict):
    """An image made from the implementation's own folder; paths are relative to the manifest."""

    context: Words
    """The folder that the Dockerfile copies from."""
    dockerfile: Words = "Dockerfile"
    """Relative to the context. It begins with `ARG BASE` and `FROM ${BASE}`: an image with python3 and git."""
    requirements: Words | None = None
    """A pip requirements file of exact versions, installed below the Dockerfile's own layers."""


class DockerProgram(Strict):
    """How a part runs in a container: from a ready image, or one that is built."""

    image: Words | None = None
    build: Build | None = None
    command: tuple[Words, ...] = ()

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.image is None) == (self.build is None):
            raise ValueError('give either image = "name:tag" or build = {context = …, source = …}')
        return self


class ProcessProgram(Strict):
    """How a part runs as a child process."""

    command: Annotated[tuple[Words, ...], Field(min_length=1)]
    environment: dict[str, str] = Field(default_factory=dict)


class Part(Strict):
    """The provisioner, or the machine."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    environment: dict[str, str] = Field(default_factory=dict)
    docker: DockerProgram | None = None
    process: ProcessProgram | None = None


class MachinePart(Part):
    """The machine, and what is its own on the data volume."""

    state: Annotated[str, StringConstraints(pattern=r"^\.?[\w-]+$")] = ".boot"
    """The directory at the volume's root in which it keeps what is its own; the boot report is in `.boot` anyway."""

    @field_validator("state")
    @classmethod
    def _of_nobody_else(cls, directory: str) -> str:
        if directory in NOT_ITS_OWN:
            raise ValueError(f"{directory!r} holds assets, or is agent-owned; name another directory")
        return directory


class Capabilities(Strict):
    """What the implementation claims to do; what it does not claim is not applicable, not failed."""

    transports: Annotated[tuple[Transport, ...], Field(min_length=1)]
    snapshots: bool = False
    """Whether it makes snapshots of volumes and restores from them."""
    migration: bool = False
    """Whether it adopts workspaces of the design before this one, and sweeps their config secrets."""
    source: Words | None = None
    """The folder of its source, where the source may be judged (GEN-2)."""


class Timing(Strict):
    """Windows that the implementation promises, in seconds. The harness waits for them and no longer."""

    settle: Annotated[float, Field(gt=0)] = 60.0
    """From a lifecycle request to a settled status."""
    heal: Annotated[float, Field(gt=0)] = 30.0
    """From a machine's death to its replacement being settled (HEAL-7)."""
    doubt: Annotated[float, Field(gt=0)] = 5.0
    """A silence of this length raises a doubt of a machine, such as one failed probe, and replaces nothing if the
    machine answers again (HEAL-7)."""


class Bounds(Strict):
    """What its fetches are bounded by in this run (CHN-8); of a bound that is not given, no breach is tried."""

    entries: Annotated[int, Field(gt=0)] | None = None
    """Of a template's tree."""
    stall: Annotated[float, Field(gt=0)] | None = None
    """Seconds within which an answer that all but stands still is given up."""
    retries: Annotated[int, Field(ge=0)] | None = None
    """Tries of a fetch after the first, where each breaks off."""


class Implementation(Strict):
    """A loaded manifest."""

    contract: Words
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Words
    provisioner: Part
    machine: MachinePart
    capabilities: Capabilities
    timing: Timing = Timing()
    bounds: Bounds = Bounds()
    waivers: tuple[Waiver, ...] = ()
    adapter: Annotated[str, StringConstraints(pattern=r"^[\w.]+:\w+$")] | None = None
    """`module:Class` with the verbs of harness.contract.lifecycle.Lifecycle, where the API is not lifecycle.yaml's."""
    home: Path
    """The folder of the manifest."""
    overlay: Path | None = None
    """The folder of the mutant or variant that is laid over it."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The folders of what its programs are made of, an overlay's included; none where the source is not given."""
        if self.capabilities.source is None:
            return ()
        return (self.home / self.capabilities.source, *([self.overlay] if self.overlay else []))

    def runtimes(self) -> tuple[str, ...]:
        """The runtimes that both parts can run on."""
        return tuple(
            name
            for name in ("docker", "process")
            if getattr(self.provisioner, name) is not None and getattr(self.machine, name) is not None
        )


def load_implementation(
    path: Path, *, revision: str, changes: Mapping[str, Any] = MappingProxyType({})
) -> Implementation:
    """Load a manifest written for contract `revision`; a folder stands for the `implementation.toml` in it.

    `changes` are laid over what the file says, table by table, as a variant has them.

    Raises ManifestProblem for a file that is missing or not TOML, an unknown or missing key, a wrong value, an
    unknown placeholder, a folder that does not exist, and a contract revision that this harness does not judge.
    """
    if path.is_dir():
        path = path / "implementation.toml"
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ManifestProblem(
            f"{path}: no such file; --implementation takes an implementation.toml"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ManifestProblem(f"{path}: not TOML: {wrong}") from None
    if "home" in table:
        raise ManifestProblem(f"{path}: home: unknown key (it is the manifest's own folder)")
    if "overlay" in table:
        raise ManifestProblem(
            f"{path}: overlay: unknown key (it is --mutant or --variant that lays one over)"
        )
    table = _laid_over(table, changes)
    try:
        implementation = Implementation.model_validate({**table, "home": path.parent.resolve()})
    except ValidationError as wrong:
        raise ManifestProblem(f"{path}: " + "; ".join(_complaints(wrong))) from None
    if implementation.contract != revision:
        raise ManifestProblem(
            f"{path}: contract = {implementation.contract!r}, but this harness judges contract {revision!r}; "
            "use the harness of that revision, or bring the implementation up to this one"
        )
    for complaint in (*_unknown_placeholders(implementation), *_missing_paths(implementation)):
        raise ManifestProblem(f"{path}: {complaint}")
    if not implementation.runtimes():
        raise ManifestProblem(
            f"{path}: no runtime runs both parts; give [provisioner.docker] and [machine.docker], "
            "or [provisioner.process] and [machine.process]"
        )
    return implementation


def _laid_over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = {
        key: _laid_over(table.get(key, {}), value) if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }
    return {**table, **changed}


def _complaints(wrong: ValidationError) -> Iterator[str]:
    for error in wrong.errors(include_url=False):
        where = ".".join(str(part) for part in error["loc"]) or "the file"
        match error["type"]:
            case "extra_forbidden":
                yield f"{where}: unknown key; remove it or mend its spelling"
            case "missing":
                yield f"{where}: missing; every manifest needs it"
            case _:
                yield f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _unknown_placeholders(implementation: Implementation) -> Iterator[str]:
    parts: tuple[tuple[str, Part, frozenset[str]], ...] = (
        ("provisioner", implementation.provisioner, RUNTIME_PLACEHOLDERS | WORLD_PLACEHOLDERS),
        ("machine", implementation.machine, RUNTIME_PLACEHOLDERS),
    )
    for name, part, known in parts:
        texts = [*part.environment.values()]
        texts += part.docker.command if part.docker else ()
        texts += (*part.process.command, *part.process.environment.values()) if part.process else ()
        for text in texts:
            for placeholder in PLACEHOLDER.findall(text):
                if placeholder not in known:
                    yield (
                        f"{name}: {{{placeholder}}} in {text!r} is not a placeholder; "
                        f"known are {', '.join(sorted(known))}"
                    )


def _missing_paths(implementation: Implementation) -> Iterator[str]:
    named = {"capabilities.source": implementation.capabilities.source}
    for name in ("provisioner", "machine"):
        program: DockerProgram | None = getattr(implementation, name).docker
        if program and program.build:
            build, key = program.build, f"{name}.docker.build"
            named[f"{key}.context"] = build.context
            named[f"{key}.dockerfile"] = f"{build.context}/{build.dockerfile}"
            named[f"{key}.requirements"] = build.requirements
    for key, path in named.items():
        if path is not None and not (implementation.home / path).exists():
            yield f"{key}: there is no {path!r} beside the manifest"
