"""Mutants and runs that never were, to judge what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.proof.mutant import Mutant
from harness.proof.suite_run import SuiteRun
from harness.report.ledger import CheckLine, Footer, Header, Ledger, ScenarioLine, Verdict


def mutant(*caught_by: str, name: str = "volume-reused", **more: Any) -> Mutant:
    return Mutant(
        name=name,
        breaks="It breaks.",
        caught_by=caught_by,
        scenarios="config",
        folder=Path("/mutants") / name,
        **more,
    )


def check(
    requirement: str, verdict: Verdict, *, universal: bool = False, problem: str = "missing"
) -> CheckLine:
    return CheckLine(
        scenario="",
        step="restart",
        check=requirement.lower().replace("-", "_") + "_holds",
        requirement=requirement,
        verdict=verdict.value,
        saw="a volume",
        problems=[problem] if verdict is Verdict.FAIL else [],
        universal=universal,
    )


def ledger(
    scenarios: Mapping[str, tuple[Verdict, list[CheckLine]]], *, reasons: Mapping[str, str] | None = None
) -> Ledger:
    """Of scenarios by id, each with its verdict and its checks."""
    header = Header("1a2b", "now", "1.0", "d", "reference", "0.1.0", "0.1.0", "process", [], [], {})
    reasons = reasons or {}
    return Ledger(
        header,
        tuple(
            CheckLine(**{**{slot: getattr(line, slot) for slot in CheckLine.__slots__}, "scenario": name})
            for name, (_, checks) in scenarios.items()
            for line in checks
        ),
        tuple(
            ScenarioLine(
                name,
                verdict.value,
                reasons.get(name, ""),
                [],
                0,
                {"total": 2.0},
                f"pytest {name}",
                "main",
                blame="implementation" if verdict is Verdict.FAIL else "",
            )
            for name, (verdict, _) in scenarios.items()
        ),
        Footer("now", 1, {}, {}),
    )


def run_of(scenarios: Mapping[str, tuple[Verdict, list[CheckLine]]], *, applied: bool = True) -> SuiteRun:
    return SuiteRun(ledger(scenarios), applied=applied)
