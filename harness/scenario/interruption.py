"""A provisioner that is killed between two of its AWS calls, in the midst of an operation, and started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from harness.oracle.failing import fail_5_the_provisioner_comes_up_again
from harness.world.aws.faults import Moment
from harness.world.cloud import PROVISIONER, CloudProblem

from .scenario import FaultDidNotHappen
from .workspace import NOTICE

if TYPE_CHECKING:
    from harness.world.aws.calls import Call

    from .scenario import Scenario
    from .subject import Subject

_READS = ("Describe", "Get", "List")
_ANSWER = 2.0
"""Seconds that requests have to be answered in before the provisioner is killed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked of a workspace, at once and in this order, and how that has to end."""

    name: str
    ask: Callable[[Subject], object]
    status: str
    reason: str | None
    """Of the boot that it ends with."""
    restores: bool = False
    """Puts another volume in the place of the one there is (capability `snapshots`)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A moment between two AWS calls of an operation: before one that never reaches AWS, or after one whose answer
    never reaches the provisioner."""

    action: str
    nth: int
    """Which of the operation's calls of this action it is, from 0."""
    moment: Moment

    def __str__(self) -> str:
        return f"{self.moment} {self.action} {self.nth + 1}"


def gaps(calls: Sequence[Call]) -> list[Gap]:
    """A moment in each gap between the calls of an operation: behind a change that AWS made and whose answer is lost,
    or else before the next call.

    What is read behind the last change tells nothing new, and may depend on how long a boot takes.
    """
    changes = [number for number, call in enumerate(calls) if not call.operation.startswith(_READS)]
    calls = calls[: max(changes, default=-1) + 1]
    found = []
    for number, call in enumerate(calls):
        nth = [each.action for each in calls[:number]].count(call.action)
        if number - 1 not in changes:
            found.append(Gap(call.action, nth, "before"))
        if number in changes:
            found.append(Gap(call.action, nth, "after"))
    return found


def calls_of(operation: Operation, subject: Subject) -> list[Call]:
    """What the provisioner asks of AWS for an operation that nothing disturbs."""
    cloud = subject.tenant.cloud
    time.sleep(NOTICE)  # a look at the boot before it may still be on its way, and is none of its calls
    mark = cloud.mark()
    operation.ask(subject)
    subject.workspace.settle(operation.name)
    return [
        call
        for call in cloud.calls_since(mark)
        if call.principal == PROVISIONER and subject.concerned_by(call)
    ]


def kill_the_provisioner_amid(
    scenario: Scenario, operation: Operation, subjects: Sequence[Subject], at: Sequence[Gap]
) -> dict[Subject, str]:
    """Ask the operation of each subject, stop each at a gap of its own, then kill the provisioner, and start it again.

    Where each was stopped; those that are more than there are gaps go on until the kill meets them.
    """
    cloud = scenario.cloud
    stops = dict(zip(subjects, at, strict=False))
    with scenario.clock.on("boots"), ExitStack() as undo:
        held = {
            subject: undo.enter_context(
                cloud.aws.faults.hold(
                    gap.action,
                    principal=PROVISIONER,
                    only=subject.concerned_by,
                    skip=gap.nth,
                    moment=gap.moment,
                )
            )
            for subject, gap in stops.items()
        }
        askers = undo.enter_context(ThreadPoolExecutor(len(subjects)))
        asked = {subject: askers.submit(operation.ask, subject) for subject in subjects}
        for subject, fault in held.items():
            try:
                fault.wait(cloud.implementation.timing.settle)
            except TimeoutError as never:
                raise FaultDidNotHappen(
                    f"{operation.name} never came to the moment {stops[subject]}: {never}"
                ) from None
        # Whose answer is lost cannot know whether to ask again. One that is given only behind a call that is held is.
        wait(asked.values(), timeout=_ANSWER)
        cloud.provisioner.kill()
        for fault in held.values():
            fault.abandon()
    try:
        with scenario.clock.on("boots"):
            cloud.start_provisioner()
    except CloudProblem as dead:
        scenario.judge(fail_5_the_provisioner_comes_up_again, str(dead))
        scenario.judge.end_if_failed()
    for subject, answer in asked.items():
        try:
            answer.result()
        except httpx.TransportError:
            operation.ask(subject)  # it was not accepted, as whoever asked could see
    return {subject: str(stops.get(subject, "somewhere")) for subject in subjects}
