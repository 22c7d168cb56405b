"""The run on one page of Markdown, as a reviewer of a change reads it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract.requirements import Contract

from .conclusion import conclude
from .ledger import Ledger, ScenarioLine, Verdict, verdicts_by_requirement

MAX_SCENARIOS = 20
"""Of scenarios that did not pass, so many are shown."""


def summary(ledger: Ledger, contract: Contract) -> str:
    """Raises LedgerProblem where the run was judged by another contract."""
    conclusion = conclude(ledger, contract)
    lines = [
        f"## Conformance: {conclusion.outcome.value}",
        "",
        _what(ledger),
        "",
        *(f"- {_plain(each)}" for each in (*conclusion.reasons, *conclusion.notes)),
        "",
        "| requirement | verdict | checks | |",
        "|---|---|---|---|",
        *_rows(ledger, contract),
        "",
        *_bad(ledger),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _what(ledger: Ledger) -> str:
    header, expected = ledger.header, ledger.footer.expected
    ran = len({line.scenario for line in ledger.scenarios})
    return (
        f"{_plain(header.implementation)} {_plain(header.implementation_version)}, contract {header.contract}, "
        f"harness {header.harness_version}, runtime {header.runtime}, run `{header.run}`: "
        f"{ran} of {'?' if expected is None else expected} scenarios, {len(ledger.checks)} checks."
    )


def _rows(ledger: Ledger, contract: Contract) -> Iterator[str]:
    """The worst first."""
    verdicts = verdicts_by_requirement(ledger.checks, contract.requirements)
    for name, (verdict, counts) in sorted(verdicts.items(), key=lambda each: -each[1][0].rank):
        shown = f"**{verdict}**" if verdict in {Verdict.FAIL, Verdict.WAIVED} else verdict
        made = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        requirement = contract.requirements[name]
        yield f"| {name} | {shown} | {made} | {requirement.level}: {_plain(requirement.text)} |"


def _bad(ledger: Ledger) -> Iterator[str]:
    """Scenarios that failed or broke, each with the command that shows it again."""
    bad = [line for line in ledger.scenarios if line.verdict == Verdict.FAIL or line.blame]
    for line in bad[:MAX_SCENARIOS]:
        yield from _one(line)
    if len(bad) > MAX_SCENARIOS:
        yield f"… and {len(bad) - MAX_SCENARIOS} more scenarios"


def _one(line: ScenarioLine) -> Iterator[str]:
    fence = "```"
    while fence in line.reason or fence in line.reproduce:
        fence += "`"
    yield from (
        "<details>",
        f"<summary>{_plain(line.scenario)}: {line.verdict}</summary>",
        "",
        fence,
        line.reason.strip(),
        "",
        line.reproduce,
        fence,
        "",
        "</details>",
        "",
    )


def _plain(text: str) -> str:
    """On one line, where nothing of it is taken for HTML or for the end of a cell."""
    text = " ".join(text.split())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
