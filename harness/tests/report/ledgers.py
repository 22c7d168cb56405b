"""Invented ledgers of runs in which all is well, unless a test changes that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.contract.requirements import load_contract
from harness.report.ledger import CheckLine, Footer, Header, Ledger, ScenarioLine, Verdict, WaiverLine
from harness.report.shard import population

CONTRACT = load_contract()
SCENARIOS = tuple(f"scenarios/test_a.py::test_{name}" for name in "abcdefgh")
IMAGE = f"registry.example/platform/machine:1@sha256:{'1' * 64}"


def ledger(
    scenarios: tuple[str, ...] = SCENARIOS,
    *,
    verdicts: Mapping[str, Verdict] | None = None,
    requirements: Sequence[str] = tuple(CONTRACT.requirements),
    waivers: tuple[WaiverLine, ...] = (),
    footer: Mapping[str, Any] | None = None,
    **header: Any,
) -> Ledger:
    """Each scenario checks some requirements, and passes except as `verdicts` has it; the rest is what differs."""
    ended = {name: (verdicts or {}).get(name, Verdict.PASS).value for name in scenarios}
    checks = tuple(
        CheckLine(name, "provision", "it_holds", requirement, verdict, "it")
        for name, verdict in ended.items()
        for requirement in requirements[SCENARIOS.index(name) :: len(SCENARIOS)]
    )
    return Ledger(
        Header(
            **{
                "run": "abc",
                "started": "2026-01-01T00:00:00+00:00",
                "contract": CONTRACT.revision,
                "contract_digest": CONTRACT.digest,
                "implementation": "platform",
                "implementation_version": "2026.1",
                "harness_version": "0.1.0",
                "runtime": "docker",
                "transports": ["git"],
                "templates": ["minimal"],
                "environment": {"python": "3.11.7", "arguments": "scenarios"},
                "images": [IMAGE],
                "template_digests": {"minimal": "2" * 64},
                "template_commits": {"minimal": "3" * 40},
                "harness_commit": "4" * 40,
                "seeds": {"--examples": "ci", "--randomly-seed": "7"},
                **header,
            }
        ),
        checks,
        tuple(
            ScenarioLine(name, verdict, "", ["provision 1.0 s"], 0, {"total": 1.0}, "pytest it", "main")
            for name, verdict in ended.items()
        ),
        Footer(
            **{
                "finished": "2026-01-01T01:00:00+00:00",
                "exit_status": 0,
                "scenarios": dict(Counter(ended.values())),
                "checks": dict(Counter(line.verdict for line in checks)),
                "expected": len(SCENARIOS),
                **(footer or {}),
            }
        ),
        waivers,
    )


def shards(of: int = 4, verdicts: Mapping[str, Verdict] | None = None, **header: Any) -> list[Ledger]:
    """Those of one run of all scenarios, made in any order."""
    return [
        ledger(
            SCENARIOS[number - 1 :: of],
            verdicts=verdicts,
            footer={"population": population(SCENARIOS)},
            shard=f"{number}/{of}",
            **{"run": f"run{number}", **header},
        )
        for number in range(1, of + 1)
    ]
