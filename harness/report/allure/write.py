"""Writes a run's Allure results, `allure-results` in its folder, over those that were there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from allure_commons.logger import AllureFileLogger

from harness.contract.requirements import Contract

from ..artifacts import artifacts_of
from ..ledger import Header, Ledger, Verdict
from .attachments import attach
from .results import results
from .verdicts import CATEGORIES

RESULTS = "allure-results"


def write_allure(ledger: Ledger, contract: Contract, folder: Path) -> Path:
    """Write the results of the run whose folder this is. Returns theirs. Raises LedgerProblem.

    They say what the ledger and the artifacts say, both of which the run has searched for secrets, and nothing else.
    """
    made = list(results(ledger, contract))
    into = folder / RESULTS
    logger = AllureFileLogger(into, clean=True)
    for each in made:
        if each.scenario is not None and each.verdict not in {Verdict.PASS, Verdict.NOT_APPLICABLE}:
            attach(each.result, artifacts_of(folder, each.scenario), logger)
        logger.report_result(each.result)
    (into / "categories.json").write_text(json.dumps(CATEGORIES, indent=2) + "\n", encoding="utf-8")
    (into / "environment.properties").write_text(
        "".join(f"{_property(name)}={_property(value)}\n" for name, value in _environment(ledger.header)),
        encoding="ascii",
    )
    return into


def _environment(header: Header) -> Iterator[tuple[str, str]]:
    yield "run", header.run
    yield "implementation", f"{header.implementation} {header.implementation_version}"
    if header.mutant is not None:
        yield "mutant", header.mutant
    yield "contract", f"{header.contract} ({header.contract_digest[:12]})"
    yield "runtime", header.runtime
    for number, image in enumerate(header.images, 1):
        yield f"image.{number}", image
    if header.source is not None:
        yield "source", header.source
    commit = f" ({header.harness_commit[:12]})" if header.harness_commit is not None else ""
    yield "harness", f"{header.harness_version}{commit}"
    yield "transports", ", ".join(header.transports)
    yield "templates", ", ".join(header.templates)
    if header.selection:
        yield "selection", header.selection
    yield from ((f"seed.{option.lstrip('-')}", value) for option, value in header.seeds.items())
    yield from header.environment.items()


def _property(text: str) -> str:
    """As `java.util.Properties` reads it back: nothing in it ends the line, or the key."""
    return "".join(
        f"\\{letter}" if letter in "\\ =:#!" else letter if " " < letter <= "~" else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
