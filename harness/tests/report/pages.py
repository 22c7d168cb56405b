"""Runs made up for the tests of what is shown of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.contract.requirements import load_contract
from harness.report.ledger import CheckLine, Footer, Header, Ledger, ScenarioLine, Verdict

CONTRACT = load_contract()
HEADER = Header(
    run="abc", started="2026-01-01T00:00:00+00:00", contract=CONTRACT.revision, contract_digest=CONTRACT.digest,
    implementation="reference", implementation_version="0.1.0", harness_version="0.1.0", runtime="process",
    transports=["git"], templates=["minimal"], environment={},
)  # fmt: skip

SUITES = (
    "allowlist", "auto_heal", "boundary", "bounds", "concierge", "failing_volume", "failing_well", "faults",
    "fresh_provision", "generated_templates", "killed_boot", "large_skills", "load", "migration", "missing_config",
    "observability", "restart", "restore", "template_history", "user_edits",
)  # fmt: skip


def check(
    requirement: str,
    verdict: Verdict = Verdict.PASS,
    *,
    name: str | None = None,
    scenario: str = "scenarios/test_it.py::test_it",
    step: str = "restart (boot 2 of ws-1)",
    saw: str = "what it saw",
    problems: Sequence[str] = (),
    universal: bool = False,
) -> CheckLine:
    """A check; one that failed has a problem."""
    if verdict is Verdict.FAIL and not problems:
        problems = ["it does not hold"]
    return CheckLine(
        scenario=scenario, step=step, check=name or f"{requirement.lower().replace('-', '_')}_holds",
        requirement=requirement, verdict=verdict.value, saw=saw, problems=list(problems), universal=universal,
    )  # fmt: skip


def scenario(
    name: str = "scenarios/test_it.py::test_it",
    verdict: Verdict = Verdict.PASS,
    *,
    reason: str = "",
    boots: Sequence[str] = ("provision 1.0 s", "restart 0.5 s"),
    seconds: dict[str, float] | None = None,
    reproduce: str | None = None,
) -> ScenarioLine:
    """A scenario of 2.5 seconds, 1.5 of them boots."""
    spent = {
        "total": 2.5, "world": 0.2, "boots": 1.5, "machine starts": 0.4, "assertions": 0.5, "teardown": 0.2
    }  # fmt: skip
    return ScenarioLine(
        name, verdict.value, reason, list(boots), 0, seconds or spent, reproduce or f"pytest '{name}'", "main"
    )


def ledger(*lines: CheckLine | ScenarioLine, header: Header = HEADER, exit_status: int = 0) -> Ledger:
    """A whole run of a minute and a quarter."""
    checks = tuple(line for line in lines if isinstance(line, CheckLine))
    scenarios = tuple(line for line in lines if isinstance(line, ScenarioLine))
    return Ledger(
        header,
        checks,
        scenarios,
        Footer(
            "2026-01-01T00:01:15+00:00",
            exit_status,
            dict(Counter(line.verdict for line in scenarios)),
            dict(Counter(line.verdict for line in checks)),
            expected=len(scenarios),
        ),
    )


def large_run(*, failing: int = 3) -> Ledger:
    """250 scenarios in 20 suites with 20,000 checks, as the whole suite makes them; the first few fail."""
    names = list(CONTRACT.requirements)
    lines: list[CheckLine | ScenarioLine] = []
    for number in range(250):
        suite, template = SUITES[number % 20], ("concierge", "minimal", "seo-agent")[number % 3]
        function = f"test_what_must_hold_{number // 60}_holds_whatever_comes"
        name = f"scenarios/test_{suite}.py::{function}[{template}-{number}]"
        fails, left_out = number < failing, number == 100
        for made in range(80):
            own = made < 6
            requirement = names[(number * 7 + made * 11) % len(names) if own else made % 30]
            bad = fails and made in {0, 1, 40}
            lines.append(
                check(
                    requirement,
                    Verdict.FAIL if bad else Verdict.PASS,
                    scenario=name,
                    name=f"{requirement.lower().replace('-', '_')}_{'what_it_claims' if own else 'always_holds'}",
                    step=f"restart (boot {made // 10 + 1} of ws-{number:08x}…)",
                    saw=f"{made} files compared",
                    problems=[f"agent-skills/audit/{part}.md: missing" for part in range(12)] if bad else [],
                    universal=not own,
                )
            )
        total = 3 + (number * 37 % 90) / 10
        lines.append(
            scenario(
                name,
                Verdict.FAIL if fails else Verdict.COULD_NOT_RUN if left_out else Verdict.PASS,
                reason="a full volume needs a container engine" if left_out else "",
                boots=["provision 1.2 s", "restart 0.8 s", "auto-heal 2.1 s"][: number % 3 + 1],
                seconds={
                    "total": total, "world": 0.1 * total, "boots": 0.6 * total, "machine starts": 0.2 * total,
                    "assertions": 0.2 * total, "teardown": 0.05 * total,
                },
            )
        )  # fmt: skip
    return ledger(*lines, exit_status=1 if failing else 0)
