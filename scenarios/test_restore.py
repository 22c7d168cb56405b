"""A workspace is restored: from a snapshot, or onto a blank volume, and always on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.contract.lifecycle import Refused
from harness.oracle import allowlist, edits, heal, isolation, reconcile
from harness.oracle.seen import CONFIGS
from harness.scenario.old_volume import AGENT_OWNED, leave_as_before_this_design
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import Workspace
from harness.templates import BOTTOMLESS
from harness.templates.model import CONFIG, SKILLS, Template
from harness.world.template_host.faults import flipped

OWN_SKILL = f"{SKILLS}/my-own/SKILL.md"
LATER_SKILL = f"{SKILLS}/my-later-one/SKILL.md"


def a_skill(name: str) -> bytes:
    return f"---\nname: {name}\ndescription: What the user wants.\n---\n\nDo as I do.\n".encode()


def test_an_older_snapshot_is_brought_up_to_date_with_its_edits_and_nothing_flaps(
    scenario: Scenario, seo: Template
) -> None:
    scenario.needs("snapshots")
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published)
    edited, damaged, *_ = (f"{SKILLS}/{name}/SKILL.md" for name in seo.named_skills())
    workspace.edit(CONFIG, b"# mine\n" + seo.files[CONFIG].content)
    workspace.edit(edited, seo.files[edited].content + b"\nMy rule.\n")
    workspace.edit(OWN_SKILL, a_skill("my-own"))
    for path, content in AGENT_OWNED.items():
        workspace.volume.write(path, content)
    workspace.damage(damaged, seo.files[damaged].content[:20])
    snapshot, at_snapshot = workspace.snapshot(), workspace.files

    later = {
        CONFIG: b"# mine no more\n" + seo.files[CONFIG].content,
        LATER_SKILL: a_skill("my-later-one"),
    }
    for path, content in later.items():
        workspace.edit(path, content)
    gone = next(path for path in seo.asset_set() if path.startswith("prompts/"))
    added = f"{SKILLS}/{seo.named_skills()[0]}/commands/added-upstream.md"
    published.publish(seo.without(gone).with_file(added, b"# Added upstream\n\nSay what is new.\n"))

    workspace.ask_to_restart()  # a restore is not refused for what is under way; it comes after it
    restored = workspace.restore(snapshot)

    scenario.judge(reconcile.rec_7_a_restored_snapshot_converges_and_keeps_its_edits, restored, later)
    scenario.judge(reconcile.rec_9_a_template_update_arrives_at_the_next_boot, restored, [added])
    scenario.judge(reconcile.rec_6_a_file_removed_upstream_is_removed, restored, [gone])
    scenario.judge(allowlist.alw_5_agent_owned_files_are_untouched, restored, at_snapshot)

    boots = [workspace.restart() for _ in range(3)]

    scenario.judge(reconcile.rec_10_a_repair_does_not_flap, restored, boots)


def test_a_blank_volume_gets_the_whole_tree(scenario: Scenario, seo: Template) -> None:
    scenario.needs("snapshots")
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published)
    workspace.edit(OWN_SKILL, a_skill("my-own"))
    workspace.volume.write("workspace/report.csv", b"page,score\n")
    volume = str(workspace.document["volume"])

    seen = workspace.restore(None)

    lost = [f"{CONFIGS}/{OWN_SKILL}", "workspace/report.csv"]
    scenario.judge(reconcile.rec_8_a_blank_volume_gets_the_whole_tree, seen, volume, lost)


def test_a_snapshot_from_before_this_design_becomes_a_whole_workspace(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs("snapshots")
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.stop()
    leave_as_before_this_design(workspace.volume)
    snapshot, at_snapshot = workspace.snapshot(), workspace.files

    seen = workspace.restore(snapshot)

    scenario.judge(heal.heal_3_a_stub_config_is_repaired, seen)
    scenario.judge(reconcile.rec_7_a_restored_snapshot_converges_and_keeps_its_edits, seen, {})
    scenario.judge(allowlist.alw_5_agent_owned_files_are_untouched, seen, at_snapshot)


def test_a_snapshot_with_damaged_state_is_restored_in_place_of_a_dead_machine(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs("snapshots")
    workspace, state = edited_and_without_its_config(scenario, minimal)
    config = minimal.files[CONFIG].content
    rotten = flipped(config, len(config) - 2)
    damages: list[Callable[[str, bytes], bytes]] = [
        lambda _, content: halved(content),
        lambda *_: BOTTOMLESS,
        lambda path, content: halved(content) if path.count("/") == 1 else content,
        # Nothing but a copy of what is lost, where one is kept as it was delivered.
        lambda _, content: content.replace(config, rotten),
    ]
    snapshots = []
    for damaged in damages:
        spoilt = {path: damaged(path, content) for path, content in state.items()}
        if spoilt == state:
            continue  # this implementation keeps nothing there
        for path, content in spoilt.items():
            workspace.volume.write(path, content)
        snapshots.append(workspace.snapshot())
    workspace.machine.kill()

    restored_from_each(scenario, workspace, snapshots)


def test_a_snapshot_that_lacks_any_one_file_or_folder_of_its_state_is_restored(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs("snapshots")
    workspace, state = edited_and_without_its_config(scenario, minimal)
    snapshots = []
    folders = {path.rpartition("/")[0] for path in state}
    for lost in [*state, *sorted(folder for folder in folders if "/" in folder)]:
        workspace.volume.remove(lost)
        snapshots.append(workspace.snapshot())
        for path, content in state.items():
            if path == lost or path.startswith(f"{lost}/"):
                workspace.volume.write(path, content)

    restored_from_each(scenario, workspace, snapshots)


def test_a_restore_from_what_is_not_its_own_snapshot_is_refused(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs("snapshots")
    published = scenario.publish(minimal, private=False)
    tenant, stranger = scenario.tenant(), scenario.tenant()
    ours, another, theirs = tenant.create(published), tenant.create(published), stranger.create(published)
    for workspace in (ours, another, theirs):
        workspace.booted("provision")
    own = ours.snapshot()
    before = ours.now()

    for snapshot in ("snap-0123456789abcdef0", another.snapshot()):
        refusal = refused(tenant.api.restore, ours.id, snapshot)
        scenario.judge(isolation.obs_2_an_unknown_snapshot_is_named, snapshot, refusal, before, ours.now())
    foreign = theirs.snapshot()
    refusal = refused(tenant.api.restore, ours.id, foreign)
    scenario.judge(isolation.iso_1_another_tenants_snapshot_is_unknown, foreign, refusal, before, ours.now())

    refusals = {
        "snapshot": refused(stranger.api.snapshot, ours.id),
        "restore": refused(stranger.api.restore, ours.id, own),
    }
    scenario.judge(isolation.iso_1_a_stranger_is_refused, refusals, before, ours.now())


def refused(ask: Callable[..., object], workspace: str, *what: str) -> Refused | None:
    try:
        ask(workspace, *what)
    except Refused as refusal:
        return refusal
    return None


def edited_and_without_its_config(
    scenario: Scenario, template: Template
) -> tuple[Workspace, Mapping[str, bytes]]:
    """A workspace that has only its state to say what its user edited, and that state."""
    published = scenario.publish(template)
    workspace = scenario.tenant(published).provision(published)
    skill = f"{SKILLS}/{template.named_skills()[0]}/SKILL.md"
    workspace.edit(skill, template.files[skill].content + b"\nMy rule.\n")
    workspace.edit(OWN_SKILL, a_skill("my-own"))
    workspace.lose(CONFIG)
    state = workspace.own_files
    scenario.proven("the implementation has files of its own", len(state))
    return workspace, state


def restored_from_each(scenario: Scenario, workspace: Workspace, snapshots: Iterable[str]) -> None:
    for snapshot in snapshots:
        seen = workspace.restore(snapshot)

        scenario.judge(edits.edit_1_user_edits_are_unchanged, seen)
        scenario.judge(reconcile.rec_7_a_restored_snapshot_converges_and_keeps_its_edits, seen, {})


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]
