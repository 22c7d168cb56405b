"""AWS refuses, the provisioner is killed, requests race: what was begun is finished or failed, and nothing is left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice

import pytest

from harness.contract.lifecycle import UNSETTLED, Refused
from harness.oracle import failing, heal
from harness.oracle.seen import Document
from harness.scenario.interruption import Gap, Operation, calls_of, gaps, kill_the_provisioner_amid
from harness.scenario.scenario import Scenario
from harness.scenario.subject import Subject
from harness.scenario.workspace import NOTICE, Workspace
from harness.templates import BOTTOMLESS
from harness.templates.model import Template
from harness.world.aws.calls import Call, Predicate
from harness.world.aws.faults import Fault, Faults
from harness.world.cloud import PROVISIONER

READ_SECRET = "secretsmanager:*Get*"
DENIED = ("denied", "not authorized", "may not", "not allowed", "access")
SPOILT: dict[str, tuple[Callable[[str], str | None], tuple[str, ...]]] = {
    # A policy on `…-??????` does not cover the name of a secret that is not there: the machine is told of a denial.
    "missing": (lambda _: None, ("missing", "exist", "not found", *DENIED)),
    "cut short": (lambda value: value[: len(value) // 2], ("malformed", "json", "invalid", "parse")),
    "without a bottom": (lambda _: BOTTOMLESS[:60_000].decode(), ("malformed", "json", "invalid", "parse")),
    "half there": (lambda value: half(value), ("lack", "missing", "incomplete", "field", "key")),
}
TRANSIENT: dict[str, tuple[Callable[[Faults, Predicate], Fault], int]] = {
    "throttled": (lambda faults, whose: faults.throttle(READ_SECRET, only=whose, times=2), 2),
    "out of order": (
        lambda faults, whose: faults.fail(
            READ_SECRET, "ServiceUnavailable", "Try again.", status=503, only=whose, times=1
        ),
        1,
    ),
    "in trouble of its own": (
        lambda faults, whose: faults.fail(
            READ_SECRET, "InternalServiceError", "An error occurred.", status=500, only=whose, times=1
        ),
        1,
    ),
    "broken off": (lambda faults, whose: faults.break_off(READ_SECRET, "reset", only=whose, times=1), 1),
    "cut short": (lambda faults, whose: faults.break_off(READ_SECRET, "short", only=whose, times=1), 1),
    "role credentials expired": (
        lambda faults, whose: faults.fail(
            READ_SECRET,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            only=whose,
            times=1,
        ),
        1,
    ),
}
REFUSED_LAUNCHES: dict[str, Callable[[Faults, Predicate], Fault]] = {
    "no capacity": lambda faults, whose: faults.out_of_capacity(only=whose),
    # IAM tells EC2 of a new role some seconds after it was made.
    "role not known yet": lambda faults, whose: faults.fail(
        "ec2:RunInstances",
        "InvalidParameterValue",
        "Value for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        only=whose,
    ),
    "out of order": lambda faults, whose: faults.fail(
        "ec2:RunInstances", "ServiceUnavailable", "Try again.", status=503, only=whose
    ),
    "volume not attachable": lambda faults, whose: faults.fail(
        "ec2:AttachVolume", "IncorrectState", "The volume is not available.", only=whose
    ),
}
VERBS = ("restart", "stop", "start")


def stop_and_start(subject: Subject) -> None:
    subject.workspace.ask_to_stop()
    subject.workspace.ask_to_start()


RESTART = Operation("restart", lambda subject: subject.workspace.ask_to_restart(), "online", "restart")
OPERATIONS = (
    Operation("provision", Subject.create, "online", "provision"),
    RESTART,
    Operation("stop and start", stop_and_start, "online", "resume"),
    Operation("snapshot", lambda subject: subject.workspace.snapshot(), "online", None),
    Operation(
        "restore", lambda subject: subject.workspace.ask_to_restore(None), "online", "restore", restores=True
    ),
    Operation("delete", lambda subject: subject.workspace.ask_to_delete(purge=True), "deleted", None),
)
"""Done one after another to the same workspaces."""
NEED_SNAPSHOTS = ("snapshot", "restore")


def test_a_secret_that_cannot_be_had_is_named_and_passes_with_its_cause(
    scenario: Scenario, minimal: Template
) -> None:
    subjects = {kind: Subject(scenario, minimal) for kind in [*SPOILT, "denied"]}
    with ExitStack() as trouble:
        for kind, (spoil, _) in SPOILT.items():
            trouble.enter_context(subjects[kind].tenant.spoilt_secret(spoil))
        denial = scenario.cloud.aws.faults.deny(READ_SECRET, only=by_a_machine_of(subjects["denied"]))
        trouble.enter_context(denial)
        for subject in subjects.values():
            subject.create()
        for kind, subject in subjects.items():
            with subject.workspace.expecting_trouble():
                seen = subject.workspace.booted("provision")
            asked = scenario.cloud.aws.calls.find(READ_SECRET, where=by_a_machine_of(subject))
            scenario.proven(f"a machine asked for a secret that is {kind}", len(asked))
            _, rule = SPOILT.get(kind, (None, DENIED))
            scenario.judge(
                failing.fail_4_a_secret_that_cannot_be_had_is_named_and_no_agent_starts, seen, kind, rule
            )
        scenario.proven("the secret store denied", denial.hits)

    restart_all([subject.workspace for subject in subjects.values()])


def test_a_secret_store_that_is_not_to_be_had_for_a_moment_is_asked_again(
    scenario: Scenario, minimal: Template
) -> None:
    subjects = {kind: Subject(scenario, minimal) for kind in TRANSIENT}
    with ExitStack() as trouble:
        faults = {
            kind: trouble.enter_context(make(scenario.cloud.aws.faults, by_a_machine_of(subjects[kind])))
            for kind, (make, _) in TRANSIENT.items()
        }
        for subject in subjects.values():
            subject.create()
        for kind, subject in subjects.items():
            seen = subject.workspace.outcome("provision")
            scenario.proven(kind, faults[kind].hits)
            scenario.judge(
                failing.fail_4_a_transient_fault_is_retried, seen, kind, faults[kind].hits, TRANSIENT[kind][1]
            )
            subject.workspace.booted("provision")


def test_role_credentials_that_expire_in_mid_boot_are_renewed(scenario: Scenario, minimal: Template) -> None:
    transport = scenario.cloud.implementation.capabilities.transports[0]
    published = scenario.publish(minimal)
    with scenario.fetches_held(published, transport) as hold:
        workspace = scenario.tenant(published).create(published, transport=transport)
        hold.await_first(timeout=30)
        machine = workspace.now()["machine"]
        expired = scenario.cloud.aws.principals.expire(f"assumed-role/*/{machine}")
        hold.release()
        seen = workspace.outcome("provision")

    scenario.proven("the role credentials of a machine that boots expired", expired)
    scenario.judge(failing.fail_4_a_transient_fault_is_retried, seen, "role credentials expired", expired, 1)
    workspace.booted("provision")


def test_a_launch_that_is_refused_is_reported_and_tried_again_within_a_bound(
    scenario: Scenario, minimal: Template
) -> None:
    for_a_while = {kind: Subject(scenario, minimal) for kind in REFUSED_LAUNCHES}
    for_ever = {kind: Subject(scenario, minimal) for kind in REFUSED_LAUNCHES}
    with ExitStack() as trouble:
        faults = {
            subject: trouble.enter_context(
                REFUSED_LAUNCHES[kind](scenario.cloud.aws.faults, subject.concerned_by)
            )
            for subjects in (for_a_while, for_ever)
            for kind, subject in subjects.items()
        }
        for subject in faults:
            subject.create()
        for kind, subject in for_a_while.items():
            document = report_while_it_is_tried(subject.workspace)
            scenario.proven(kind, faults[subject].hits)
            scenario.judge(failing.fail_6_a_launch_that_is_refused_is_reported_meanwhile, document, kind)
            faults[subject].clear()
        for kind, subject in for_a_while.items():
            seen = subject.workspace.booted("provision")
            scenario.judge(
                failing.fail_6_a_launch_that_is_refused_for_a_while_is_made_in_the_end,
                seen,
                kind,
                faults[subject].hits,
            )
        for kind, subject in for_ever.items():
            give_up(scenario, subject, kind, faults[subject], kept=None)

    lost, held = for_a_while["no capacity"], for_ever["no capacity"]
    with scenario.cloud.aws.faults.out_of_capacity(only=lost.concerned_by) as fault:
        previous = lost.workspace.ask_to_restart()
        give_up(scenario, lost, "no capacity at a restart", fault, kept=str(previous["volume"]))
    restart_all([lost.workspace, held.workspace])


def test_a_provisioner_that_was_killed_goes_on_with_what_it_did_and_what_it_watched(
    scenario: Scenario, minimal: Template
) -> None:
    amid_restart, idle = subjects = [Subject(scenario, minimal) for _ in range(2)]
    for subject in subjects:
        subject.create()
    for subject in subjects:
        subject.workspace.booted("provision")
    before = {subject: subject.document for subject in subjects}
    mark, silent_since = scenario.cloud.mark(), time.monotonic()

    kill_the_provisioner_amid(scenario, RESTART, [amid_restart], [Gap("ec2:RunInstances", 0, "after")])

    silence = time.monotonic() - silent_since
    aftermaths = {subject: subject.aftermath() for subject in subjects}
    scenario.judge.step = "the provisioner killed amid a restart"
    scenario.judge(
        failing.fail_5_what_was_begun_is_finished_or_failed,
        aftermaths[amid_restart],
        before[amid_restart],
        RESTART.status,
        RESTART.reason,
    )
    for subject, aftermath in aftermaths.items():
        scenario.judge(failing.fail_5_nothing_is_orphaned, aftermath, before[subject], RESTART.restores)
    # While nobody listened, all machines were silent.
    scenario.judge(
        heal.heal_7_a_transient_doubt_replaces_nothing,
        before[idle],
        idle.document,
        silence,
        idle.launches_since(mark),
    )
    scenario.judge.end_if_failed()
    idle.workspace.lose_the_machine()


@pytest.mark.long
def test_a_provisioner_killed_between_any_two_calls_finishes_what_it_began(
    scenario: Scenario, minimal: Template
) -> None:
    without = () if scenario.cloud.implementation.capabilities.snapshots else NEED_SNAPSHOTS
    operations = [operation for operation in OPERATIONS if operation.name not in without]
    model = Subject(scenario, minimal)
    moments = {operation: gaps(calls_of(operation, model)) for operation in operations}
    most = max(map(len, moments.values()))
    every = [Subject(scenario, minimal) for _ in range(most)]
    for operation, at in moments.items():
        # To boot again is dear: of those that have a workspace, only as many do as there are gaps.
        subjects = every if operation.reason in {"provision", None} else every[: len(at)]
        before = [subject.document for subject in subjects]
        stopped_at = kill_the_provisioner_amid(scenario, operation, subjects, at)
        for subject, previous in zip(subjects, before, strict=True):
            scenario.judge.step = f"{operation.name}, and the provisioner killed {stopped_at[subject]}"
            aftermath = subject.aftermath()
            scenario.judge(
                failing.fail_5_what_was_begun_is_finished_or_failed,
                aftermath,
                previous,
                operation.status,
                operation.reason,
            )
            scenario.judge(failing.fail_5_nothing_is_orphaned, aftermath, previous, operation.restores)


def test_a_deletion_is_final_whatever_races_it(scenario: Scenario, minimal: Template) -> None:
    faults, timing = scenario.cloud.aws.faults, scenario.cloud.implementation.timing
    amid_restart, amid_heal, unnoticed, amid_many = subjects = [Subject(scenario, minimal) for _ in range(4)]
    for subject in subjects:
        subject.create()
    for subject in subjects:
        subject.workspace.booted("provision")
    volumes = {subject: str(subject.document["volume"]) for subject in subjects}
    with (
        faults.hold("ec2:RunInstances", only=amid_restart.concerned_by, moment="after") as restart,
        faults.hold("ec2:RunInstances", only=amid_heal.concerned_by) as heal,
    ):
        amid_heal.workspace.machine.kill()
        amid_restart.workspace.ask_to_restart()
        restart.wait(timing.settle)
        amid_restart.workspace.ask_to_delete()
        restart.release()
        unnoticed.workspace.machine.kill()
        unnoticed.workspace.ask_to_delete()
        race_restarts_with_a_deletion(amid_many.workspace)
        heal.wait(timing.heal)
        amid_heal.workspace.ask_to_delete()
        heal.release()
    scenario.proven("a deletion raced a restart and a healing", min(restart.hits, heal.hits))

    scenario.judge.step = "deletions that something races"
    final = failing.fail_7_a_deletion_is_final
    scenario.judge(final, amid_restart.aftermath(), "a restart", volumes[amid_restart])
    scenario.judge(final, amid_heal.aftermath(), "a healing", volumes[amid_heal])
    scenario.judge(final, unnoticed.aftermath(), "a death that nobody had noticed", volumes[unnoticed])
    scenario.judge(final, amid_many.aftermath(), "restarts at the same moment", None)
    refusals = {verb: refused(amid_restart, verb) for verb in VERBS}
    scenario.judge(failing.fail_7_a_deleted_workspace_takes_no_requests, amid_restart.workspace.id, refusals)
    for subject in (amid_restart, amid_heal):
        subject.workspace.ask_to_delete(purge=True)
        scenario.judge(final, subject.aftermath(), "a purge of the volume that was kept", None)
    delete_behind_its_back(scenario, volumes[unnoticed])
    unnoticed.workspace.ask_to_delete(purge=True)
    scenario.judge(final, unnoticed.aftermath(), "a purge of the volume that somebody has deleted", None)


def delete_behind_its_back(scenario: Scenario, volume: str) -> None:
    """Let the owner of the account delete a volume that no machine uses any more."""
    ec2 = scenario.cloud.aws.client("ec2")
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    for attachment in found["Attachments"]:
        ec2.detach_volume(VolumeId=volume, InstanceId=attachment["InstanceId"])
    ec2.delete_volume(VolumeId=volume)


def half(secret: str) -> str:
    fields = json.loads(secret)
    return json.dumps(dict(islice(fields.items(), len(fields) // 2)))


def by_a_machine_of(subject: Subject) -> Predicate:
    def whose(call: Call) -> bool:
        return call.principal != PROVISIONER and subject.concerned_by(call)

    return whose


def restart_all(workspaces: list[Workspace]) -> None:
    asked = [(workspace, workspace.ask_to_restart()) for workspace in workspaces]
    for workspace, previous in asked:
        workspace.booted("restart", previous)


def report_while_it_is_tried(workspace: Workspace) -> Document:
    """The first status that says what is wrong, or the one that it settled with."""
    deadline = time.monotonic() + workspace.tenant.cloud.implementation.timing.settle
    with workspace.tenant.judge.clock.on("boots"):
        while workspace.now()["status"] in UNSETTLED and not workspace.document.get("error"):
            if time.monotonic() > deadline:
                break
            time.sleep(NOTICE)
    return workspace.document


def give_up(scenario: Scenario, subject: Subject, what: str, fault: Fault, *, kept: str | None) -> None:
    """Wait until the platform has given up a launch, and judge what it left."""
    scenario.judge.step = what
    aftermath = subject.aftermath()
    scenario.proven(what, fault.hits)
    scenario.judge(
        failing.fail_6_a_launch_that_is_never_possible_fails_and_leaves_nothing,
        aftermath,
        what,
        fault.hits,
        kept,
    )


def race_restarts_with_a_deletion(workspace: Workspace) -> None:
    """Restarts that come after the deletion are refused, and which those are is not known."""
    with ThreadPoolExecutor(4) as askers:
        restarts = [askers.submit(workspace.tenant.api.restart, workspace.id) for _ in range(3)]
        askers.submit(workspace.ask_to_delete, purge=True).result()
    for restart in restarts:
        if (error := restart.exception()) is not None and not isinstance(error, Refused):
            raise error


def refused(subject: Subject, verb: str) -> Refused | None:
    """The refusal of a verb; None where it was accepted."""
    try:
        getattr(subject.tenant.api, verb)(subject.workspace.id)
    except Refused as refusal:
        return refusal
    return None
