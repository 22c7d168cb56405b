"""The controller's side of a run: writes the ledger as scenarios finish, and the summary at the end."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.proof.coverage import combine
from harness.runtime.sweep import Removed, sweep

from .conclusion import EXIT_STATUS, Conclusion, Outcome, conclude
from .leaks import secrets_in
from .ledger import CheckLine, Header, Ledger, ScenarioLine, Writer
from .page.write import PAGE
from .population import FOLDER, is_scenario, population_key, selection
from .provenance import checkout, judged
from .recording import broods_of, crash_of, lines_of, shown
from .terminal import write_conclusion, write_coverage, write_summary
from .views import write_views

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.oracle.canaries import Brood
    from harness.runtime.ownership import Owner
    from harness.session import Choices
    from harness.sharding import Sharding

DISTRIBUTION = "workspace-conformance"
LEDGER = "ledger.jsonl"
POPULATION = "conformance_population"
"""The name by which a worker of xdist hands over how many scenarios it could have chosen from."""


class Recorder:
    """A pytest plugin of the process that controls the run; xdist's workers have none."""

    def __init__(self, *, choices: Choices, owner: Owner, canary_key: bytes, config: pytest.Config) -> None:
        """From `canary_key` and the tenants that scenarios tell of come all secrets of the run, in every worker."""
        self._choices = choices
        self._owner = owner
        self._canary_key = canary_key
        self._config = config
        self._folder = config.rootpath / config.option.reports / owner.run
        self._writer: Writer | None = None
        self._checks: list[CheckLine] = []
        self._scenarios: list[ScenarioLine] = []
        self._expected: int | None = None
        self._defects: list[str] = []
        self._failed_tests = 0
        self._swept: list[Removed] = []
        self._leaks: list[Removed] = []
        self._broods: dict[Brood, None] = {}
        self._interrupted = False
        self._conclusion: Conclusion | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell each worker of xdist whose it is."""
        node.workerinput["conformance_run"] = self._owner.run
        node.workerinput["conformance_controller"] = self._owner.pid
        node.workerinput["conformance_canary_key"] = self._canary_key.hex()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker that came to its end tells how many scenarios it could have chosen from."""
        self._expected = getattr(node, "workeroutput", {}).get(POPULATION, self._expected)

    def pytest_sessionstart(self) -> None:
        """Sweep what runs left that ended without being able to."""
        self._swept = sweep(engines=self._choices.engines)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._expected = session.config.stash[population_key]
        if any(map(is_scenario, session.items)) and not session.config.option.collectonly:
            self._open()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if self._writer is None and any(each.startswith(f"{FOLDER}/") for each in ids):
            self._open()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._defects.append(f"{report.nodeid} could not be collected")

    def pytest_internalerror(self, excrepr: object) -> None:
        self._defects.append(f"pytest had an internal error: {str(excrepr).strip().splitlines()[-1]}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._broods |= dict.fromkeys(broods_of(report))
        lines = lines_of(report) or crash_of(report)
        self._failed_tests += report.failed and not lines
        for line in lines:
            if self._writer is not None:
                self._writer.add(line)
            if line["kind"] == "check":
                self._checks.append(CheckLine(**line))
            else:
                self._scenarios.append(ScenarioLine(**line))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Sweep what this run left, look for secrets in its reports, close the ledger, and tell CI what it comes to."""
        # pytest says "interrupted" where something could not be collected, too.
        self._interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED and not self._defects
        self._leaks = sweep(timedelta(0), run=self._owner.run, engines=self._choices.engines)
        if not self._interrupted:
            self._defects += [f"the run leaked, and swept: {leak.kind} {leak.name}" for leak in self._leaks]
        self._defects += [
            f"a secret is in the reports of this run, in {shown(self._folder)}: {line}"
            for line in secrets_in(self._folder, self._broods, self._canary_key)
        ]
        if self._writer is not None:
            session.exitstatus = self._conclude(self._writer)
        elif self._defects:
            session.exitstatus = EXIT_STATUS[Outcome.BROKEN]

    def _conclude(self, writer: Writer) -> int:
        """The exit status, when the ledger is closed and everything shown is derived from it."""
        if self._failed_tests:
            self._defects.append(f"{self._failed_tests} tests of the harness itself failed")
        sharding = self._sharding
        footer = writer.footer(
            finished=_now(),
            expected=self._expected,
            interrupted=self._interrupted,
            defects=self._defects,
            population=sharding.population if sharding is not None else None,
        )
        ledger = Ledger(
            writer.header, tuple(self._checks), tuple(self._scenarios), footer, self._choices.waivers
        )
        self._conclusion = conclude(ledger, self._choices.contract)
        status = self._conclusion.exit_status(gate=self._config.option.gate)
        writer.close(replace(footer, exit_status=status))
        write_views(self._folder, ledger, self._choices.contract)
        if step := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(step).open("a", encoding="utf-8") as shown_by_github:
                shown_by_github.write((self._folder / "summary.md").read_text(encoding="utf-8"))
        return status

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if self._scenarios:
            write_summary(terminalreporter, self._choices.contract, self._checks, self._scenarios)
            if self._choices.coverage is not None:
                write_coverage(terminalreporter, combine(self._folder / "coverage", self._choices.coverage))
        if self._interrupted:
            for leak in self._leaks:
                terminalreporter.write_line(
                    f"left by the interrupted run, and swept: {leak.kind} {leak.name}"
                )
        if self._swept:
            runs = ", ".join(sorted({found.run for found in self._swept}))
            terminalreporter.write_line(f"swept {len(self._swept)} things that ended runs had left ({runs})")
        if self._conclusion is not None:
            terminalreporter.write_line(f"ledger: {shown(self._folder / LEDGER)}")
            terminalreporter.write_line(f"page: {shown(self._folder / PAGE)}")
            write_conclusion(terminalreporter, self._conclusion)
        else:
            for defect in self._defects:
                terminalreporter.write_line(defect, red=True)

    @property
    def _sharding(self) -> Sharding | None:
        found: Sharding | None = self._config.pluginmanager.getplugin("conformance-sharding")
        return found

    def _open(self) -> None:
        """Begin the ledger, so that a run that is killed leaves one that says so."""
        self._writer = Writer(self._folder / LEDGER, self._header(), self._choices.waivers)

    def _header(self) -> Header:
        choices, sharding = self._choices, self._sharding
        implementation, harness = judged(choices), checkout()
        return Header(
            run=self._owner.run,
            started=_now(),
            contract=choices.contract.revision,
            contract_digest=choices.contract.digest,
            implementation=choices.implementation.name,
            implementation_version=choices.implementation.version,
            harness_version=version(DISTRIBUTION),
            runtime=choices.runtime,
            transports=list(choices.transports),
            templates=[each.name for each in choices.templates],
            environment={
                "python": platform.python_version(),
                "system": platform.platform(),
                "arguments": shlex.join(map(str, self._config.invocation_params.args)),
                **({"engines": ", ".join(self._config.option.engine)} if self._config.option.engine else {}),
            },
            mutant=choices.mutant.name if choices.mutant is not None else None,
            selection=selection(self._config),
            strict=self._config.getini("strict"),
            images=implementation.images,
            source=implementation.source,
            template_digests={each.name: each.template.digest() for each in choices.templates},
            template_commits={
                each.name: each.commit for each in choices.templates if each.commit is not None
            },
            harness_commit=harness.commit,
            harness_changes=harness.changes,
            seeds={
                "--examples": self._config.option.examples,
                "--randomly-seed": str(self._config.getoption("randomly_seed", None)),
            },
            shard=str(sharding.shard) if sharding is not None else None,
            timings=sharding.timings.digest if sharding is not None else None,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
