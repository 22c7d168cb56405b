"""The pytest plugin: options, fixtures, and how a scenario's checks reach the ledger and the terminal."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.oracle.check import Judge
    from harness.runtime.ownership import Owner
    from harness.scenario.scenario import Scenario
    from harness.session import Choices
    from harness.templates.model import Template
    from harness.world.cloud import Cloud

DISTRIBUTION = "workspace-conformance"
choices_key: pytest.StashKey[Choices] = pytest.StashKey()
owner_key: pytest.StashKey[Owner] = pytest.StashKey()


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
        "--advertise-host",
        metavar="HOST",
        help="the host by which machines reach this computer (default: found out; needed for a remote engine)",
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

    if config.option.help or config.option.version:
        return
    try:
        config.stash[choices_key] = choose(
            runtime=config.option.runtime,
            implementation=config.option.implementation,
            mutant=config.option.mutant,
            advertise_host=config.option.advertise_host,
            templates=config.option.template,
            skills=config.option.skills,
            built_in=config.rootpath / "fixtures" / "templates",
        )
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[owner_key] = Owner.current(
            worker["conformance_run"], worker["workerid"], controller=worker["conformance_controller"]
        )
        return
    config.stash[owner_key] = Owner.current()
    config.pluginmanager.register(
        Recorder(
            choices=config.stash[choices_key],
            owner=config.stash[owner_key],
            reports=config.rootpath / config.option.reports,
            arguments=config.invocation_params.args,
        ),
        "conformance-recorder",
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
    if choices.mutant is not None:
        lines.append(f"MUTANT {choices.mutant.name}: {choices.mutant.breaks} The run should fail.")
    return lines


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first scenario: have the images, so that nothing but scenarios happens in scenarios' time."""
    acts = any("scenario" in getattr(item, "fixturenames", ()) for item in session.items)
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
        build_all(choices.implementation, choices.mutant, lambda words: _say(config, words))
    except (ImageError, RuntimeUnavailable) as problem:
        raise pytest.UsageError(" ".join(str(problem).split())) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" not in metafunc.fixturenames:
        return
    choices = metafunc.config.stash[choices_key]
    if "template" in metafunc.fixturenames:
        metafunc.parametrize(
            "template", [pytest.param(each.template, id=each.name) for each in choices.templates]
        )
    if "transport" in metafunc.fixturenames:
        metafunc.parametrize("transport", choices.transports)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With templates of the user's own, only scenarios that take any template are of interest."""
    if not config.stash[choices_key].own_templates:
        return
    dropped = [
        item
        for item in items
        if "scenario" in getattr(item, "fixturenames", ())
        and "template" not in getattr(item, "fixturenames", ())
    ]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """This worker's disposable cloud, with the implementation's provisioner running in it."""
    from harness.standing import standing_cloud

    config = request.config
    with standing_cloud(
        config.stash[choices_key], config.stash[owner_key], progress=lambda words: _say(config, words)
    ) as standing:
        yield standing


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Makes the scenario's checks, and keeps what they came to."""
    from harness.oracle.check import Judge

    return Judge(request.config.stash[choices_key].contract, request.node.nodeid)


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
    from harness.report.recording import record

    report = yield
    if "scenario" in getattr(item, "fixturenames", ()):
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
