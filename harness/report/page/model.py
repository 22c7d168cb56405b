"""All that the page shows, made of the ledger, the contract and what was kept: nothing here reads or writes a file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract.requirements import Contract
from harness.proof.mutant import Mutant

from ..difference import Difference
from ..ledger import Header, Ledger, Verdict, scenario_verdicts
from .evidence import Counts, RequirementView, evidence, in_order
from .matrix import Matrix, matrix
from .references import Reference, references
from .scenarios import Kept, ScenarioView, scenario_views
from .text import duration, moment
from .timeline import Segment, parts
from .verdict import Conclusion, conclude


@dataclass(frozen=True, slots=True)
class Area:
    """A chapter of the contract."""

    code: str
    title: str
    requirements: tuple[RequirementView, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The scenarios of one module."""

    name: str
    seconds: float
    counts: Counts
    scenarios: tuple[ScenarioView, ...]


@dataclass(frozen=True, slots=True)
class KnownBad:
    """Of the run of a mutant: what it breaks, and whether the run caught it by what must catch it."""

    name: str
    mutant: Mutant | None
    """None where it is not among those known here."""
    caught_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    header: Header
    conclusion: Conclusion
    facts: tuple[tuple[str, str], ...]
    requirements: Counts
    scenarios: Counts
    verdicts: tuple[Verdict, ...]
    """All that any requirement or scenario came to, the worst first."""
    broken: tuple[RequirementView, ...]
    """The requirements that do not hold, first those that a scenario about them showed."""
    known_bad: KnownBad | None
    areas: tuple[Area, ...]
    matrix: Matrix
    suites: tuple[Suite, ...]
    parts: tuple[Segment, ...]
    boots: int
    difference: Difference | None
    references: dict[str, Reference]
    """By node id."""


def page_of(
    ledger: Ledger,
    contract: Contract,
    *,
    mutants: Sequence[Mutant] = (),
    kept: Mapping[str, Kept] | None = None,
    since: Difference | None = None,
) -> Page:
    """`kept` is by node id. Raises LedgerProblem for a run that was judged by other words."""
    ledger.require_words_of(contract)
    # A scenario whose worker crashed may have left nothing but checks.
    unfinished = {line.scenario: Verdict.NOT_EXERCISED for line in ledger.checks}
    named = references((unfinished | scenario_verdicts(ledger.scenarios)).items())
    views = evidence(contract, ledger.checks, named, mutants)
    acted = scenario_views(ledger.scenarios, ledger.checks, named, kept or {})
    broken = tuple(
        sorted(
            (view for view in views if view.verdict is Verdict.FAIL),
            key=lambda view: view.checks[0].universal,
        )
    )
    spent: Counter[str] = Counter()
    for line in ledger.scenarios:
        spent.update(line.seconds)
    return Page(
        header=ledger.header,
        conclusion=conclude(ledger, contract),
        facts=tuple(_facts(ledger, acted)),
        requirements=in_order(Counter(view.verdict for view in views)),
        scenarios=in_order(Counter(view.verdict for view in acted)),
        verdicts=tuple(
            verdict
            for verdict in reversed(Verdict)
            if verdict in {view.verdict for view in views} | {view.verdict for view in acted}
        ),
        broken=broken,
        known_bad=_known_bad(ledger.header, mutants, broken),
        areas=tuple(
            Area(code, title, tuple(view for view in views if view.requirement.area == code))
            for code, title in contract.areas.items()
        ),
        matrix=matrix(ledger.checks, contract.requirements),
        suites=_suites(acted),
        parts=parts(spent),
        boots=sum(len(view.boots) for view in acted),
        difference=since,
        references=named,
    )


def _facts(ledger: Ledger, scenarios: Sequence[ScenarioView]) -> Iterable[tuple[str, str]]:
    header = ledger.header
    began, ended = moment(header.started), moment(ledger.footer.finished)
    boots = sum(len(view.boots) for view in scenarios)
    examples = sum(view.examples for view in scenarios)
    workers = len({view.worker for view in scenarios})
    yield "implementation", f"{header.implementation} {header.implementation_version}"
    yield "contract", f"{header.contract} ({header.contract_digest[:12]})"
    yield "runtime", header.runtime
    yield "transports", ", ".join(header.transports) or "none"
    yield "templates", ", ".join(header.templates) or "none"
    yield "scenarios", f"{len(scenarios):,}"
    yield "boots", f"{boots:,}"
    if examples:
        yield "generated examples", f"{examples:,}"
    yield "checks", f"{len(ledger.checks):,}"
    yield "began", f"{began:%Y-%m-%d %H:%M} UTC" if began else header.started
    if began and ended:
        took = duration((ended - began).total_seconds())
        yield "took", f"{took}, {workers} workers" if workers > 1 else took
    yield "harness", header.harness_version
    yield from ((name, value) for name, value in header.environment.items() if value)


def _known_bad(
    header: Header, mutants: Iterable[Mutant], broken: Iterable[RequirementView]
) -> KnownBad | None:
    if header.mutant is None:
        return None
    mutant = next((each for each in mutants if each.name == header.mutant), None)
    wanted = mutant.caught_by if mutant is not None else ()
    return KnownBad(
        header.mutant, mutant, tuple(view.requirement.id for view in broken if view.requirement.id in wanted)
    )


def _suites(scenarios: Iterable[ScenarioView]) -> tuple[Suite, ...]:
    by_suite: defaultdict[str, list[ScenarioView]] = defaultdict(list)
    for view in scenarios:
        by_suite[view.reference.suite].append(view)
    return tuple(
        Suite(
            name,
            sum(view.seconds for view in found),
            in_order(Counter(view.verdict for view in found)),
            tuple(sorted(found, key=lambda view: (-view.verdict.rank, view.reference.id))),
        )
        for name, found in sorted(by_suite.items())
    )
