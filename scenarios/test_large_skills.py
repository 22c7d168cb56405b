"""Skills of any size and number arrive whole, over each transport, and on a machine of little memory."""

from __future__ import annotations

import pytest

from harness.oracle import channel, edits, heal, skills
from harness.oracle.check import ContractBroken
from harness.oracle.seen import Seen
from harness.runtime.base import Conditions
from harness.scenario.scenario import Scenario
from harness.templates import with_generated_skill
from harness.templates.model import CONFIG, SKILLS, Template

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize(
    ("size", "files"), [(65_537, 12), (262_145, 12), (716 * KIB, 201), (6 * MIB, 5_000), (100 * MIB, 60)]
)
def test_a_skill_beyond_the_old_caps_arrives_whole(
    scenario: Scenario, minimal: Template, size: int, files: int
) -> None:
    """Over every transport that is claimed, side by side: what is made and searched for one serves all."""
    template = with_generated_skill(minimal, "large-library", size=size, files=files)
    published = scenario.publish(template)
    tenant = scenario.tenant(published)
    transports = scenario.cloud.implementation.capabilities.transports
    workspaces = {each: tenant.create(published, transport=each) for each in transports}
    seens: dict[str, Seen] = {each: workspace.booted("provision") for each, workspace in workspaces.items()}

    for seen in seens.values():
        scenario.judge(skills.skl_6_a_large_asset_set_is_delivered_whole, seen)
    scenario.judge(channel.chn_7_all_transports_give_the_same_tree, seens)


def test_a_large_file_is_repaired_where_it_is_damaged_and_kept_where_it_is_edited(
    scenario: Scenario, minimal: Template
) -> None:
    """Beside a config.yaml of many values."""
    content = bytes(range(256)) * (4 * KIB)
    damaged, edited = (f"{SKILLS}/meeting-notes/references/{name}.bin" for name in ("damaged", "edited"))
    keywords = b"".join(b"  - {word: keyword %d}\n" % number for number in range(1_000))
    config = minimal.files[CONFIG].content + b"keywords:\n" + keywords
    published = scenario.publish(
        minimal.with_file(CONFIG, config).with_file(damaged, content).with_file(edited, content[::-1])
    )
    workspace = scenario.tenant(published).provision(published)
    workspace.edit(edited, content)
    before = workspace.files
    workspace.damage(damaged, content[: len(content) // 2])

    seen = workspace.restart()

    scenario.judge(edits.edit_1_user_edits_are_unchanged, seen)
    scenario.judge(heal.heal_5_damage_is_repaired_and_nothing_else_touched, seen, [damaged], before)


@pytest.mark.long
def test_skills_of_512_mib_boot_on_a_machine_of_256_mib(scenario: Scenario, minimal: Template) -> None:
    memory = 256 * MIB
    with scenario.cloud.hypervisor.next_machine(Conditions(memory=memory)) as trial:
        template = half_a_gibibyte(minimal)
        published = scenario.publish(template)
        workspace = scenario.tenant(published).create(published)
        try:
            seen = workspace.booted("provision")
        except ContractBroken:  # what has not even settled is judged too, in the words of what this is about
            seen = workspace.look("provision")

    scenario.proven("a machine had no more than 256 MiB", trial.hits)
    scenario.judge(
        skills.skl_8_a_machine_of_little_memory_boots_a_large_asset_set, seen, trial.instance, memory
    )


def half_a_gibibyte(template: Template) -> Template:
    """540 MiB, of which 270 MiB are of their own and in one file: enough to overflow a memory that keeps everything
    once, or a file whole."""
    template = with_generated_skill(template, "large-library", size=270 * MIB, files=4)
    again = {
        path.replace("/references/", "/references/again/"): file
        for path, file in template.files.items()
        if path.startswith(f"{SKILLS}/large-library/references/")
    }
    return template.with_entries(again)
