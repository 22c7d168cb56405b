"""From a finished scenario to its lines in the ledger, its artifacts, and the words on the terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from harness.contract.lifecycle import Refused
from harness.oracle.canaries import Brood
from harness.oracle.check import ContractBroken
from harness.scenario.ending import NOT_APPLICABLE, HarnessBroken

from .artifacts import COUNTEREXAMPLE, artifacts_of, keep_artifacts
from .ledger import CheckLine, ScenarioLine, Verdict

if TYPE_CHECKING:
    from harness.scenario.scenario import Scenario
    from harness.session import Choices

Blame = Literal["", "harness", "implementation"]
CONSOLE_TAIL = 15
"""Lines of a machine's console that a failure shows."""


def record(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, *, choices: Choices, run: str
) -> None:
    """Put `conformance` (the ledger's lines) on the report of the phase that decides, and say a failure in words.

    Beside it `broods`: whose secrets the scenario let out, as far as it can be told without giving them away.
    """
    acted: Scenario | None = getattr(item, "funcargs", {}).get("scenario")
    decides = call.when == "call" or (call.when == "setup" and report.outcome != "passed")
    if call.when == "teardown" and report.failed:
        decides = True  # a leak: the scenario passed, and yet it must not count as passed
    if not decides:
        return
    folder = _folder(item, run)
    again = reproduction(item, choices)
    if acted is not None and acted.counterexample is not None:
        again = shlex.join(["pytest", f"--replay={shown(folder / COUNTEREXAMPLE)}", *_options(item, choices)])
    checks = acted.judge.lines if acted is not None and call.when == "call" else []
    if call.excinfo is not None and isinstance(call.excinfo.value, HarnessBroken):
        checks = [_unblamed(each) for each in checks]
    verdict, reason, blame = _verdict(call, report, checks)
    if acted is not None:
        reason = acted.aviary.search.redacted(reason.encode()).decode(errors="replace")
        setattr(report, "broods", [[each.tenant, each.generation] for each in acted.aviary.told])  # noqa: B010
    line = ScenarioLine(
        scenario=item.nodeid,
        verdict=verdict.value,
        reason=reason,
        boots=list(acted.boots) if acted is not None else [],
        examples=acted.examples if acted is not None else 0,
        seconds={"total": round(call.duration, 3), **(acted.seconds() if acted is not None else {})},
        reproduce=again,
        worker=_worker(item),
        blame=blame,
    )
    setattr(report, "conformance", [*map(asdict, checks), asdict(line)])  # noqa: B010 - TestReport declares no such attribute
    if report.failed and acted is not None and call.when == "call":
        keep_artifacts(acted, folder)
        if call.excinfo is not None and isinstance(call.excinfo.value, ContractBroken):
            report.longrepr = _narrative(call.excinfo.value, acted, folder, again)
        else:
            report.sections.append(("to reproduce", f"{again}\nartifacts: {shown(folder)}"))


def reproduction(item: pytest.Item, choices: Choices) -> str:
    """The one command that runs just this scenario again."""
    words = ["pytest", item.nodeid, *_options(item, choices)]
    option = item.config.option
    for name in ("template", "skills"):
        for given in getattr(option, name):
            words += [f"--{name}", given]
    return shlex.join(words)


def _options(item: pytest.Item, choices: Choices) -> list[str]:
    """What the run was told of the implementation and of where it runs."""
    words = ["--runtime", choices.runtime]
    option = item.config.option
    for name in ("implementation", "mutant", "variant", "advertise_host"):
        if (given := getattr(option, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(given)]
    if (at := choices.engine_of(_worker(item))) is not None:
        words += ["--engine", at]
    return [*words, "--strict"] if item.config.getini("strict") else words


def _worker(item: pytest.Item) -> str:
    return str(getattr(item.config, "workerinput", {}).get("workerid", "main"))


def _verdict(
    call: pytest.CallInfo[None], report: pytest.TestReport, checks: Iterable[CheckLine]
) -> tuple[Verdict, str, Blame]:
    """What the scenario came to, why, and who is to blame."""
    verdicts = {check.verdict for check in checks}
    if report.passed:
        return (Verdict.WAIVED if Verdict.WAIVED in verdicts else Verdict.PASS), "", ""
    ended = call.excinfo.value if call.excinfo is not None else None
    reason = str(ended or "")[:2000]
    if report.skipped:
        return (
            (Verdict.NOT_APPLICABLE if reason.startswith(NOT_APPLICABLE) else Verdict.COULD_NOT_RUN),
            reason,
            "",
        )
    # What goes wrong in a scenario behind a check that failed comes of that, unless the harness says that it broke.
    failed = bool(verdicts & {Verdict.FAIL, Verdict.WAIVED}) and not isinstance(ended, HarnessBroken)
    if failed or isinstance(ended, AssertionError | Refused):
        return Verdict.FAIL, reason, "implementation"
    return Verdict.COULD_NOT_RUN, reason, "implementation" if _answers_no_more(ended) else "harness"


def _answers_no_more(ended: BaseException | None) -> bool:
    """Whether a scenario ended with a platform that did not come up, went away, or does not speak its own API."""
    from harness.world.cloud import (
        CloudProblem,
    )  # with the whole world, which the controller of a run does not need

    return isinstance(ended, CloudProblem | httpx.HTTPError | json.JSONDecodeError)


def _unblamed(check: CheckLine) -> CheckLine:
    """The same where the harness broke: what failed may have failed by that."""
    failed = check.verdict in {Verdict.FAIL, Verdict.WAIVED}
    return replace(check, verdict=Verdict.COULD_NOT_RUN.value) if failed else check


def _folder(item: pytest.Item, run: str) -> Path:
    reports: Path = item.config.rootpath / item.config.option.reports
    return artifacts_of(reports / run, item.nodeid)


def shown(path: Path) -> str:
    """As a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _narrative(broken: ContractBroken, acted: Scenario, folder: Path, again: str) -> str:
    parts = [str(broken)]
    for instance, console in acted.consoles().items():
        shown_console = acted.aviary.search.redacted(console)
        tail = shown_console.decode(errors="replace").splitlines()[-CONSOLE_TAIL:]
        parts.append("\n".join((f"the end of the console of {instance}:", *(f"  | {line}" for line in tail))))
    if acted.counterexample is not None:
        parts.append(f"the example: {acted.counterexample}")
    parts.append(
        f"boots:     {', '.join(acted.boots) or 'none'}\nartifacts: {shown(folder)}\nreproduce: {again}"
    )
    return "\n\n".join(parts)


def lines_of(report: Any) -> list[dict[str, Any]]:
    """The ledger's lines that `record` put on a report, wherever it came from."""
    lines: list[dict[str, Any]] = getattr(report, "conformance", [])
    return lines


def broods_of(report: Any) -> list[Brood]:
    """Whose secrets a scenario let out, from its report, wherever it came from."""
    return [Brood(tenant, generation) for tenant, generation in getattr(report, "broods", ())]


def crash_of(report: Any) -> list[dict[str, Any]]:
    """The line of a scenario whose worker crashed, so that nobody was left to record it; else none."""
    crashed = (
        report.failed and report.when not in {"setup", "call", "teardown"} and "scenarios/" in report.nodeid
    )
    if not crashed:
        return []
    line = ScenarioLine(
        scenario=report.nodeid,
        verdict=Verdict.COULD_NOT_RUN.value,
        reason=str(report.longrepr)[:2000],
        boots=[],
        examples=0,
        seconds={"total": 0.0},
        reproduce=shlex.join(["pytest", report.nodeid]),
        worker="crashed",
        blame="harness",
    )
    return [asdict(line)]
