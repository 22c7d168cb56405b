"""A workspace that worked is restarted, and nobody names its template again."""

from __future__ import annotations

import pytest

from harness.oracle import allowlist, channel, failing, heal, reconcile
from harness.oracle.seen import CONFIGS
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import Workspace
from harness.templates.model import CONFIG, SKILLS, Template, TemplateFile
from harness.world.template_host.faults import Watched
from harness.world.template_host.misbehaviour import Fail, Hold

AGENT_OWNED = {
    "configs/MEMORY.md": b"The user likes short answers.\n",
    "configs/.initial_prompt_done": b"",
    "configs/.claude/settings.json": b'{"theme": "dark"}\n',
    "configs/plugins/notes/plugin.json": b"{}\n",
    "workspace/report.csv": b"page,score\n/,87\n",
    "home/.bash_history": b"ls\n",
}


@pytest.mark.each_choice("template")
def test_a_restart_writes_nothing_where_nothing_changed(
    scenario: Scenario, template: Template, transport: str
) -> None:
    published = scenario.publish(template)
    fetches = Watched()
    with scenario.cloud.template_host.intercept(published.name, fetches):
        workspace = scenario.tenant(published).provision(published, transport=transport)
        for path, content in AGENT_OWNED.items():
            workspace.volume.write(path, content)
        before = workspace.files

        seen = workspace.restart()

    scenario.judge(
        channel.chn_8_a_version_is_fetched_no_more_often_than_it_must_be,
        fetches.hits,
        1 if transport == "object" else 2,
    )
    scenario.judge(reconcile.rec_2_nothing_was_written, before, seen)
    scenario.judge(allowlist.alw_5_agent_owned_files_are_untouched, seen, before)


@pytest.mark.each_choice("template")
def test_a_restart_repairs_lost_and_damaged_skills(
    scenario: Scenario, template: Template, transport: str
) -> None:
    published = scenario.publish(template)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    lost = f"{SKILLS}/{template.skills()[0]}"
    before = workspace.files
    damaged = [path for path in template.asset_set() if path.startswith(f"{lost}/")]
    workspace.lose(lost)
    others = [
        path
        for path, file in template.asset_set().items()
        if path not in damaged and path != CONFIG and file.content
    ]
    for path, damage in zip(sorted(others), (cut_short, made_a_directory, given_another_mode), strict=False):
        damage(workspace, path, template.files[path])
        damaged.append(path)

    seen = workspace.restart()

    scenario.judge(heal.heal_5_damage_is_repaired_and_nothing_else_touched, seen, damaged, before)


def test_a_restart_repairs_what_ends_in_nul_or_is_of_another_type(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    prompt, manual = "system-prompt.md", f"{SKILLS}/meeting-notes/SKILL.md"
    within = b"Somebody may miss this.\n"
    before = workspace.files
    for path in (CONFIG, prompt):
        workspace.lose(path)
    workspace.volume.write(f"{CONFIGS}/{CONFIG}/note.txt", within)
    workspace.volume.make_fifo(f"{CONFIGS}/{prompt}")
    workspace.damage(manual, minimal.files[manual].content[:-16] + b"\0" * 16)

    seen = workspace.restart()

    damaged = [CONFIG, prompt, manual]
    scenario.judge(heal.heal_5_damage_is_repaired_and_nothing_else_touched, seen, damaged, before)
    scenario.judge(heal.heal_8_what_is_in_a_directory_in_a_files_place_is_not_destroyed, seen, CONFIG, within)


def cut_short(workspace: Workspace, path: str, file: TemplateFile) -> None:
    workspace.damage(path, file.content[: len(file.content) // 2])


def made_a_directory(workspace: Workspace, path: str, _: TemplateFile) -> None:
    workspace.lose(path)
    workspace.volume.make_directory(f"{CONFIGS}/{path}")


def given_another_mode(workspace: Workspace, path: str, file: TemplateFile) -> None:
    workspace.volume.chmod(f"{CONFIGS}/{path}", 0o644 if file.mode == "755" else 0o755)


def test_an_update_of_the_template_arrives_at_the_next_restart(
    scenario: Scenario, seo: Template, transport: str
) -> None:
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    gone = next(path for path in seo.asset_set() if path.startswith("prompts/"))
    skill = seo.named_skills()[0]
    changed = f"{SKILLS}/{skill}/SKILL.md"
    added = f"{SKILLS}/{skill}/commands/added-upstream.md"
    update = (
        seo.without(gone)
        .with_file(changed, seo.files[changed].content + b"\nLook at the headings too.\n")
        .with_file(added, b"# Added upstream\n\nSay what is new.\n")
    )
    published.publish(update)

    seen = workspace.restart()

    scenario.judge(reconcile.rec_9_a_template_update_arrives_at_the_next_boot, seen, [changed, added])
    scenario.judge(reconcile.rec_6_a_file_removed_upstream_is_removed, seen, [gone])
    scenario.judge(channel.chn_4_the_ref_resolves_to_its_commit, seen)


@pytest.mark.parametrize("pin", ["commit", "tag"])
def test_a_pinned_template_stays_when_the_branch_moves(
    scenario: Scenario, minimal: Template, transport: str, pin: str
) -> None:
    published = scenario.publish(minimal)
    commit = published.publish(minimal, tag="v1.0.0")
    workspace = scenario.tenant(published).provision(
        published, ref=commit if pin == "commit" else "v1.0.0", transport=transport
    )
    published.publish(minimal.with_file("system-prompt.md", b"You are somebody else now.\n"))

    seen = workspace.restart()

    scenario.judge(channel.chn_4_the_ref_resolves_to_its_commit, seen)


def test_a_loss_of_all_skills_is_taken_in_where_the_caller_means_it(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    lost = [path for path in minimal.asset_set() if path.startswith(f"{SKILLS}/")]
    config, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
    published.publish(minimal.without(SKILLS).with_file(CONFIG, config))

    seen = workspace.restart(accept_loss=True)

    scenario.judge(reconcile.rec_11_a_loss_that_the_caller_means_is_taken_in, seen, lost)
    workspace.restart()


def test_restarts_asked_for_at_once_amid_another_are_made_behind_it(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    hold = Hold()
    with scenario.cloud.template_host.intercept(published.name, hold):
        previous = workspace.ask_to_restart()
        hold.await_first(timeout=30)
        asked = workspace.ask_to_restart_at_once(2)
        hold.release()

        workspace.restarted(3, asked, previous)
        scenario.proven("restarts were asked for while a boot was under way", hold.hits)


def test_a_template_named_amid_other_requests_is_the_workspaces_from_then_on(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    published.publish(minimal.with_file("system-prompt.md", b"You are somebody else now.\n"), tag="v2.0.0")
    published.publish(minimal)

    hold = Hold()
    with scenario.cloud.template_host.intercept(published.name, hold):
        previous = workspace.ask_to_restart()
        hold.await_first(timeout=30)
        workspace.tenant.api.restart(workspace.id, template=f"{published.name}@v2.0.0")
        workspace.ask_to_restart()
        hold.release()

        workspace.ref = "v2.0.0"
        seen = workspace.booted("restart", previous, requests=3)
        scenario.proven("a template was named while a boot was under way", hold.hits)

    scenario.judge(channel.chn_4_the_ref_resolves_to_its_commit, seen)


def test_requests_of_all_kinds_asked_for_at_once_are_all_made_in_their_order(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)

    workspace.ask_at_once("restart", "stop", "restart", "stop", "start")
    workspace.ask_at_once("stop", "start", "restart")


def test_a_restart_without_the_template_host_keeps_the_tree_and_says_so(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    outage = Fail(500)
    with scenario.cloud.template_host.intercept(published.name, outage), workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.proven("the template host answered 500", outage.hits)
    scenario.judge(failing.fail_2_a_failed_fetch_leaves_the_tree_and_says_so, seen)
    workspace.restart()


def test_stop_and_start_reconcile_as_a_restart_does(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    workspace.stop()
    workspace.lose(CONFIG)

    seen = workspace.start()

    scenario.judge(heal.heal_1_a_missing_config_is_repaired, seen)
