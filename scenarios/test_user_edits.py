"""The user changes what the template delivered and adds things of his own, and the template goes on changing too."""

from __future__ import annotations

import time
from collections.abc import Mapping

from harness.oracle import edits, reconcile, skills
from harness.oracle.seen import CONFIGS
from harness.scenario.scenario import Scenario
from harness.templates import with_skill
from harness.templates.model import CONFIG, SKILLS, Template, TemplateFile

SYSTEM = "prompts/system.md"
STYLE = "prompts/house-style.md"
MANUAL = f"{SKILLS}/site-audit/SKILL.md"
CHECKS = f"{SKILLS}/site-audit/references/checks.md"
EXCLUSIONS = f"{SKILLS}/site-audit/references/exclusions.txt"
SCRIPT = f"{SKILLS}/site-audit/scripts/status.sh"
PICTURE = f"{SKILLS}/content-brief/assets/mark.png"
FORM = f"{SKILLS}/content-brief/assets/brief.txt"
BOTH_ADD = "prompts/tone.md"
MARK = f"{SKILLS}/my-own/assets/mark.bin"
ADDED = {
    f"{SKILLS}/my-own/SKILL.md": b"---\nname: my-own\ndescription: Mine.\n---\n\nDo as I do.\n",
    MARK: bytes(range(256)),
    f"{SKILLS}/site-audit/commands/my-own.md": b"# As I like it\n",
    "prompts/mine.md": b"Call me by my first name.\n",
    "prompts/empty.md": b"",
}
"""A skill of the user's, a command more for one of the template's, and prompts."""
IN_PLACE_OF_A_FILE = f"{EXCLUSIONS}/mine.txt"
"""The user made a folder of a file that the template then drops."""
EDITED: Mapping[str, tuple[tuple[bytes, bytes], ...]] = {
    STYLE: ((b"Findings first, method last", b"Method first"),),
    SYSTEM: ((b"You help a team to be found.", b"You help me to be found."),),
    MANUAL: ((b"and still |\n", b"and still |\n\nSay what it costs.\n"),),
    CHECKS: ((b"in four clicks", b"in three clicks"),),
    SCRIPT: ((b"sleep 1", b"sleep 2"),),
    PICTURE: ((b"\x89PNG", b"\x89MINE"),),
}
"""What the user changes of the template's files, other than config.yaml."""
FAR_APART = "a key far from all that the template changes"
CONFIGS_EDITED: Mapping[str, tuple[tuple[bytes, bytes], ...]] = {
    FAR_APART: ((b"timeout: 900", b"timeout: 60"),),
    "keys that the template leaves alone": (
        (b"model: sonnet", b"model: opus          # the slow one\npersona: terse"),
        (b"timeout: 900", b"timeout: 60"),
        (b"# In the order", b"# Mine last, in the order"),
        (b"  - structured-data", b"  - structured-data\n  - my-own"),
    ),
    "keys that the template changes as well": (
        (b"version: 2.3.0", b"version: 9.9.9-mine"),
        (b"tier: 2", b"tier: 5"),
        (b"model: sonnet", b"model: opus"),
    ),
    "every line's end": ((b"\n", b"\r\n"),),
}
"""What different users change of config.yaml."""


def test_user_edits_survive_three_restarts(scenario: Scenario, seo: Template, transport: str) -> None:
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    of_the_config = CONFIGS_EDITED["keys that the template leaves alone"]
    for path, content in {**edited_everywhere(seo), CONFIG: edited(seo, CONFIG, *of_the_config)}.items():
        workspace.edit(path, content)

    for _ in range(3):
        before = workspace.files
        seen = workspace.restart()
        scenario.judge(edits.edit_1_user_edits_are_unchanged, seen)
        scenario.judge(reconcile.rec_2_nothing_was_written, before, seen)


def test_what_the_user_added_survives_a_restart_a_pause_and_an_auto_heal(
    scenario: Scenario, seo: Template
) -> None:
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published)
    for path, content in ADDED.items():
        workspace.edit(path, content)

    scenario.judge(edits.edit_4_what_the_user_added_survives, workspace.restart())
    workspace.stop()
    # So long that whoever watches it has looked: from its start on it has to be watched again.
    time.sleep(scenario.cloud.implementation.timing.doubt)
    scenario.judge(edits.edit_4_what_the_user_added_survives, workspace.start())
    published.publish(updated(seo))
    scenario.judge(edits.edit_4_what_the_user_added_survives, workspace.lose_the_machine())


def test_a_skill_of_the_users_that_does_not_load_is_reported_and_the_others_do(
    scenario: Scenario, minimal: Template
) -> None:
    head, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
    published = scenario.publish(minimal.with_file(CONFIG, head))
    workspace = scenario.tenant(published).provision(published)
    begun = f"{SKILLS}/begun/notes.md"
    workspace.edit(begun, b"# What it is to do\n")
    workspace.volume.make_fifo(f"{CONFIGS}/{SKILLS}/stuck/SKILL.md")

    # Whether it is online for all that, or degraded, is left open.
    with workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.judge(
        skills.skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it,
        seen,
        ["begun", "stuck"],
        minimal.named_skills(),
    )
    scenario.judge(edits.edit_4_what_the_user_added_survives, seen)


def test_what_both_change_of_the_config_is_settled_key_by_key_and_then_at_rest(
    scenario: Scenario, seo: Template
) -> None:
    published = scenario.publish(seo)
    tenant = scenario.tenant(published)
    workspaces = {kind: tenant.create(published) for kind in CONFIGS_EDITED}
    for kind, workspace in workspaces.items():
        workspace.booted("provision")
        workspace.edit(CONFIG, edited(seo, CONFIG, *CONFIGS_EDITED[kind]))
        workspace.edit(f"{SKILLS}/my-own/SKILL.md", ADDED[f"{SKILLS}/my-own/SKILL.md"])
        workspace.lose(EXCLUSIONS)
        workspace.edit(IN_PLACE_OF_A_FILE, b"/checkout\n")
    published.publish(updated(seo))

    asked = {kind: workspace.ask_to_restart() for kind, workspace in workspaces.items()}
    for kind, workspace in workspaces.items():
        seen = workspace.booted("restart", asked[kind])
        scenario.judge(edits.edit_2_changes_to_different_keys_are_both_there, seen)
        scenario.judge(edits.edit_3_where_both_changed_the_same_the_users_wins, seen)
        if kind == FAR_APART:
            scenario.judge(edits.edit_3_changes_to_different_keys_are_no_conflict, seen)
    for _ in range(2):
        before = {kind: workspace.files for kind, workspace in workspaces.items()}
        asked = {kind: workspace.ask_to_restart() for kind, workspace in workspaces.items()}
        for kind, workspace in workspaces.items():
            seen = workspace.booted("restart", asked[kind])
            scenario.judge(edits.edit_1_user_edits_are_unchanged, seen)
            scenario.judge(edits.edit_3_what_was_said_is_not_said_again, seen)
            scenario.judge(reconcile.rec_2_nothing_was_written, before[kind], seen)

    # What the template goes on to write behind the user's version makes no damaged file of that.
    workspace = workspaces[FAR_APART]
    continued = workspace.volume.read(f"{CONFIGS}/{CONFIG}") + b"reviewer: growth\n"
    published.publish(updated(seo).with_file(CONFIG, continued))
    scenario.judge(edits.edit_2_changes_to_different_keys_are_both_there, workspace.restart())


def test_a_list_of_skills_that_the_user_changed_and_the_template_dropped_stays(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    config = minimal.files[CONFIG].content
    workspace.edit(CONFIG, config + b"  - my-own\n")
    workspace.edit(f"{SKILLS}/my-own/SKILL.md", ADDED[f"{SKILLS}/my-own/SKILL.md"])

    # Then it has one again, of its own.
    for content in (config.partition(b"skills:")[0], config):
        published.publish(minimal.with_file(CONFIG, content))
        seen = workspace.restart()
        scenario.judge(edits.edit_2_changes_to_different_keys_are_both_there, seen)
        scenario.judge(edits.edit_3_where_both_changed_the_same_the_users_wins, seen)


def test_what_both_change_of_other_files_loses_neither_version_and_is_then_at_rest(
    scenario: Scenario, seo: Template
) -> None:
    published = scenario.publish(seo)
    workspace = scenario.tenant(published).provision(published)
    for path, content in edited_everywhere(seo).items():
        workspace.edit(path, content)
    published.publish(updated(seo))

    seen = workspace.restart()

    scenario.judge(edits.edit_3_where_both_changed_the_same_the_users_wins, seen)
    scenario.judge(reconcile.rec_6_an_edited_file_removed_upstream_is_kept_and_reported, seen, [CHECKS])
    scenario.judge(reconcile.rec_6_a_file_removed_upstream_is_removed, seen, [EXCLUSIONS])
    for _ in range(2):
        before = workspace.files
        seen = workspace.restart()
        scenario.judge(edits.edit_1_user_edits_are_unchanged, seen)
        scenario.judge(edits.edit_3_what_was_said_is_not_said_again, seen)
        scenario.judge(reconcile.rec_2_nothing_was_written, before, seen)

    # What the template goes on to write behind the user's version makes no damaged file of that.
    mine = edited_everywhere(seo)
    continued = {path: TemplateFile(mine[path] + b"and more") for path in (PICTURE, MARK)}
    published.publish(updated(seo).with_entries(continued))
    scenario.judge(edits.edit_3_where_both_changed_the_same_the_users_wins, workspace.restart())


def edited(template: Template, path: str, *changes: tuple[bytes, bytes]) -> bytes:
    """The content of one of its files with each text, which is there, replaced by another."""
    content = template.files[path].content
    for old, new in changes:
        if old not in content:
            raise ValueError(f"{path} has no {old!r}")
        content = content.replace(old, new)
    return content


def edited_everywhere(template: Template) -> dict[str, bytes]:
    """Each kind of file but config.yaml: edited, one of them down to a byte, or added."""
    files = {path: edited(template, path, *changes) for path, changes in EDITED.items()}
    return {**files, FORM: b"-", **ADDED, BOTH_ADD: b"Warm, and to the point.\n"}


def updated(template: Template) -> Template:
    """The template's next version, with changes to other keys and lines than the user's, and to the same ones."""
    changes: dict[str, tuple[tuple[bytes, bytes], ...]] = {
        CONFIG: (
            (b"version: 2.3.0", b"version: 2.4.0"),
            (b"tier: 2\n", b"tier: 3\n# Whom to ask.\nowner: growth\n"),
            (b"    - ANTHROPIC_API_KEY", b"    - ANTHROPIC_API_KEY\n    - SEARCH_API_KEY"),
        ),
        STYLE: ((b"- British spelling", b"- Plain English"),),
        SYSTEM: ((b"You help a team to be found.", b"You help teams to be found."),),
        MANUAL: ((b"with ten pages", b"with twenty pages"),),
        SCRIPT: ((b"sleep 1", b"sleep 3"),),
        PICTURE: ((b"\x89PNG", b"\x89NEWS"),),
    }
    newer = template.without(CHECKS, EXCLUSIONS)
    for path, words in changes.items():
        file = template.files[path]
        newer = newer.with_file(path, edited(template, path, *words), file.mode)
    newer = newer.with_file(BOTH_ADD, b"Cool, and at length.\n")
    manual = TemplateFile(b"---\nname: link-check\ndescription: Finds dead links.\n---\n\nFollow each one.\n")
    return with_skill(newer, "link-check", {f"{SKILLS}/link-check/SKILL.md": manual})
