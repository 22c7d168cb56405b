"""Templates that are hostile or broken, volumes with a link planted on them: what is refused, and what stays intact."""

from __future__ import annotations

import pytest

from harness.oracle import allowlist, boundary, reconcile, skills
from harness.oracle.canaries import CREDENTIAL_FIELD
from harness.oracle.seen import CONFIGS, Seen
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.scenario.tenant import Tenant
from harness.scenario.workspace import Workspace
from harness.templates import with_skill
from harness.templates.model import (
    CONFIG,
    SKILLS,
    Entry,
    Template,
    TemplateFile,
    TemplateLink,
    TemplateSubmodule,
)
from harness.world.template_host.misbehaviour import Hold

SKILL = f"{SKILLS}/meeting-notes"
CANARIES = {
    "workspace/canary.md": b"This stays as it is.\n",
    "home/.profile": b"# and so does this\n",
}
OUTSIDE = ("outside", "escape", "leave", "travers", "parent", "plain form", "..")
LONG = ("long", "length", "limit")
SAME = ("collid", "collision", "duplicate", "same", "twice", "once", "case", "normal")
HOSTILE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "leads out of the config root": ((f"{SKILLS}/../../workspace/canary.md",), OUTSIDE),
    "absolute": (("/etc/profile.d/canary.sh",), (*OUTSIDE, "absolute", "relative", "slash")),
    "backslashes": ((f"{SKILL}/..\\..\\canary.md",), ("backslash", *OUTSIDE)),
    "a control character": (("prompts/bell\x07new\nline.md",), ("control", "character", "printable")),
    "collide by case": (("prompts/Style.md", "prompts/style.md"), SAME),
    "collide by case, of directories": ((f"{SKILL}/Parts/a.md", f"{SKILL}/parts/b.md"), SAME),
    "collide by normalisation": (("prompts/café.md", "prompts/cafe\N{COMBINING ACUTE ACCENT}.md"), SAME),
    "a name of 300 bytes": ((f"prompts/{'n' * 297}.md",), LONG),
    "a path of 5,000 bytes": ((f"prompts/{'long-folder/' * 416}a.md",), (*LONG, "depth", "deep", "parts")),
    ".git": ((f"{SKILL}/.git/hooks/post-checkout",), ("reserved", "forbidden", "not allowed", ".git")),
    ".git in another case": ((f"{SKILL}/.GIT/config",), ("reserved", "forbidden", "not allowed", ".git")),
    "one name twice": (("prompts/twice.md", "prompts/twice.md"), SAME),
    "a file and a directory": (("prompts/both", "prompts/both/a.md"), (*SAME, "directory")),
}
NO_PLAIN_FILES: dict[str, tuple[Entry, tuple[str, ...]]] = {
    "link": (TemplateLink("../../workspace/canary.md"), ("link",)),
    "submodule": (TemplateSubmodule("5" * 40), ("submodule", "module", "commit")),
}
NOT_LISTS = {"null": "null", "a string": "meeting-notes", "a mapping": "{meeting-notes: true}"}
MALFORMED = {
    "no-manual": {"notes.md": b"# There is no SKILL.md here\n"},
    "broken-front-matter": {"SKILL.md": b"---\nname: [unclosed\n---\n\nBe brief.\n"},
    "no-front-matter": {"SKILL.md": b"Be brief.\n"},
    "not-utf-8": {"SKILL.md": b"---\nname: not-utf-8\ndescription: Sm\xf8rrebr\xf8d.\n---\n\nBe brief.\n"},
    "manual-is-a-directory": {"SKILL.md/README.md": b"# Not here either\n"},
}
LOST = {"all skills": (SKILLS, "skill"), "config.yaml": (CONFIG, CONFIG)}
PLANTED = {
    CONFIG: "a target",
    f"{SKILL}/SKILL.md": "a target in a skill",
    SKILL: "a skill's directory",
    SKILLS: "the directory of all skills",
}
ELSEWHERE = "workspace/elsewhere"


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_template_with_a_hostile_path_is_refused_by_name(
    scenario: Scenario, minimal: Template, transport: str, kind: str
) -> None:
    hostile, rule = HOSTILE[kind]
    published = scenario.publish(minimal)
    published.publish_literally(
        [
            *minimal.entries.items(),
            *((path, TemplateFile(b"# number %d of them\n" % number)) for number, path in enumerate(hostile)),
        ]
    )

    seen = provision_beside_canaries(scenario, scenario.tenant(published), published, transport)

    scenario.judge(allowlist.alw_2_a_hostile_path_is_refused_by_name, seen, hostile, rule, CANARIES)


@pytest.mark.parametrize("path", [f"{SKILL}/notes.md", SKILLS])
@pytest.mark.parametrize("kind", NO_PLAIN_FILES)
def test_a_link_or_submodule_in_the_asset_set_is_refused_by_name(
    scenario: Scenario, minimal: Template, transport: str, kind: str, path: str
) -> None:
    entry, rule = NO_PLAIN_FILES[kind]
    rest = minimal.without(path) if path == SKILLS else minimal
    published = scenario.publish(rest.with_entries({path: entry}))

    seen = provision_beside_canaries(scenario, scenario.tenant(published), published, transport)

    scenario.judge(allowlist.alw_3_a_link_or_submodule_is_refused_by_name, seen, path, rule, CANARIES)


def test_a_link_and_a_submodule_outside_the_allowlist_are_not_skipped_in_silence(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    outside: dict[str, Entry] = {
        "CLAUDE.md": TemplateLink(CONFIG),
        "vendor/tools": TemplateSubmodule("5" * 40),
    }
    published = scenario.publish(minimal.with_entries(outside))
    workspace = scenario.tenant(published).create(published, transport=transport)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    for path in outside:
        scenario.judge(allowlist.alw_3_a_link_or_submodule_outside_is_not_skipped_in_silence, seen, path)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_link_planted_on_the_volume_is_replaced_and_not_followed(
    scenario: Scenario, minimal: Template, planted: str
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    at = f"{CONFIGS}/{planted}"
    lead_elsewhere(workspace, at)
    before = workspace.files

    seen = workspace.restart()

    scenario.judge(allowlist.alw_4_nothing_is_written_through_a_planted_link, seen, at, ELSEWHERE, before)


@pytest.mark.parametrize("kind", NOT_LISTS)
def test_skills_that_are_no_list_are_a_named_error(scenario: Scenario, minimal: Template, kind: str) -> None:
    head, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
    config = head + f"skills: {NOT_LISTS[kind]}\n".encode()
    published = scenario.publish(minimal.with_file(CONFIG, config))
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(skills.skl_4_skills_of_another_type_are_a_named_error, seen)


@pytest.mark.parametrize("named", [True, False], ids=["named in config.yaml", "not named"])
def test_a_malformed_skill_is_reported_and_the_others_load(
    scenario: Scenario, minimal: Template, named: bool
) -> None:
    sound = minimal.named_skills()
    template = minimal
    if not named:
        head, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
        template = minimal.with_file(CONFIG, head)
    for name, files in MALFORMED.items():
        there = {f"{SKILLS}/{name}/{path}": TemplateFile(content) for path, content in files.items()}
        template = with_skill(template, name, there)
    published = scenario.publish(template)
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(
        skills.skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it, seen, MALFORMED, sound
    )


@pytest.mark.parametrize("what", LOST)
def test_an_update_that_lost_everything_wipes_no_working_volume(
    scenario: Scenario, minimal: Template, transport: str, what: str
) -> None:
    path, named = LOST[what]
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    before = workspace.files
    published.publish(minimal.without(path))
    with workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.judge(reconcile.rec_11_a_template_that_lost_everything_wipes_no_volume, seen, named, before)

    published.publish(minimal.with_file("system-prompt.md", b"Everything is back.\n"))
    workspace.restart()


@pytest.mark.parametrize("field", ["shared_secret", "db_password", CREDENTIAL_FIELD])
def test_an_asset_that_holds_a_bootstrap_value_is_refused_by_name(
    scenario: Scenario, minimal: Template, field: str
) -> None:
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    path = f"{SKILL}/references/access.md"
    leaked = tenant.canaries[field].value
    published.publish(minimal.with_file(path, f"# How to get in\n\nSay {leaked} at the door.\n"))
    workspace = tenant.create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(boundary.bnd_9_an_asset_with_a_bootstrap_value_is_refused, seen, path)


def provision_beside_canaries(
    scenario: Scenario, tenant: Tenant, published: Published, transport: str
) -> Seen:
    """A first boot of a template that must be refused, with canaries on the volume before anything is fetched."""
    hold = Hold()
    with scenario.cloud.template_host.intercept(published.name, hold):
        workspace = tenant.create(published, transport=transport)
        hold.await_first(timeout=30)
        workspace.now()
        for path, content in CANARIES.items():
            workspace.volume.write(path, content)
        hold.release()
        with workspace.expecting_trouble():
            return workspace.booted("provision")


def lead_elsewhere(workspace: Workspace, at: str) -> None:
    """Move what is at `at`, a file or a tree, to a directory outside the config root, and leave a link to it there."""
    volume = workspace.volume
    for path, content in list(volume.files(at)):
        volume.write(
            f"{ELSEWHERE}/{path.removeprefix(at).lstrip('/') or 'file'}", content + b"# not the agent's\n"
        )
    target = ELSEWHERE if f"{ELSEWHERE}/file" not in workspace.files else f"{ELSEWHERE}/file"
    volume.remove(at)
    volume.make_link(at, "/".join([".."] * at.count("/") + [target]))
