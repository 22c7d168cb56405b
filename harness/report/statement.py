"""What a run proves, as an in-toto Statement: a test result about the images that were judged.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from google.protobuf.json_format import MessageToDict
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.alias_generators import to_camel

from harness.contract.requirements import Contract

from .conclusion import conclude
from .ledger import Header, Ledger, Verdict, scenario_verdicts, verdicts_by_requirement

PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
LEDGER = "ledger.jsonl"
SIGNED_EXAMPLES = {"ci", "proof", "nightly"}
"""Profiles of generated examples (`harness.templates.profiles`) that look at enough to vouch for."""


class _Described(BaseModel):
    """Fields by the specification's names (camelCase); what a newer harness adds is passed over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Resource(_Described):
    """A thing and its digests, by algorithm: a resource descriptor."""

    name: str
    digest: dict[str, str]
    annotations: dict[str, str] = {}


class Conformance(_Described):
    """The run: what a test result has no field of its own for."""

    run: str
    started: str
    finished: str
    shards: list[str]
    """The runs that it was merged from, if it was."""
    contract: str
    contract_digest: str
    harness_version: str
    harness_commit: str
    implementation: str
    implementation_version: str
    runtime: str
    transports: list[str]
    environment: dict[str, str]
    seeds: dict[str, str]
    requirements: dict[str, str]
    """Verdicts, by requirement."""
    waivers: list[str]
    notes: list[str]
    """What is waived and how often, and each SHOULD that does not hold."""
    not_applicable_tests: list[str]


class TestResult(_Described):
    """The predicate. There is no statement of a run that failed."""

    __test__ = False  # pytest would take it for a test

    result: Literal["PASSED", "WARNED"]
    configuration: list[Resource]
    """By what it was judged, and the ledger, where all that it came to is written."""
    passed_tests: list[str]
    warned_tests: list[str]
    failed_tests: list[str]
    workspace_conformance: Conformance

    @field_validator("configuration")
    @classmethod
    def _names_a_ledger(cls, value: list[Resource]) -> list[Resource]:
        if not any(each.name == LEDGER and "sha256" in each.digest for each in value):
            raise ValueError(f"no SHA-256 of {LEDGER} is in it")
        return value

    @property
    def ledger_digest(self) -> str:
        """SHA-256."""
        return next(each.digest["sha256"] for each in self.configuration if each.name == LEDGER)


class NotSignable(Exception):
    """A run that no statement may be made of; one line that says why, and the way out."""


def statement(ledger: Ledger, contract: Contract, ledger_digest: str) -> dict[str, Any]:
    """As JSON, the same for the same ledger. Raises NotSignable."""
    if (reason := next(_objections(ledger, contract), None)) is not None:
        raise NotSignable(f"run {ledger.header.run} is not signed: {reason}")
    predicate = _predicate(ledger, contract, ledger_digest).model_dump(by_alias=True, exclude_none=True)
    made = Statement(
        [ResourceDescriptor(**each.model_dump()).pb for each in _subjects(ledger)], PREDICATE_TYPE, predicate
    )
    made.validate()
    document: dict[str, Any] = MessageToDict(made.pb)
    return document


def ledger_sha256(path: Path) -> str:
    """By which a statement knows its ledger. Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _objections(ledger: Ledger, contract: Contract) -> Iterator[str]:
    header = ledger.header
    conclusion = conclude(ledger, contract)
    if not conclusion.signable:
        yield f"{'; '.join(conclusion.reasons)}; sign a whole run in which all is well"
    if header.harness_commit is None:
        yield (
            "its harness was in no git checkout, so nobody could tell what it judged by; run it from a clean checkout"
        )
    if header.harness_changes:
        yield (
            f"its harness was dirty: {', '.join(header.harness_changes[:3])}"
            f"{f' and {len(header.harness_changes) - 3} more' if len(header.harness_changes) > 3 else ''} not as in "
            f"commit {header.harness_commit}; commit or remove that, and run again"
        )
    examples = header.seeds.get("--examples", "dev")
    if examples not in SIGNED_EXAMPLES:
        yield (
            f"its generated examples were those of the profile {examples}, which are few, and others each time; "
            "run again with --examples ci, or nightly"
        )
    if not header.images:
        yield "its ledger does not say what was judged, to the byte; run again with this harness"


def _subjects(ledger: Ledger) -> Iterator[Resource]:
    header = ledger.header
    for image in header.images:
        name, _, digest = image.partition("@sha256:")
        yield Resource(name=name, digest={"sha256": digest})


def _predicate(ledger: Ledger, contract: Contract, ledger_digest: str) -> TestResult:
    header, notes = ledger.header, conclude(ledger, contract).notes
    verdicts = dict(sorted(scenario_verdicts(ledger.scenarios).items()))

    def came_to(*these: Verdict) -> list[str]:
        return [name for name, verdict in verdicts.items() if verdict in these]

    warned = came_to(Verdict.WAIVED)
    return TestResult(
        result="WARNED" if notes else "PASSED",
        configuration=[
            Resource(name=LEDGER, digest={"sha256": ledger_digest}),
            Resource(name="contract", digest={"sha256": header.contract_digest}),
            Resource(name="harness", digest={"gitCommit": str(header.harness_commit)}),
            *_templates(header),
        ],
        passed_tests=came_to(Verdict.PASS),
        warned_tests=warned,
        failed_tests=[],
        workspace_conformance=Conformance(
            run=header.run,
            started=header.started,
            finished=ledger.footer.finished,
            shards=header.shards,
            contract=header.contract,
            contract_digest=header.contract_digest,
            harness_version=header.harness_version,
            harness_commit=str(header.harness_commit),
            implementation=header.implementation,
            implementation_version=header.implementation_version,
            runtime=header.runtime,
            transports=header.transports,
            environment=header.environment,
            seeds=header.seeds,
            requirements={
                name: verdict.value
                for name, (verdict, _) in verdicts_by_requirement(
                    ledger.checks, contract.requirements
                ).items()
            },
            waivers=list(map(str, ledger.waivers)),
            notes=notes,
            not_applicable_tests=came_to(Verdict.NOT_APPLICABLE),
        ),
    )


def _templates(header: Header) -> Iterator[Resource]:
    for name, digest in sorted(header.template_digests.items()):
        commit = header.template_commits.get(name)
        yield Resource(
            name=f"template {name}",
            digest={"sha256": digest, **({"gitCommit": commit} if commit is not None else {})},
        )
