"""What a run comes to: whether the implementation conforms, why not, and what CI is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from harness.contract.requirements import Contract

from .ledger import CheckLine, Ledger, ScenarioLine, Verdict, WaiverLine

MAX_NAMED = 3
"""Of scenarios or requirements that one thing is wrong with, so many are named."""
MAX_LINE = 400


class Outcome(Enum):
    """Where several are true of a run, the first counts."""

    FAILS = "fails"
    """A requirement does not hold, or a waiver may not stand."""
    BROKEN = "harness broke"
    """The harness itself went wrong, or the ledger is not whole."""
    NOTHING_RAN = "nothing ran"
    INCOMPLETE = "incomplete"
    """What ran holds, but something could not run, or less ran than the manifest calls for."""
    CONFORMS = "conforms"


EXIT_STATUS = {
    Outcome.FAILS: 1,
    Outcome.BROKEN: 3,
    Outcome.NOTHING_RAN: 5,
    Outcome.INCOMPLETE: 0,
    Outcome.CONFORMS: 0,
}
INTERRUPTED = 2
INCOMPLETE_AT_THE_GATE = 6


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Of one run. Reasons and notes are lines for people."""

    outcome: Outcome
    reasons: list[str]
    """All that keeps the run from conforming, the worst first; how to get what is missing."""
    notes: list[str]
    """What does not keep it from that and must be seen all the same: what is waived, a SHOULD that does not hold."""
    interrupted: bool

    @property
    def signable(self) -> bool:
        """Whether it is a whole run of the implementation as it is, in containers, that conforms."""
        return self.outcome is Outcome.CONFORMS

    def exit_status(self, *, gate: bool) -> int:
        """`gate` is whether an incomplete run is as bad as a failed one."""
        if self.interrupted:
            return INTERRUPTED
        if gate and self.outcome is Outcome.INCOMPLETE:
            return INCOMPLETE_AT_THE_GATE
        return EXIT_STATUS[self.outcome]


def conclude(ledger: Ledger, contract: Contract, *, strict: bool = False) -> Conclusion:
    """`strict` is whether a SHOULD that does not hold fails the run; so it does too where the run was a strict one.

    Raises LedgerProblem where the run was judged by another contract.
    """
    ledger.require_words_of(contract)
    strict = strict or ledger.header.strict
    fatal = {name for name, each in contract.requirements.items() if strict or each.level == "MUST"}
    broken, missing = list(_broken(ledger)), list(_missing(ledger, contract))
    failing = [
        *_requirements(ledger, fatal, "does not hold"),
        *_unjudged(ledger, fatal),
        *(
            f"the waiver has expired, so mend what it was for or renew it: {waiver}"
            for waiver in ledger.waivers
            if not waiver.holds_on(ledger.header.started)
        ),
    ]
    nothing = [] if any(map(_ran, ledger.scenarios)) else ["no scenario ran, so nothing was judged"]
    idle = [f"nothing fails of what is waived: {waiver}" for waiver in _idle_waivers(ledger)]
    notes = [
        *_requirements(ledger, contract.requirements.keys() - fatal, "is a SHOULD that does not hold"),
        *(
            f"waived, {_count(ledger, waiver)}: {waiver}"
            for waiver in ledger.waivers
            if _count(ledger, waiver)
        ),
    ]
    if failing or broken or nothing or missing:
        # What was left out, or ended early, may be what it is for.
        notes += [f"{line}; a whole run would fail by it" for line in idle]
    else:
        failing = [f"{line}; the waiver is stale, so remove it" for line in idle]
    found = {
        Outcome.FAILS: failing,
        Outcome.BROKEN: broken,
        Outcome.NOTHING_RAN: nothing,
        Outcome.INCOMPLETE: missing,
    }
    return Conclusion(
        outcome=next((outcome for outcome, lines in found.items() if lines), Outcome.CONFORMS),
        reasons=[line for lines in found.values() for line in lines],
        notes=notes,
        interrupted=ledger.footer.interrupted,
    )


def _requirements(ledger: Ledger, which: Container[str], verb: str) -> Iterator[str]:
    """Those of them that a check found not to hold."""
    failed: defaultdict[str, list[CheckLine]] = defaultdict(list)
    for line in ledger.checks:
        if line.verdict == Verdict.FAIL and line.requirement in which:
            failed[line.requirement].append(line)
    for requirement, lines in failed.items():
        checks = ", ".join(sorted({line.check for line in lines}))
        yield f"{requirement} {verb}: {checks}, in {_named(line.scenario for line in lines)}"


def _unjudged(ledger: Ledger, fatal: Container[str]) -> Iterator[str]:
    """Scenarios that the implementation is to blame for, in which no check says so."""
    said = {
        line.scenario for line in ledger.checks if line.verdict == Verdict.FAIL and line.requirement in fatal
    }
    yield from _by_reason(
        line
        for line in ledger.scenarios
        if line.scenario not in said and (line.verdict == Verdict.FAIL or line.blame == "implementation")
    )


def _broken(ledger: Ledger) -> Iterator[str]:
    for what, lines, said in (
        ("scenarios", ledger.scenarios, ledger.footer.scenarios),
        ("checks", ledger.checks, ledger.footer.checks),
    ):
        counted = Counter(line.verdict for line in lines)
        if counted != Counter(said):
            yield f"the ledger is not whole: its footer counts {_tally(said)} {what}, and it holds {_tally(counted)}"
    yield from ledger.footer.defects
    yield from _by_reason(line for line in ledger.scenarios if line.blame == "harness")


def _missing(ledger: Ledger, contract: Contract) -> Iterator[str]:
    """What a whole run of the implementation would have beyond this one, and how to get it."""
    header, footer = ledger.header, ledger.footer
    if footer.interrupted:
        yield "the run was interrupted"
    if header.mutant is not None:
        yield f"judged was the mutant {header.mutant}, not the implementation as it is; leave out --mutant"
    if header.runtime != "docker":
        yield (
            f"machines ran on the runtime `{header.runtime}`, where not every fault can be made; "
            "use --runtime docker"
        )
    ran = len({line.scenario for line in ledger.scenarios})
    if header.shard is not None:
        yield f"it is shard {header.shard} only; join all of them with harness merge"
    elif footer.expected is None:
        yield "it is not known how many scenarios there are"
    elif ran != footer.expected:
        yield f"{ran} of {footer.expected} scenarios that were collected ran"
    if header.selection:
        yield f"the run was narrowed; leave out: {header.selection}"
    yield from _by_reason(line for line in ledger.scenarios if _lacked(line))
    lacking: defaultdict[str, set[str]] = defaultdict(set)
    for check in ledger.checks:
        if check.verdict == Verdict.COULD_NOT_RUN:
            lacking[check.saw].add(check.check)
    for saw, checks in lacking.items():
        yield _line(f"{_named(sorted(checks))} could not be checked: {saw}")
    inapplicable = any(line.verdict == Verdict.NOT_APPLICABLE for line in ledger.scenarios)
    unexercised = contract.requirements.keys() - {line.requirement for line in ledger.checks}
    if unexercised and not inapplicable and ran == footer.expected and not header.selection:
        yield f"no check was made of {', '.join(each for each in contract.requirements if each in unexercised)}"


def _idle_waivers(ledger: Ledger) -> list[WaiverLine]:
    """Those that hold, and let nothing pass."""
    return [
        waiver
        for waiver in ledger.waivers
        if waiver.holds_on(ledger.header.started) and not _count(ledger, waiver)
    ]


def _count(ledger: Ledger, waiver: WaiverLine) -> int:
    """How many failed checks it let pass."""
    return sum(
        line.verdict == Verdict.WAIVED and waiver.covers(line.requirement, line.check)
        for line in ledger.checks
    )


def _ran(line: ScenarioLine) -> bool:
    return line.verdict != Verdict.COULD_NOT_RUN


def _lacked(line: ScenarioLine) -> bool:
    """Whether it could not run, and nobody is to blame."""
    return not _ran(line) and not line.blame


def _by_reason(lines: Iterable[ScenarioLine]) -> Iterator[str]:
    """Scenarios of the same end in one line."""
    alike: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for line in lines:
        alike[line.verdict, line.reason.strip().partition("\n")[0]].append(line.scenario)
    for (verdict, reason), scenarios in alike.items():
        told = reason if reason.startswith(verdict) else f"{verdict}: {reason}"
        yield _line(f"{_named(scenarios)} {told}")


def _named(names: Iterable[str]) -> str:
    """The first few, without what comes before the name of a scenario."""
    short = list(dict.fromkeys(name.split("::", 1)[-1] for name in names))
    more = f" and {len(short) - MAX_NAMED} more" if len(short) > MAX_NAMED else ""
    return ", ".join(short[:MAX_NAMED]) + more


def _tally(counts: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "no"


def _line(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"
