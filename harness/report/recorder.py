"""The controller's side of a run: writes the ledger as scenarios finish, and the summary at the end."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.proof.coverage import combine
from harness.runtime.sweep import Removed, sweep

from .leaks import secrets_in
from .ledger import CheckLine, Header, ScenarioLine, Verdict, Writer
from .recording import broods_of, crash_of, lines_of, shown
from .terminal import write_coverage, write_summary

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.oracle.canaries import Brood
    from harness.runtime.ownership import Owner
    from harness.session import Choices

DISTRIBUTION = "workspace-conformance"


class Recorder:
    """A pytest plugin of the process that controls the run; xdist's workers have none."""

    def __init__(
        self,
        *,
        choices: Choices,
        owner: Owner,
        canary_key: bytes,
        reports: Path,
        arguments: Sequence[object],
    ) -> None:
        """From `canary_key` and the tenants that scenarios tell of come all secrets of the run, in every worker."""
        self._choices = choices
        self._owner = owner
        self._canary_key = canary_key
        self._folder = reports / owner.run
        self._arguments = [str(argument) for argument in arguments]
        self._writer: Writer | None = None
        self._checks: list[CheckLine] = []
        self._scenarios: list[ScenarioLine] = []
        self._swept: list[Removed] = []
        self._leaks: list[Removed] = []
        self._broods: dict[Brood, None] = {}
        self._exposed: list[str] = []
        self._interrupted = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell each worker of xdist whose it is."""
        node.workerinput["conformance_run"] = self._owner.run
        node.workerinput["conformance_controller"] = self._owner.pid
        node.workerinput["conformance_canary_key"] = self._canary_key.hex()

    def pytest_sessionstart(self) -> None:
        """Sweep what runs left that ended without being able to."""
        self._swept = sweep()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._broods |= dict.fromkeys(broods_of(report))
        for line in lines_of(report) or crash_of(report):
            writer = self._writer = self._writer or Writer(self._folder / "ledger.jsonl", self._header())
            writer.add(line)
            if line["kind"] == "check":
                self._checks.append(CheckLine(**line))
            else:
                self._scenarios.append(ScenarioLine(**line))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Sweep what this run left, and look for secrets in its reports: either fails it. Close the ledger."""
        self._interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
        self._leaks = sweep(timedelta(0), run=self._owner.run)
        self._exposed = secrets_in(self._folder, self._broods, self._canary_key)
        incomplete = self._choices.runtime_asked_for and bool(self._not_run())
        if (self._leaks or self._exposed or incomplete) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._writer is not None:
            self._writer.close(finished=_now(), exit_status=int(session.exitstatus))

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if self._scenarios:
            write_summary(terminalreporter, self._choices.contract, self._checks, self._scenarios)
            if self._choices.coverage is not None:
                write_coverage(terminalreporter, combine(self._folder / "coverage", self._choices.coverage))
            terminalreporter.write_line(f"ledger: {shown(self._folder / 'ledger.jsonl')}")
        if not_run := self._not_run():
            terminalreporter.write_line(
                f"INCOMPLETE: {len(not_run)} scenarios could not run, so this run proves nothing of what they judge",
                yellow=True,
            )
        left = "left by the interrupted run" if self._interrupted else "LEAKED by this run"
        for leak in self._leaks:
            terminalreporter.write_line(
                f"{left}, and swept: {leak.kind} {leak.name}", red=not self._interrupted
            )
        for line in self._exposed:
            terminalreporter.write_line(
                f"SECRET IN THE REPORTS of this run, in {shown(self._folder)}: {line}", red=True
            )
        if self._swept:
            runs = ", ".join(sorted({found.run for found in self._swept}))
            terminalreporter.write_line(f"swept {len(self._swept)} things that ended runs had left ({runs})")

    def _not_run(self) -> list[ScenarioLine]:
        return [line for line in self._scenarios if line.verdict == Verdict.COULD_NOT_RUN]

    def _header(self) -> Header:
        choices = self._choices
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
                "arguments": " ".join(self._arguments),
            },
            mutant=choices.mutant.name if choices.mutant is not None else None,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
