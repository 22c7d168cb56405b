"""A scenario as Allure's steps: its boots with their seconds, and at each what was judged there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from allure_commons.model2 import Status, StatusDetails, TestStepResult

from ..ledger import CheckLine, Verdict
from ..page.timeline import boots as boots_of
from .text import sound
from .verdicts import STATUSES, message_of

_WORST_FIRST = (Status.FAILED, Status.BROKEN, Status.SKIPPED, Status.PASSED)


def boot_steps(boots: Iterable[str], checks: Sequence[CheckLine], start: int) -> list[TestStepResult]:
    """One for each boot, and behind them one for each further step that checks were made at; both in their order.

    `boots` as the ledger has them, `start` in milliseconds since the epoch. A boot is taken for the next step that is
    named after its reason, as `restart (boot 2 of ws-0f6767f0…)` is.
    """
    judged: dict[str, list[CheckLine]] = {}
    for check in checks:
        judged.setdefault(check.step, []).append(check)
    steps = []
    for boot in boots_of(boots):
        named = next((step for step in judged if step.startswith(f"{boot.name} (boot ")), None)
        stop = start + round(boot.seconds * 1000)
        steps.append(_step(named or boot.name, judged.pop(named, []) if named else [], start, stop))
        start = stop
    return [*steps, *(_step(name, made, start, start) for name, made in judged.items())]


def _step(name: str, checks: Sequence[CheckLine], start: int, stop: int) -> TestStepResult:
    """What held is counted; whatever else a check came to has a step of its own."""
    held = [check for check in checks if check.verdict == Verdict.PASS]
    inner = [_check(check, stop) for check in checks if check.verdict != Verdict.PASS]
    if held:
        names = ", ".join(dict.fromkeys(check.requirement for check in held))
        inner.append(
            TestStepResult(
                name=f"{len(held)} of {len(checks)} checks hold: {names}",
                status=Status.PASSED,
                start=stop,
                stop=stop,
            )
        )
    statuses = {each.status for each in inner if each.status != Status.SKIPPED} or {Status.PASSED}
    worst = next(status for status in _WORST_FIRST if status in statuses)
    return TestStepResult(name=sound(name), status=worst, steps=inner, start=start, stop=stop)


def _check(check: CheckLine, at: int) -> TestStepResult:
    verdict = Verdict(check.verdict)
    told = "\n".join(f"- {problem}" for problem in check.problems)
    return TestStepResult(
        name=sound(f"{check.requirement} {verdict}: {check.check}"),
        status=STATUSES[verdict],
        statusDetails=StatusDetails(
            message=sound(
                message_of(verdict, f"{check.requirement}: {'; '.join(check.problems) or check.saw}")
            ),
            trace=sound(f"saw: {check.saw}\n{told}".rstrip()),
        ),
        start=at,
        stop=at,
    )
