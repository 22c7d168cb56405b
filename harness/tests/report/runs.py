"""Runs as their ledgers tell them, to be spoilt one way at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.contract.requirements import load_contract
from harness.report.ledger import (
    CheckLine,
    Footer,
    Header,
    Ledger,
    ScenarioLine,
    Verdict,
    WaiverLine,
    Writer,
)

CONTRACT = load_contract()
SCENARIO = "scenarios/test_it.py::test_it[minimal-git]"


def check(
    requirement: str = "HEAL-1",
    verdict: Verdict = Verdict.PASS,
    scenario: str = SCENARIO,
    at: str = "restart",
    **more: Any,
) -> CheckLine:
    name = f"{requirement.lower().replace('-', '_')}_holds"
    return CheckLine(scenario, at, name, requirement, verdict.value, "what there was", **more)


def scenario(
    name: str = SCENARIO,
    verdict: Verdict = Verdict.PASS,
    reason: str = "",
    boots: Sequence[str] = ("provision 1.0 s",),
    **more: Any,
) -> ScenarioLine:
    return ScenarioLine(
        name,
        verdict.value,
        reason,
        list(boots),
        0,
        {"total": 1.5},
        f"pytest '{name}'",
        "main",
        **more,
    )


def waiver(requirement: str = "HEAL-1", check: str = "", expires: str = "2026-06-30") -> WaiverLine:
    return WaiverLine(requirement, check, "It is being mended", "Ada", "https://issues.example/7", expires)


def run(
    checks: Iterable[CheckLine] = (),
    scenarios: Iterable[ScenarioLine] = (),
    waivers: Iterable[WaiverLine] = (),
    *,
    footer: dict[str, Any] | None = None,
    **header: Any,
) -> Ledger:
    """A whole run in containers in which every requirement holds, with these lines in place of and beside its own."""
    own = list(checks)
    said = {line.requirement for line in own}
    all_checks = (*own, *(check(each) for each in CONTRACT.requirements if each not in said))
    all_scenarios = tuple(scenarios) or (scenario(),)
    return Ledger(
        replace(
            Header(
                run="abc", started="2026-06-01T12:00:00+00:00", contract=CONTRACT.revision,
                contract_digest=CONTRACT.digest, implementation="other", implementation_version="3",
                harness_version="0.1.0", runtime="docker", transports=["git"], templates=["minimal"], environment={},
            ),
            **header,
        ),
        all_checks,
        all_scenarios,
        replace(
            Footer(
                finished="2026-06-01T12:10:00+00:00", exit_status=0,
                scenarios=dict(Counter(line.verdict for line in all_scenarios)),
                checks=dict(Counter(line.verdict for line in all_checks)),
                expected=len({line.scenario for line in all_scenarios}),
            ),
            **(footer or {}),
        ),
        tuple(waivers),
    )  # fmt: skip


def written(ledger: Ledger, path: Path) -> Path:
    """The file that a run of this ledger leaves."""
    writer = Writer(path, ledger.header, ledger.waivers)
    for line in (*map(asdict, ledger.checks), *map(asdict, ledger.scenarios)):
        writer.add(line)
    writer.close(ledger.footer)
    return path
