"""A volume is full, or turns against its machine, while an update is delivered to it; later it is well again."""

from __future__ import annotations

from contextlib import ExitStack

from harness.oracle import failing
from harness.runtime.base import Conditions
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import Workspace
from harness.scenario.writes import (
    CONTENT,
    DURABILITY,
    MODES,
    NAMES,
    REMOVAL,
    failing_with,
    writes_of_a_restart,
)
from harness.templates.model import CONFIG, Template

RENAMES = ("rename", "renameat", "renameat2", "link", "linkat")
FULL = ("space", "full", "enospc")
READ_ONLY = ("read-only", "read only", "erofs")
NOT_PERMITTED = ("permitted", "permission", "eperm")
BROKEN = ("input/output", "i/o", "eio")
"""What an error has to say, in one way or another."""


def test_a_full_or_failing_volume_keeps_its_tree_and_is_reported(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    measured = tenant.provision(published)
    old, new = edition(minimal, 1), edition(minimal, 2)
    published.publish(old)
    writes = writes_of_a_restart(scenario, measured)
    later = writes[len(writes) // 2 :]
    faults = {
        "full from the start": (failing_with("ENOSPC", (*NAMES, *CONTENT), writes), FULL),
        "full in the middle": (failing_with("ENOSPC", (*NAMES, *CONTENT), later), FULL),
        "read-only in the middle": (
            failing_with("EROFS", (*NAMES, *CONTENT, *REMOVAL, *MODES), later),
            READ_ONLY,
        ),
        "no renames permitted": (failing_with("EPERM", RENAMES, writes), NOT_PERMITTED),
        "nothing made durable": (failing_with("EIO", DURABILITY, writes), BROKEN),
    }
    workspaces = {name: tenant.create(published) for name in faults}
    for workspace in workspaces.values():
        workspace.booted("provision")
    published.publish(new)

    with ExitStack() as faulty:
        trials = {
            name: faulty.enter_context(workspaces[name].next_machine(Conditions(fault=fault)))
            for name, (fault, _) in faults.items()
        }
        asked = {name: workspace.ask_to_restart() for name, workspace in workspaces.items()}
        for name, workspace in workspaces.items():
            with workspace.expecting_trouble(writable=False):
                seen = workspace.booted("restart", asked[name])
            scenario.proven(f"the volume: {name}", trials[name].hits)
            scenario.judge(
                failing.fail_3_a_failing_volume_keeps_its_tree_and_is_reported,
                seen,
                name,
                faults[name][1],
                old,
                new,
            )

    asked = {name: workspace.ask_to_restart() for name, workspace in workspaces.items()}
    for name, workspace in workspaces.items():
        workspace.booted("restart", asked[name])


def test_a_read_only_volume_keeps_its_tree_and_is_reported(scenario: Scenario, minimal: Template) -> None:
    old, new = edition(minimal, 1), edition(minimal, 2)
    published = scenario.publish(old)
    workspace = scenario.tenant(published).provision(published)
    published.publish(new)
    restarted_read_only(scenario, workspace, "mounted read-only", old, new)
    workspace.restart()
    workspace.lose(CONFIG)

    restarted_read_only(scenario, workspace, "mounted read-only without a config", new.without(CONFIG), new)
    workspace.restart()


def restarted_read_only(
    scenario: Scenario, workspace: Workspace, fault: str, old: Template, new: Template
) -> None:
    """A boot on a volume that holds the old version, and cannot be given the new one."""
    with (
        workspace.next_machine(Conditions(read_only=True)) as trial,
        workspace.expecting_trouble(writable=False),
    ):
        seen = workspace.restart()

    scenario.proven(f"the volume was {fault}", trial.hits)
    scenario.judge(
        failing.fail_3_a_failing_volume_keeps_its_tree_and_is_reported, seen, fault, READ_ONLY, old, new
    )


def test_a_volume_that_lost_everything_and_is_full_is_reported(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.lose_everything()
    writes = writes_of_a_restart(scenario, workspace)
    workspace.lose_everything()
    fault = failing_with("ENOSPC", (*NAMES, *CONTENT), writes)

    with (
        workspace.next_machine(Conditions(fault=fault)) as trial,
        workspace.expecting_trouble(writable=False),
    ):
        seen = workspace.restart()

    scenario.proven("the volume was full before anything was on it", trial.hits)
    scenario.judge(
        failing.fail_3_a_failing_volume_keeps_its_tree_and_is_reported,
        seen,
        "full from the first write",
        FULL,
        Template(),
        minimal,
    )
    workspace.restart()


def edition(template: Template, number: int) -> Template:
    """One that differs from the next in a file changed, a file added and a file removed."""
    return template.with_file("system-prompt.md", f"You are edition {number}.\n").with_file(
        f"prompts/edition-{number}.md", f"Edition {number}.\n"
    )
