"""The pytest plugin: options, fixtures, and how a scenario's checks reach the ledger and the terminal."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet
    from _pytest.terminal import TerminalReporter

    from harness.oracle.check import Judge
    from harness.runtime.ownership import Owner
    from harness.scenario.scenario import Scenario
    from harness.session import Choices
    from harness.sharding import Sharding
    from harness.templates.model import Template
    from harness.templates.profiles import Profile
    from harness.world.cloud import Cloud

DISTRIBUTION = "workspace-conformance"
choices_key: pytest.StashKey[Choices] = pytest.StashKey()
owner_key: pytest.StashKey[Owner] = pytest.StashKey()
canary_key: pytest.StashKey[bytes] = pytest.StashKey()
"""What all secrets of the run come from, in every worker."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "conformance of a workspace platform")
    group.addoption(
        "--implementation",
        type=Path,
        metavar="TOML",
        help="the implementation.toml of the implementation to judge (default: the reference)",
    )
    group.addoption(
        "--runtime",
        default="auto",
        metavar="RUNTIME",
        help="where machines run: docker (containers), process (child processes), or auto (default: docker where "
        "an engine answers)",
    )
    group.addoption(
        "--template",
        action="append",
        default=[],
        metavar="DIR_OR_GIT_URL[@ref]",
        help="run the template-generic scenarios with this template in place of the built-in ones; repeatable",
    )
    group.addoption(
        "--skills",
        action="append",
        default=[],
        metavar="DIR",
        help="the same with a bare collection of skill folders (*/SKILL.md), wrapped as a template; repeatable",
    )
    group.addoption(
        "--mutant",
        type=Path,
        metavar="DIR",
        help="lay this known-bad overlay (a folder of fixtures/mutants) over the implementation: the run should fail",
    )
    group.addoption(
        "--variant",
        type=Path,
        metavar="DIR",
        help="judge another way of being good (a folder of fixtures/variants) in its place: the run should pass",
    )
    group.addoption(
        "--coverage",
        action="store_true",
        help="measure how much of the implementation's own source (capabilities.source, Python) the scenarios reach",
    )
    group.addoption(
        "--examples",
        choices=("dev", "ci", "proof", "nightly"),
        default="ci" if os.environ.get("CI") else "dev",
        help="how many generated templates: dev (seconds), ci (the same ones each time), proof (those of ci, "
        "and what breaks is told as it was drawn: enough for a known-bad implementation), nightly (hours) "
        "(default: dev, or ci where the environment has CI set)",
    )
    group.addoption(
        "--replay",
        type=Path,
        metavar="DIR",
        help="run nothing but this counterexample: a folder counterexample/ of a failed scenario's artifacts",
    )
    group.addoption(
        "--shard",
        metavar="I/N",
        help="run only the I-th of N parts of the scenarios that were asked for, parts that should take equally long; "
        "harness merge joins their ledgers",
    )
    group.addoption(
        "--timings",
        type=Path,
        metavar="LEDGER",
        help="how long each scenario takes, for --shard: the same file on every machine (default: the latest ledger "
        "of the reports folder; without one, each counts the same)",
    )
    group.addoption(
        "--engine",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a container engine (unix:///…, tcp://…) in place of the one of the environment; repeatable: the workers "
        "of -n take the engines in turn",
    )
    group.addoption(
        "--advertise-host",
        metavar="HOST",
        help="the host by which machines reach this computer (default: found out; needed for a remote engine)",
    )
    group.addoption(
        "--keep",
        choices=("on-failure",),
        help="on-failure: stop at the first scenario that fails, keep its cloud up and print how to get in, until "
        "Enter or Ctrl-C (with -n 0, at a terminal)",
    )
    group.addoption(
        "--gate",
        action="store_true",
        help="fail, with exit status 6, where anything could not run or was left out, as a check in CI needs it",
    )
    group.addoption(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="where the run's folder is written (default: reports)",
    )


def pytest_configure(config: pytest.Config) -> None:
    from harness.report.recorder import Recorder
    from harness.runtime.ownership import Owner
    from harness.session import UsageProblem, choose

    config.addinivalue_line(
        "markers",
        "each_choice(name, values): each value (without `values`: each template of the run) once, and each transport "
        "once, rather than each with each: for a scenario in which the one has no bearing on the other",
    )
    config.addinivalue_line("markers", "long: takes far longer than most, and is begun first")
    if config.option.help or config.option.version:
        return
    try:
        config.stash[choices_key] = choose(
            runtime=config.option.runtime,
            implementation=config.option.implementation,
            mutant=config.option.mutant,
            variant=config.option.variant,
            advertise_host=config.option.advertise_host,
            engines=config.option.engine,
            templates=config.option.template,
            skills=config.option.skills,
            fixtures=config.rootpath / "fixtures",
            replay=config.option.replay,
            coverage=config.option.coverage,
        )
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    _shard(config)
    if worker is None:
        _employ_every_engine(config)
        _keep(config)
    else:
        config.stash[owner_key] = Owner.current(
            worker["conformance_run"], worker["workerid"], controller=worker["conformance_controller"]
        )
        config.stash[canary_key] = bytes.fromhex(worker["conformance_canary_key"])
        return
    config.stash[owner_key] = Owner.current()
    config.stash[canary_key] = secrets.token_bytes(32)
    config.pluginmanager.register(
        Recorder(
            choices=config.stash[choices_key],
            owner=config.stash[owner_key],
            canary_key=config.stash[canary_key],
            config=config,
        ),
        "conformance-recorder",
    )


def _shard(config: pytest.Config) -> None:
    """Split the scenarios, where they are to be split. Raises UsageError."""
    from harness.report.shard import ShardProblem
    from harness.sharding import Sharding

    option = config.option
    if option.shard is None:
        if option.timings is not None:
            raise pytest.UsageError(
                "--timings is about how --shard splits the scenarios; give --shard I/N too"
            )
        return
    try:
        sharding = Sharding.of(config)
    except ShardProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    option.timings = sharding.timings.ledger  # so that workers, which may start later, take the same
    config.pluginmanager.register(sharding, "conformance-sharding")


def _keep(config: pytest.Config) -> None:
    """Raises UsageError."""
    if config.option.keep is None:
        return
    from harness.keep import Keep, KeepProblem

    try:
        config.pluginmanager.register(Keep(config), "conformance-keep")
    except KeepProblem as problem:
        raise pytest.UsageError(str(problem)) from None


def _employ_every_engine(config: pytest.Config) -> None:
    """Raises UsageError where fewer workers than engines would let some stand idle."""
    engines, workers = len(config.option.engine), max(1, len(config.getoption("tx", None) or ()))
    if workers < engines:
        raise pytest.UsageError(
            f"--engine names {engines} engines, and {'-n gives ' if workers > 1 else ''}{workers} "
            f"worker{'s' * (workers > 1)} to use them; give -n {engines} or more, or name fewer engines"
        )


def pytest_report_header(config: pytest.Config) -> list[str]:
    choices, owner = config.stash[choices_key], config.stash[owner_key]
    implementation = choices.implementation
    lines = [
        f"conformance: run {owner.run}, harness {version(DISTRIBUTION)}, contract {choices.contract.revision}",
        f"judging: {implementation.name} {implementation.version} ({_shown(choices.manifest, config)})",
        f"runtime: {choices.runtime} ({choices.because})",
        f"templates: {', '.join(each.name for each in choices.templates)}; transports: {', '.join(choices.transports)}",
    ]
    sharding: Sharding | None = config.pluginmanager.getplugin("conformance-sharding")
    if sharding is not None:
        lines.append(f"shard: {sharding}")
    if choices.mutant is not None:
        lines.append(f"MUTANT {choices.mutant.name}: {choices.mutant.breaks} The run should fail.")
    if choices.variant is not None:
        lines.append(f"VARIANT {choices.variant.name}: {choices.variant.differs} The run should pass.")
    return lines


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first scenario: have the images, so that nothing but scenarios happens in scenarios' time."""
    from harness.report.population import is_scenario

    acts = any(map(is_scenario, session.items))
    if acts and not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        _have_images(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """The same, before there are workers that would wait for each other."""
    _have_images(config)


def _have_images(config: pytest.Config) -> None:
    from harness.images import build_all
    from harness.runtime.base import RuntimeUnavailable
    from harness.runtime.image import ImageError

    choices = config.stash[choices_key]
    if choices.runtime != "docker":
        return
    try:
        for at in dict.fromkeys(choices.engines):
            if at is not None:
                _say(config, f"looking for the images on {at}")
            say = partial(_say, config)
            build_all(choices.implementation, choices.overlay, say, choices.coverage, at)
    except (ImageError, RuntimeUnavailable) as problem:
        raise pytest.UsageError(" ".join(str(problem).split())) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" not in metafunc.fixturenames:
        return
    choices = metafunc.config.stash[choices_key]
    templates = {each.name: each.template for each in choices.templates}
    if marker := metafunc.definition.get_closest_marker("each_choice"):
        name, *values = marker.args
        metafunc.parametrize(
            (name, "transport"),
            each_choice(templates if not values else {each: each for each in values[0]}, choices.transports),
        )
        return
    if "counterexample" in metafunc.fixturenames:
        metafunc.parametrize("counterexample", choices.counterexamples.values(), ids=choices.counterexamples)
    if "template" in metafunc.fixturenames:
        metafunc.parametrize("template", templates.values(), ids=templates)
    if "transport" in metafunc.fixturenames:
        metafunc.parametrize("transport", choices.transports)


def each_choice(values: Mapping[str, object], transports: Sequence[str]) -> list[ParameterSet]:
    """Each value over some transport, and each transport with some value."""
    pairs = zip(cycle(values.items()), cycle(transports), strict=False)
    return [
        pytest.param(value, transport, id=f"{name}-{transport}")
        for (name, value), transport in islice(pairs, max(len(values), len(transports)))
    ]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Count the scenarios that there are, before any is left out.

    Begin with what takes long, in whatever order the rest is, so that no worker ends with it while others idle.

    With templates of the user's own, only scenarios that take any template are of interest; with a counterexample to
    replay, only that.
    """
    from harness.report.population import is_scenario, population, population_key

    config.stash[population_key] = population(items)
    done = yield
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    choices = config.stash[choices_key]
    if not choices.own_templates and not choices.replays:
        return done
    needed = "counterexample" if choices.replays else "template"
    dropped = [
        item
        for item in items
        if (choices.replays or is_scenario(item)) and needed not in getattr(item, "fixturenames", ())
    ]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    return done


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist tells how many scenarios it could have chosen from."""
    from harness.report.population import population_key
    from harness.report.recorder import POPULATION

    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None and population_key in session.config.stash:
        output[POPULATION] = session.config.stash[population_key]


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """This worker's disposable cloud, with the implementation's provisioner running in it."""
    # What is loaded for a cloud is much, and stays: no collection need go through it, neither meanwhile nor later.
    gc.disable()
    from harness.standing import standing_cloud

    config, owner = request.config, request.config.stash[owner_key]
    choices = config.stash[choices_key]
    measurements = config.rootpath / config.option.reports / owner.run / "coverage" / owner.worker
    with standing_cloud(
        choices,
        owner,
        progress=lambda words: _say(config, words),
        measurements=measurements if choices.coverage is not None else None,
        canary_key=config.stash[canary_key],
    ) as standing:
        gc.freeze()
        gc.enable()
        yield standing


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Makes the scenario's checks, and keeps what they came to."""
    from harness.oracle.check import Judge

    choices, today = request.config.stash[choices_key], datetime.now(UTC).isoformat()
    return Judge(
        choices.contract,
        request.node.nodeid,
        [waiver for waiver in choices.waivers if waiver.holds_on(today)],
        strict=request.config.getini("strict"),
    )


@pytest.fixture
def scenario(cloud: Cloud, judge: Judge) -> Iterator[Scenario]:
    """A scenario in this worker's cloud. What it makes is gone at its end."""
    from harness.scenario.scenario import Scenario

    acted = Scenario(cloud, judge)
    yield acted
    acted.discard()


@pytest.fixture
def minimal(request: pytest.FixtureRequest) -> Template:
    """The smallest of the hand-written templates."""
    return request.config.stash[choices_key].template("minimal")


@pytest.fixture
def seo(request: pytest.FixtureRequest) -> Template:
    """The search agent: several skills with scripts, commands and odd files, and one of 716 KiB."""
    return request.config.stash[choices_key].template("seo-agent")


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> Profile:
    """How many generated examples to look at, and which."""
    from harness.templates.profiles import PROFILES

    return PROFILES[request.config.option.examples]


@pytest.fixture
def concierge(request: pytest.FixtureRequest) -> Template:
    """The platform's own agent, a template like any other."""
    return request.config.stash[choices_key].template("concierge")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a scenario to its end: conclude what was judged, delete what was made, and judge that too."""
    from harness.scenario.ending import brought_to_an_end

    acted: Any = pyfuncitem.funcargs.get("scenario")
    if acted is None:
        return (yield)
    with brought_to_an_end(acted):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang the ledger's lines on the report, which travels to the controller by itself."""
    from harness.report.population import is_scenario
    from harness.report.recording import record

    report = yield
    if is_scenario(item):
        record(
            item, call, report, choices=item.config.stash[choices_key], run=item.config.stash[owner_key].run
        )
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """With -v, name the boots that a scenario made."""
    for line in getattr(report, "conformance", ()):
        if line["kind"] == "scenario" and line["boots"] and report.outcome == "passed":
            return "passed", ".", f"PASSED ({', '.join(line['boots'])})"
    return None


def _say(config: pytest.Config, words: str) -> None:
    """A line of progress on the terminal, past the capture; in a worker of xdist it goes nowhere."""
    terminal: TerminalReporter | None = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if terminal is None or hasattr(config, "workerinput"):
        return
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        terminal.ensure_newline()
        terminal.write_line(f"[conformance] {words}", cyan=True)


def _shown(path: Path, config: pytest.Config) -> str:
    return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else str(path)
