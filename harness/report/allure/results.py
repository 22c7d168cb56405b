"""A ledger as Allure's test results: one for each scenario, and one for what the run comes to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from allure_commons.model2 import Label, Link, Parameter, StatusDetails, TestResult
from allure_commons.types import LabelType, LinkType, Severity

from harness.contract.requirements import Contract, Requirement

from ..conclusion import conclude
from ..junit import VERDICT
from ..ledger import CheckLine, Header, Ledger, ScenarioLine, Verdict, WaiverLine
from ..page.references import references
from ..page.write import PAGE
from .clock import Clock
from .steps import boot_steps
from .text import sound
from .verdicts import OUTCOMES, message_of, status_of

SEVERITIES = {"MUST": Severity.CRITICAL, "SHOULD": Severity.NORMAL}


@dataclass(frozen=True, slots=True)
class Result:
    """A test result, and the scenario (its node id) that it is of; None where it is of the whole run."""

    scenario: str | None
    verdict: Verdict | None
    result: TestResult


def results(ledger: Ledger, contract: Contract) -> Iterator[Result]:
    """In the order of the ledger, the run's own last. Raises LedgerProblem where another contract judged it.

    A scenario of two lines, since its teardown failed, is one result: it came to the worse of both.
    """
    ledger.require_words_of(contract)
    said: dict[str, list[ScenarioLine]] = {}
    for line in ledger.scenarios:
        said.setdefault(line.scenario, []).append(line)
    made: dict[str, list[CheckLine]] = {}
    for check in ledger.checks:
        made.setdefault(check.scenario, []).append(check)
    clock = Clock(ledger.header)
    for name, lines in said.items():
        worst = max(lines, key=lambda line: Verdict(line.verdict).rank)
        yield Result(
            name,
            Verdict(worst.verdict),
            _scenario(lines[0], worst, made.get(name, []), ledger, contract, clock),
        )
    yield Result(None, None, _whole(ledger, contract))


def stable_id(name: str) -> str:
    """Of a scenario (its node id), the same in every run: by it Allure finds it again in earlier ones."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _scenario(
    first: ScenarioLine,
    worst: ScenarioLine,
    checks: Sequence[CheckLine],
    ledger: Ledger,
    contract: Contract,
    clock: Clock,
) -> TestResult:
    verdict = Verdict(worst.verdict)
    reference = references([(first.scenario, verdict)])[first.scenario]
    start, stop = clock.span(first.worker, first.seconds["total"])
    about = [contract.requirements[name] for name in _stories(checks)]
    waivers = _waivers(checks, ledger.waivers)
    reason = "\n".join(map(str, waivers)) if verdict is Verdict.WAIVED else worst.reason
    result = _result(first.scenario, ledger.header)
    result.name = sound(first.scenario.partition("::")[2])
    result.titlePath = [sound(reference.suite)]
    result.status = status_of(verdict, worst.blame)
    if verdict is not Verdict.PASS:
        result.statusDetails = StatusDetails(
            known=bool(waivers), message=sound(message_of(verdict, reason)), trace=sound(reason)
        )
    result.description = sound(_description(about, waivers, worst))
    result.parameters = [
        # They are in the name that the stable id is made of, and need not be so a second time.
        Parameter(name=name, value=sound(value), excluded=True)
        for name, value in _parameters(reference.parameters, ledger.header)
    ]
    result.labels = [
        Label(LabelType.SUITE, sound(reference.suite)),
        *(Label(LabelType.FEATURE, f"{area}: {contract.areas[area]}") for area in _areas(about)),
        *(Label(LabelType.STORY, each.id) for each in about),
        *(Label(LabelType.SEVERITY, severity.value) for severity in _severity(about)),
        *(Label("owner", sound(waiver.owner)) for waiver in waivers),
        Label(LabelType.THREAD, sound(first.worker)),
        Label(LabelType.FRAMEWORK, "workspace-conformance"),
    ]
    result.links = [
        *(Link(LinkType.TEST_CASE, f"{PAGE}#{each.id}", each.id) for each in about),
        *(
            Link(LinkType.ISSUE, sound(waiver.issue), sound(waiver.issue))
            for waiver in waivers
            if waiver.issue.startswith(("https://", "http://"))
        ),
    ]
    result.steps = boot_steps(first.boots, checks, start)
    result.start, result.stop = start, stop
    return result


def _whole(ledger: Ledger, contract: Contract) -> TestResult:
    """So that a run of which every scenario passed does not look green where it is not."""
    conclusion = conclude(ledger, contract)
    result = _result(VERDICT, ledger.header)
    result.name = VERDICT
    result.status = OUTCOMES[conclusion.outcome]
    if told := (*conclusion.reasons, *conclusion.notes):
        result.statusDetails = StatusDetails(
            message=sound(f"{conclusion.outcome.value}: {told[0]}"), trace=sound("\n".join(told))
        )
    result.labels = [
        Label(LabelType.SUITE, VERDICT),
        Label(LabelType.FEATURE, VERDICT),
        Label(LabelType.SEVERITY, Severity.BLOCKER.value),
    ]
    result.start = result.stop = Clock(ledger.header).span("", 0)[0]
    return result


def _result(name: str, header: Header) -> TestResult:
    return TestResult(
        uuid=str(uuid5(NAMESPACE_URL, sound(f"{header.run}/{name}"))),
        historyId=stable_id(name),
        testCaseId=stable_id(name),
        fullName=sound(name),
        stage="finished",
    )


def _stories(checks: Sequence[CheckLine]) -> list[str]:
    """The requirements that it is about, and those that it showed not to hold; all that it looked at where it has no
    other."""
    own = [check for check in checks if not check.universal]
    broken = [check for check in checks if check.verdict in {Verdict.FAIL, Verdict.WAIVED}]
    return list(dict.fromkeys(check.requirement for check in [*own, *broken] or checks))


def _areas(about: Sequence[Requirement]) -> list[str]:
    return list(dict.fromkeys(each.area for each in about))


def _severity(about: Sequence[Requirement]) -> list[Severity]:
    """That of the gravest, in a list of its own; none where it is about none."""
    levels = {each.level for each in about}
    return [SEVERITIES[level] for level in ("MUST", "SHOULD") if level in levels][:1]


def _waivers(checks: Sequence[CheckLine], waivers: Sequence[WaiverLine]) -> list[WaiverLine]:
    """Those by which any of these checks was let pass."""
    waived = [check for check in checks if check.verdict == Verdict.WAIVED]
    return [
        waiver for waiver in waivers if any(waiver.covers(check.requirement, check.check) for check in waived)
    ]


def _parameters(words: str, header: Header) -> Iterator[tuple[str, str]]:
    """Of `minimal-git`, the template and the transport; what else there is has no name in a ledger."""
    rest, _, last = words.rpartition("-")
    if last in header.transports:
        yield "transport", last
        words = rest
    if words:
        yield ("template" if words in header.templates else "parameters"), words


def _description(about: Sequence[Requirement], waivers: Sequence[WaiverLine], line: ScenarioLine) -> str:
    """In Markdown: the words of the requirements, what was let pass, and the command that shows it again."""
    words = [
        *(f"- **{each.id}** ({each.level}) {' '.join(each.text.split())}" for each in about),
        *(f"- **Waived** {waiver}" for waiver in waivers),
    ]
    return "\n".join(
        [*words, "", "To reproduce:", "", *(f"    {each}" for each in line.reproduce.splitlines())]
    )
