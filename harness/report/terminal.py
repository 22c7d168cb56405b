"""The end of a run on the terminal: the requirements it touched, and what they came to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.contract.requirements import Contract

from .conclusion import Conclusion, Outcome
from .ledger import CheckLine, ScenarioLine, Verdict, verdicts_by_requirement

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.proof.coverage import Coverage

MARKS = {
    Verdict.PASS: ("pass", {"green": True}),
    Verdict.FAIL: ("FAIL", {"red": True, "bold": True}),
    Verdict.WAIVED: ("waived", {"yellow": True}),
    Verdict.COULD_NOT_RUN: ("could not run", {"yellow": True}),
    Verdict.NOT_APPLICABLE: ("not applicable", {"cyan": True}),
}
SHOULD_FAIL = ("should", {"yellow": True})
OUTCOMES = {
    Outcome.FAILS: ("FAILS: this does not conform", {"red": True, "bold": True}),
    Outcome.BROKEN: (
        "BROKEN: the harness itself went wrong, so this says nothing",
        {"red": True, "bold": True},
    ),
    Outcome.NOTHING_RAN: ("NOTHING RAN, so this says nothing", {"red": True, "bold": True}),
    Outcome.INCOMPLETE: (
        "INCOMPLETE: what ran holds; this passes no gate, is never signed, and proves nothing of what it left out",
        {"yellow": True},
    ),
    Outcome.CONFORMS: ("CONFORMS", {"green": True, "bold": True}),
}
MAX_NAMED_SCENARIOS = 24
"""Above this many scenarios only the slowest are named."""
TEXT_WIDTH = 84


def write_summary(
    terminal: TerminalReporter,
    contract: Contract,
    checks: Sequence[CheckLine],
    scenarios: Sequence[ScenarioLine],
) -> None:
    """Scenarios with their boots, then a line for each requirement that was touched, then the count of the others."""
    terminal.section("scenarios and their boots")
    for line in _named(scenarios):
        name = line.scenario.split("::", 1)[-1]
        took = f"{line.seconds['total']:.1f} s"
        word, colour = MARKS[Verdict(line.verdict)]
        terminal.write_line(
            f"{word:5} {name}: {took}; {', '.join(line.boots) or line.reason or 'no boot'}"[:200], **colour
        )
    if len(scenarios) > MAX_NAMED_SCENARIOS:
        total = sum(len(line.boots) for line in scenarios)
        terminal.write_line(f"      … the slowest of {len(scenarios)} scenarios, which made {total} boots")
    _write_times(terminal, scenarios)
    terminal.section(f"requirements of contract {contract.revision}")
    verdicts = verdicts_by_requirement(checks, contract.requirements)
    for name, (verdict, counts) in verdicts.items():
        if verdict is Verdict.NOT_EXERCISED:
            continue
        mild = verdict is Verdict.FAIL and contract.requirements[name].level == "SHOULD"
        word, colour = SHOULD_FAIL if mild else MARKS[verdict]
        made = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        text = _shortened(contract.requirements[name].text)
        terminal.write_line(f"{name:8} {word:15} {text:{TEXT_WIDTH}} ({made})", **colour)
    tally = {
        verdict: [name for name, (found, _) in verdicts.items() if found is verdict] for verdict in Verdict
    }
    terminal.write_line("")
    terminal.write_line(
        "; ".join(f"{len(tally[verdict])} {verdict}" for verdict in reversed(Verdict) if tally[verdict])
    )
    if tally[Verdict.NOT_EXERCISED]:
        terminal.write_line(f"not exercised: {' '.join(tally[Verdict.NOT_EXERCISED])}")


def _write_times(terminal: TerminalReporter, scenarios: Sequence[ScenarioLine]) -> None:
    """Where the workers' time went. Boots run side by side within a scenario, so machine starts are a share of them."""
    spent: defaultdict[str, float] = defaultdict(float)
    for line in scenarios:
        for part, seconds in line.seconds.items():
            spent[part] += seconds
    boots = sum(len(line.boots) for line in scenarios)
    if not boots or not spent["boots"]:
        return
    starts = min(spent["machine starts"], spent["boots"])
    rows = {
        "world (templates, tenants, edits)": spent["world"],
        "machine start": starts,
        "implementation": spent["boots"] - starts,
        "assertions": spent["assertions"],
        "teardown": spent["teardown"],
    }
    rows["everything else"] = max(0.0, spent["total"] - sum(rows.values()))
    terminal.section("where the time went")
    for name, seconds in rows.items():
        terminal.write_line(f"{name:34} {seconds:8.1f} s {seconds / spent['total']:5.0%}")
    terminal.write_line(
        f"{boots} boots, for each of which the platform was waited for {spent['boots'] / boots:.2f} s; "
        f"scenarios cost {spent['total'] / spent['boots']:.2f} times that"
    )
    generated = [line for line in scenarios if line.examples]
    if generated:
        examples = sum(line.examples for line in generated)
        took = sum(line.seconds["total"] for line in generated)
        terminal.write_line(
            f"{examples} generated examples, in {len(generated)} scenarios of {took:.1f} s: "
            f"{examples / took:.2f} a second"
        )


def write_conclusion(terminal: TerminalReporter, conclusion: Conclusion) -> None:
    """What is waived or only warned of, what the run comes to, and why."""
    for note in conclusion.notes:
        terminal.write_line(note, yellow=True)
    words, colour = OUTCOMES[conclusion.outcome]
    terminal.write_line(words, **colour)
    for reason in conclusion.reasons:
        terminal.write_line(f"  - {reason}", **colour)


def write_coverage(terminal: TerminalReporter, coverage: Coverage | None) -> None:
    """How much of the implementation's source the scenarios reached, and where that is little."""
    terminal.section("how far the scenarios reach")
    if coverage is None:
        terminal.write_line("nothing was measured: no process of the implementation left any data", red=True)
        return
    for module in coverage.thin:
        terminal.write_line(
            f"{module.percent:5.1f} %  {module.module} ({module.lines} statements)", yellow=True
        )
    if coverage.never_loaded:
        terminal.write_line(f"never loaded, or run without site: {', '.join(coverage.never_loaded)}")
    terminal.write_line(
        f"{coverage.percent:5.1f} %  of lines and branches, in {len(coverage.modules)} modules, "
        f"{len(coverage.thin)} of them below 90 %"
    )


def _named(scenarios: Sequence[ScenarioLine]) -> Iterable[ScenarioLine]:
    if len(scenarios) <= MAX_NAMED_SCENARIOS:
        return scenarios
    bad = [line for line in scenarios if line.verdict != Verdict.PASS]
    slow = sorted(scenarios, key=lambda line: line.seconds["total"], reverse=True)[:8]
    return {line.scenario: line for line in (*bad, *slow)}.values()


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else f"{text[: TEXT_WIDTH - 1]}…"
