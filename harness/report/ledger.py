"""The one stream that everything shown is derived from: JSON lines with a header and a mandatory footer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TextIO

from harness.contract.requirements import Contract
from harness.contract.waiver import Waiver


class LedgerProblem(Exception):
    """A ledger that must not be believed; the message says why."""


class BrokenLedger(LedgerProblem):
    """The ledger of a run that broke before its end, or one that was cut or changed since."""


class Verdict(StrEnum):
    """What a check, a scenario or a requirement came to; the worse, the later."""

    NOT_EXERCISED = "not exercised"
    NOT_APPLICABLE = "not applicable"
    PASS = "pass"  # noqa: S105 - a verdict
    COULD_NOT_RUN = "could not run"
    WAIVED = "waived"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)


@dataclass(frozen=True, slots=True)
class Header:
    """What was judged, by what, and where."""

    run: str
    started: str
    contract: str
    contract_digest: str
    implementation: str
    implementation_version: str
    harness_version: str
    runtime: str
    transports: list[str]
    templates: list[str]
    environment: dict[str, str]
    mutant: str | None = None
    selection: str = ""
    """By what options and paths the run was narrowed to a part of the scenarios, as they were typed; empty where it was
    not."""
    strict: bool = False
    """Whether a SHOULD that does not hold fails the run."""
    images: list[str] = field(default_factory=list)
    """What was judged, where it ran in containers: each image as `name@sha256:…`."""
    source: str | None = None
    """What was judged, where it ran in processes: the tree digest of its source."""
    template_digests: dict[str, str] = field(default_factory=dict)
    """The tree digest of each template's asset set, by the template's name."""
    template_commits: dict[str, str] = field(default_factory=dict)
    """Of the templates that were read out of git."""
    harness_commit: str | None = None
    """None where the harness is in no git checkout."""
    harness_changes: list[str] = field(default_factory=list)
    """What of that checkout was not as committed, by path."""
    seeds: dict[str, str] = field(default_factory=dict)
    """What a repetition has to be given for the same order and the same examples, by pytest option."""
    shard: str | None = None
    """`2/4` where these are the scenarios of one shard only."""
    timings: str | None = None
    """SHA-256 of the ledger that told how long each scenario would take, so that the shards were made even."""
    shards: list[str] = field(default_factory=list)
    """The runs that this one was merged from."""
    kind: str = "header"


@dataclass(frozen=True, slots=True)
class WaiverLine:
    """A known failure that was to be let pass. Of `requirement` and `check` one is empty."""

    requirement: str
    check: str
    reason: str
    owner: str
    issue: str
    expires: str
    """The last day on which it holds, as in 2026-12-31."""
    kind: str = "waiver"

    @property
    def what(self) -> str:
        """The requirement or check that it names."""
        return self.requirement or self.check

    def covers(self, requirement: str, check: str) -> bool:
        return self.what in {requirement, check}

    def holds_on(self, day: str) -> bool:
        """`day` begins with a date, as in 2026-12-31."""
        return day[: len(self.expires)] <= self.expires

    def __str__(self) -> str:
        return f"{self.what}: {self.reason} (owner {self.owner}, until {self.expires}, {self.issue})"

    @classmethod
    def of(cls, waiver: Waiver) -> Self:
        return cls(
            requirement=waiver.requirement or "",
            check=waiver.check or "",
            reason=waiver.reason,
            owner=waiver.owner,
            issue=waiver.issue,
            expires=waiver.expires.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check, made once."""

    scenario: str
    step: str
    check: str
    requirement: str
    verdict: str
    saw: str
    problems: list[str] = field(default_factory=list)
    universal: bool = False
    """Whether it was made because it must always hold, and not because the scenario is about it."""
    kind: str = "check"


@dataclass(frozen=True, slots=True)
class ScenarioLine:
    """One scenario, with the steps it took and where its time went (seconds)."""

    scenario: str
    verdict: str
    reason: str
    boots: list[str]
    examples: int
    """How many generated ones it looked at."""
    seconds: dict[str, float]
    reproduce: str
    worker: str
    blame: str = ""
    """Whose fault it is that it failed or could not run, `implementation` or `harness`; empty where nobody is to blame,
    as where this runtime cannot do what it needs."""
    kind: str = "scenario"


@dataclass(frozen=True, slots=True)
class Footer:
    """Proof that the run came to its end. Counts are of lines, by verdict."""

    finished: str
    exit_status: int
    scenarios: dict[str, int]
    checks: dict[str, int]
    expected: int | None = None
    """How many scenarios were collected before any was left out, which is all that the manifest calls for where no
    paths were given; None where that is not known."""
    interrupted: bool = False
    defects: list[str] = field(default_factory=list)
    """What went wrong with the harness itself, beside its scenarios; one line each."""
    population: str | None = None
    """Of a shard: the digest of all scenarios that were to be split (`harness.report.shard.population`)."""
    kind: str = "footer"


class Writer:
    """Appends to a ledger and flushes each line, so that a broken run still tells how far it came."""

    def __init__(self, path: Path, header: Header, waivers: Iterable[WaiverLine] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.header = header
        self._file: TextIO = path.open("x", encoding="utf-8")
        self._scenarios: Counter[str] = Counter()
        self._checks: Counter[str] = Counter()
        self._write(asdict(header))
        for waiver in waivers:
            self._write(asdict(waiver))

    def add(self, line: Mapping[str, Any]) -> None:
        """A check or a scenario, as `dataclasses.asdict` gives it (it may have come from another process)."""
        if line["kind"] == "check":
            self._checks[line["verdict"]] += 1
        else:
            self._scenarios[line["verdict"]] += 1
        self._write(line)

    def footer(
        self,
        *,
        finished: str,
        expected: int | None,
        interrupted: bool = False,
        defects: Iterable[str] = (),
        population: str | None = None,
    ) -> Footer:
        """What is to be said at the end, but for the exit status, which is concluded from it."""
        counts = dict(self._scenarios), dict(self._checks)
        return Footer(finished, 0, *counts, expected, interrupted, list(defects), population)

    def close(self, footer: Footer) -> None:
        """Write the footer. Without it the ledger is that of a broken run."""
        self._write(asdict(footer))
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")
        self._file.flush()


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole run."""

    header: Header
    checks: tuple[CheckLine, ...]
    scenarios: tuple[ScenarioLine, ...]
    footer: Footer
    waivers: tuple[WaiverLine, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises LedgerProblem where there is no such file, or it is no ledger; BrokenLedger where it is not whole."""
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (FileNotFoundError, IsADirectoryError):
            raise LedgerProblem(f"{path}: no such ledger; give the ledger.jsonl of a run") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as wrong:
            raise BrokenLedger(
                f"{path}: not JSON lines ({wrong}): the run broke, or the file was cut"
            ) from None
        kinds = [line.get("kind") if isinstance(line, dict) else None for line in lines]
        if kinds[:1] != ["header"]:
            raise LedgerProblem(f"{path}: no header: this is no ledger")
        if kinds[-1] != "footer":
            raise BrokenLedger(f"{path}: no footer: the run broke before its end, so it proves nothing")
        if strangers := set(kinds[1:-1]) - {"check", "scenario", "waiver"}:
            raise BrokenLedger(f"{path}: lines of the kind {', '.join(map(repr, strangers))} in its middle")
        try:
            return cls(
                Header(**lines[0]),
                tuple(CheckLine(**line) for line in lines if line["kind"] == "check"),
                tuple(ScenarioLine(**line) for line in lines if line["kind"] == "scenario"),
                Footer(**lines[-1]),
                tuple(WaiverLine(**line) for line in lines if line["kind"] == "waiver"),
            )
        except TypeError as wrong:
            raise BrokenLedger(f"{path}: a line is not what this harness writes: {wrong}") from None

    def require_words_of(self, contract: Contract) -> None:
        """Raises LedgerProblem where the run was judged by another contract than this."""
        if self.header.contract_digest != contract.digest:
            raise LedgerProblem(
                f"run {self.header.run} was judged by other words than these (contract {self.header.contract}, "
                f"digest {self.header.contract_digest[:12]}…, here {contract.digest[:12]}…); run the scenarios again"
            )

    def write(self, path: Path) -> None:
        """Raises FileExistsError."""
        writer = Writer(path, self.header, self.waivers)
        for line in (*map(asdict, self.checks), *map(asdict, self.scenarios)):
            writer.add(line)
        writer.close(self.footer)


def verdicts_by_requirement(
    lines: Iterable[CheckLine], requirements: Iterable[str]
) -> dict[str, tuple[Verdict, Counter[Verdict]]]:
    """The worst verdict of each requirement's checks, and how many checks came to what."""
    counts: dict[str, Counter[Verdict]] = {name: Counter() for name in requirements}
    for line in lines:
        counts[line.requirement][Verdict(line.verdict)] += 1
    return {
        name: (max(seen, key=lambda verdict: verdict.rank, default=Verdict.NOT_EXERCISED), seen)
        for name, seen in counts.items()
    }


def worst_of(verdicts: Iterable[tuple[str, Verdict]]) -> dict[str, Verdict]:
    """The worst under each name, in the order in which the names first came."""
    worst: dict[str, Verdict] = {}
    for name, verdict in verdicts:
        worst[name] = max(worst.get(name, verdict), verdict, key=lambda each: each.rank)
    return worst


def scenario_verdicts(lines: Iterable[ScenarioLine]) -> dict[str, Verdict]:
    """Of each scenario, by name. One that was found to leak after it had passed has two lines, and the worse counts."""
    return worst_of((line.scenario, Verdict(line.verdict)) for line in lines)
