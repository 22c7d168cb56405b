"""What a run was asked to do, made definite: which implementation, on which runtime, with which templates."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.contract.adapter import lifecycle_of
from harness.contract.manifest import Implementation, ManifestProblem, load_implementation
from harness.contract.requirements import Contract, load_contract
from harness.proof.mutant import Mutant, load_mutant
from harness.proof.overlaid import Overlaid, OverlaidProblem
from harness.proof.variant import Variant, load_variant
from harness.report.ledger import WaiverLine
from harness.runtime.base import RuntimeUnavailable
from harness.runtime.engine import engine_available
from harness.scenario.counterexample import Counterexample, CounterexampleProblem, read_counterexample
from harness.templates import (
    NamedTemplate,
    Template,
    TemplateProblem,
    load_skills,
    load_template,
    with_generated_skill,
)

REFERENCE = Path(__file__).parent / "reference" / "implementation.toml"
RUNTIMES = ("auto", "docker", "process")
_NO_DOCKER_PARTS = "its manifest has no docker parts"


class UsageProblem(Exception):
    """The run cannot be made as asked; one line that says what, why, and the way out. Exit status 4."""


@dataclass(frozen=True)
class Choices:
    """All that a run needs to know before it makes anything."""

    contract: Contract
    implementation: Implementation
    manifest: Path
    mutant: Mutant | None
    variant: Variant | None
    """The other way of being good that is judged in place of the implementation as it is."""
    runtime: str
    because: str
    """Why this runtime, and how to get the other."""
    advertise_host: str | None
    engines: tuple[str | None, ...]
    """Addresses of the container engines that workers take in turn; None is the one of the environment."""
    templates: tuple[NamedTemplate, ...]
    coverage: Path | None
    """The source folder of the implementation, where it is measured how much of it runs."""
    counterexamples: Mapping[str, Counterexample]
    """By name. Those that are kept, or the one that is to be replayed."""
    replays: bool
    """Whether the run is for nothing but that one."""
    own_templates: bool
    """Whether the templates are the user's: then only template-generic scenarios run."""

    @property
    def overlay(self) -> Overlaid | None:
        """What is laid over the implementation's source."""
        return self.mutant or self.variant

    @property
    def transports(self) -> tuple[str, ...]:
        return tuple(self.implementation.capabilities.transports)

    @property
    def waivers(self) -> tuple[WaiverLine, ...]:
        """Those that have expired too."""
        return tuple(map(WaiverLine.of, self.implementation.waivers))

    def engine_of(self, worker: str) -> str | None:
        """Workers of xdist (gw0, gw1, …) take the engines in turn; a run without any has the first."""
        number = worker.removeprefix("gw")
        return self.engines[int(number) % len(self.engines) if number.isdecimal() else 0]

    def template(self, name: str) -> Template:
        """Raises KeyError where no template of this run has the name."""
        return {each.name: each.template for each in self.templates}[name]


def choose(
    *,
    runtime: str,
    implementation: Path | None,
    mutant: Path | None,
    variant: Path | None = None,
    advertise_host: str | None,
    templates: Sequence[str],
    skills: Sequence[str],
    fixtures: Path,
    engines: Sequence[str] = (),
    replay: Path | None = None,
    coverage: bool = False,
) -> Choices:
    """`fixtures` is the folder of hand-written templates and kept counterexamples. Raises UsageProblem."""
    if shutil.which("git") is None:
        raise UsageProblem(
            "git is not installed, and the template host serves with it; install it (apt-get install git)"
        )
    contract = load_contract()
    manifest = implementation or REFERENCE
    try:
        _lay_over_one_at_most(mutant, variant)
        varied = load_variant(variant) if variant is not None else None
        changes = varied.manifest if varied is not None else {}
        loaded = load_implementation(manifest, revision=contract.revision, changes=changes)
        lifecycle_of(loaded)
        _know_what_is_waived(manifest, loaded, contract)
        applied = load_mutant(mutant, contract) if mutant is not None else None
        if applied is not None:
            loaded = loaded.model_copy(update={"overlay": applied.folder})
        if varied is not None:
            loaded = loaded.model_copy(update={"overlay": varied.folder, "name": varied.name})
        measured = _source(loaded, mutant or variant) if coverage else None
        chosen, because = _choose_runtime(runtime, loaded, engines)
        own = [load_template(spec) for spec in templates] + [load_skills(Path(folder)) for folder in skills]
        offered = own or _built_in_templates(fixtures / "templates")
        counterexamples = _counterexamples(fixtures / "counterexamples", replay)
    except (
        ManifestProblem,
        OverlaidProblem,
        TemplateProblem,
        RuntimeUnavailable,
        CounterexampleProblem,
    ) as problem:
        raise UsageProblem(" ".join(str(problem).split())) from problem
    return Choices(
        contract=contract,
        implementation=loaded,
        manifest=manifest,
        mutant=applied,
        variant=varied,
        runtime=chosen,
        because=because,
        advertise_host=advertise_host,
        engines=tuple(engines) or (None,),
        templates=_distinct(offered),
        coverage=measured,
        counterexamples=counterexamples,
        replays=replay is not None,
        own_templates=bool(own),
    )


def _know_what_is_waived(manifest: Path, implementation: Implementation, contract: Contract) -> None:
    """Raises ManifestProblem where a waiver names what there is not."""
    for waiver in implementation.waivers:
        if waiver.requirement is not None and waiver.requirement not in contract.requirements:
            raise ManifestProblem(
                f"{manifest}: waivers: there is no requirement {waiver.requirement!r} in contract "
                f"{contract.revision}; mend its spelling, or remove the waiver"
            )
        if waiver.check is not None and waiver.check not in _checks():
            raise ManifestProblem(
                f"{manifest}: waivers: there is no check {waiver.check!r} in this harness; a failure names its check, "
                "and `harness contract` lists them: mend the spelling, or remove the waiver"
            )


def _checks() -> frozenset[str]:
    """The names of all checks that there are."""
    from harness.oracle.catalogue import every_check  # with the whole oracle, which most commands do not need

    return every_check()


def _lay_over_one_at_most(mutant: Path | None, variant: Path | None) -> None:
    """Raises UsageProblem."""
    if mutant is not None and variant is not None:
        raise UsageProblem(
            "--mutant and --variant: one is laid over an implementation at a time; leave out either"
        )


def _source(implementation: Implementation, overlay: Path | None) -> Path:
    """Raises UsageProblem."""
    if overlay is not None:
        raise UsageProblem(
            "--coverage: a mutant or variant is not measured; leave out --coverage, or --mutant or --variant"
        )
    if implementation.capabilities.source is None:
        raise UsageProblem(
            f"--coverage: {implementation.name} does not say where its source is; "
            "add capabilities.source to its manifest"
        )
    return (implementation.home / implementation.capabilities.source).resolve()


def _counterexamples(kept: Path, replay: Path | None) -> dict[str, Counterexample]:
    """Raises CounterexampleProblem."""
    from harness.scenario.life import Life  # with all that a life needs, which most commands do not

    folders = [replay] if replay is not None else sorted(each for each in kept.iterdir() if each.is_dir())
    return {each.name: read_counterexample(each, Life.VERBS) for each in folders}


def _choose_runtime(asked: str, implementation: Implementation, engines: Sequence[str]) -> tuple[str, str]:
    """The runtime and why. Raises RuntimeUnavailable."""
    if asked not in RUNTIMES:
        raise RuntimeUnavailable(f"--runtime {asked}: unknown runtime; choose {', '.join(RUNTIMES)}")
    able = implementation.runtimes()
    if asked != "auto" and asked not in able:
        raise RuntimeUnavailable(
            f"--runtime {asked}: {implementation.name} does not say how it runs there (its manifest has "
            f"{' and '.join(able)}); add [provisioner.{asked}] and [machine.{asked}]"
        )
    if engines:
        return _named_engines(asked, able, engines)
    if asked == "process":
        return asked, "asked for; --runtime docker runs in containers"
    without_engine = engine_available() if "docker" in able else _NO_DOCKER_PARTS
    if asked == "docker":
        if without_engine is not None:
            raise RuntimeUnavailable(f"--runtime docker: {without_engine}")
        return asked, "asked for; --runtime process needs no engine"
    if without_engine is None:
        return "docker", "a container engine answers; --runtime process runs in child processes instead"
    if "process" not in able:
        raise RuntimeUnavailable(f"{implementation.name} runs in containers only, and {without_engine}")
    return (
        "process",
        f"{without_engine}; with an engine, --runtime docker runs in containers, which a gate needs",
    )


def _named_engines(asked: str, able: Sequence[str], engines: Sequence[str]) -> tuple[str, str]:
    """Engines that are named have to be there; nothing runs elsewhere instead. Raises RuntimeUnavailable."""
    if asked == "process":
        raise RuntimeUnavailable(
            "--engine: machines of the process runtime are on no container engine; "
            "use --runtime docker, or leave out --engine"
        )
    if "docker" not in able:
        raise RuntimeUnavailable(f"--engine: {_NO_DOCKER_PARTS}; add them, or leave out --engine")
    for at in engines:
        if (without := engine_available(at)) is not None:
            raise RuntimeUnavailable(f"--engine {at}: {without}")
    return "docker", f"on the engines that were named: {', '.join(engines)}"


def _built_in_templates(folder: Path) -> list[NamedTemplate]:
    """The hand-written templates; the largest one's skill package is made here, since a repository need not hold it."""
    loaded = [load_template(str(path)) for path in sorted(folder.iterdir()) if path.is_dir()]
    return [
        replace(each, template=with_generated_skill(each.template, "site-audit-library", size=716 * 1024))
        if each.name == "seo-agent"
        else each
        for each in loaded
    ]


def _distinct(templates: Sequence[NamedTemplate]) -> tuple[NamedTemplate, ...]:
    """With a number behind a name that came before, so that each has its own scenarios."""
    seen: dict[str, int] = {}
    named = []
    for each in templates:
        seen[each.name] = seen.get(each.name, 0) + 1
        count = seen[each.name]
        named.append(each if count == 1 else replace(each, name=f"{each.name}-{count}"))
    return tuple(named)
