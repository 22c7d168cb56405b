"""A check: one claim of one requirement, that looks, says what it saw, and can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, ParamSpec

from harness.contract.requirements import Contract
from harness.report.clock import Clock
from harness.report.ledger import CheckLine, Verdict, WaiverLine
from harness.runtime.base import NotSupported

from .canaries import Canary
from .patterns import fragments

P = ParamSpec("P")
MAX_PROBLEMS = 20
MAX_PROBLEM_LENGTH = 400
_FAILED = frozenset({Verdict.FAIL, Verdict.WAIVED})


class NotApplicable(Exception):
    """The implementation does not claim what this check is about; the message says what."""


@dataclass(frozen=True, slots=True)
class Saw:
    """What a check looked at, and what was wrong with it."""

    what: str
    problems: tuple[str, ...] = ()

    @classmethod
    def all_well_if(cls, holds: bool, what: str, problem: str) -> Saw:
        """For a check with one thing to look at."""
        return cls(what, () if holds else (problem,))


@dataclass(frozen=True)
class Check(Generic[P]):
    """A named claim. Its id stays the same for good; only its verdict changes."""

    requirement: str
    look: Callable[P, Saw]

    @property
    def name(self) -> str:
        return self.look.__name__


def check(requirement: str) -> Callable[[Callable[P, Saw]], Check[P]]:
    """Make a check of a function whose name begins with the requirement's id (`skl_1_…` for SKL-1)."""

    def wrap(look: Callable[P, Saw]) -> Check[P]:
        prefix = requirement.lower().replace("-", "_") + "_"
        if not look.__name__.startswith(prefix):
            raise ValueError(f"a check of {requirement} is named {prefix}…, not {look.__name__}")
        return Check(requirement, look)

    return wrap


class ContractBroken(AssertionError):
    """One or more checks of a scenario failed. Renders as a narrative, not as a traceback."""

    def __init__(self, contract: Contract, failed: Iterable[CheckLine]) -> None:
        # What the scenario is about first: the universal oracle often sees the same fault from other sides.
        self.failed = tuple(sorted(failed, key=lambda line: line.universal))
        super().__init__("\n\n".join(_narrate(contract, line) for line in self.failed))


class Judge:
    """Makes the checks of one scenario, and keeps what they came to."""

    def __init__(
        self, contract: Contract, scenario: str, waivers: Sequence[WaiverLine] = (), *, strict: bool = False
    ) -> None:
        """`waivers` are those that hold today; `strict` is whether a SHOULD that does not hold fails the scenario."""
        self._contract = contract
        self._scenario = scenario
        self._waivers = waivers
        self._strict = strict
        self.step = "before the first boot"
        self.lines: list[CheckLine] = []
        self.clock = Clock()
        self._universal = False
        self._hides: list[tuple[str, str]] = []
        """Secrets and parts of them, each with what is shown instead."""

    def anew(self) -> Judge:
        """Another one of the same scenario and on the same clock, which has seen nothing yet."""
        other = Judge(self._contract, self._scenario, self._waivers, strict=self._strict)
        other.clock = self.clock
        return other

    def hide(self, canaries: Iterable[Canary]) -> None:
        """From now on nothing that is kept or shown holds one of these secrets, whoever let it out."""
        for canary in canaries:
            core = canary.core.encode()
            self._hides += [(part.decode(), repr(canary)) for part in (core, *fragments(core))]

    @contextmanager
    def universally(self) -> Iterator[None]:
        """What is judged in this block must always hold, and is not what the scenario is about."""
        before, self._universal = self._universal, True
        try:
            yield
        finally:
            self._universal = before

    def __call__(self, made: Check[P], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Make a check; False where it failed. The scenario goes on, and fails at its end, unless that is waived."""
        self._contract.requirement(made.requirement)
        try:
            with self.clock.on("assertions"):
                saw = made.look(*args, **kwargs)
            verdict = self._failed(made) if saw.problems else Verdict.PASS
        except NotApplicable as why:
            saw, verdict = Saw(str(why)), Verdict.NOT_APPLICABLE
        except NotSupported as why:
            saw, verdict = Saw(str(why)), Verdict.COULD_NOT_RUN
        self.lines.append(
            CheckLine(
                scenario=self._scenario,
                step=self.step,
                check=made.name,
                requirement=made.requirement,
                verdict=verdict.value,
                saw=self._hidden(saw.what),
                problems=[self._hidden(problem) for problem in _bounded(saw.problems)],
                universal=self._universal,
            )
        )
        return verdict not in _FAILED

    def _failed(self, made: Check[P]) -> Verdict:
        waived = any(waiver.covers(made.requirement, made.name) for waiver in self._waivers)
        return Verdict.WAIVED if waived else Verdict.FAIL

    def _hidden(self, text: str) -> str:
        for part, shown in self._hides:
            text = text.replace(part, shown)
        return text

    def failures(self) -> list[CheckLine]:
        """Of the checks that did not hold, waived ones too."""
        return [line for line in self.lines if line.verdict in _FAILED]

    def conclude(self) -> None:
        """Raises ContractBroken where any check failed that counts: is not waived, nor of a mere SHOULD."""
        if any(map(self._counts, self.failures())):
            self.end_if_failed()

    def end_if_failed(self) -> None:
        """Raises ContractBroken where any check failed, whether or not it counts: what comes next could not be done."""
        if failed := self.failures():
            raise ContractBroken(self._contract, failed)

    def tolerates(self, broken: ContractBroken) -> bool:
        """Whether nothing in it counts, so that what it ended has not failed."""
        return not any(map(self._counts, broken.failed))

    def _counts(self, line: CheckLine) -> bool:
        must = self._contract.requirement(line.requirement).level == "MUST"
        return line.verdict == Verdict.FAIL and (must or self._strict)


def _bounded(problems: tuple[str, ...]) -> list[str]:
    shown = [
        problem if len(problem) <= MAX_PROBLEM_LENGTH else problem[:MAX_PROBLEM_LENGTH] + " … (cut)"
        for problem in problems[:MAX_PROBLEMS]
    ]
    if len(problems) > MAX_PROBLEMS:
        shown.append(f"… and {len(problems) - MAX_PROBLEMS} more")
    return shown


def _narrate(contract: Contract, line: CheckLine) -> str:
    requirement = contract.requirement(line.requirement)
    return "\n".join(
        (
            f"{line.requirement} does not hold, at step: {line.step}"
            + (" (universal oracle)" if line.universal else "")
            + (" (waived)" if line.verdict == Verdict.WAIVED else ""),
            f"  {requirement.level}: {requirement.text}",
            f"  check: {line.check}",
            f"  saw:   {line.saw}",
            *(f"  - {problem}" for problem in line.problems),
        )
    )
