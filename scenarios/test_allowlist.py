"""Templates that are hostile or broken, volumes with a link planted on them: what is refused, and what stays intact."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from harness.oracle import allowlist, reconcile, skills
from harness.oracle.seen import CONFIGS, Seen
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.scenario.workspace import Workspace
from harness.templates import BOTTOMLESS, with_skill
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
CANARIES = {"workspace/canary.md": b"This stays as it is.\n"}
SIDE_BY_SIDE = 6
"""First boots at once: while a canary is planted the fetch is held, and held for long it would pass its own bounds."""


class Hostile(NamedTuple):
    """Paths that no template may have."""

    rule: str | None
    """What they break, for which there has to be an error code; None where more than one rule could be named."""
    paths: tuple[str, ...]
    words: tuple[str, ...]
    """Of which an error that names the rule has one."""


HOSTILE = {
    "leads out of the config root": Hostile(
        "traversing", (f"{SKILLS}/../../workspace/canary.md",), allowlist.OUTSIDE
    ),
    "absolute": Hostile(
        "absolute", ("/etc/profile.d/canary.sh",), (*allowlist.OUTSIDE, "absolute", "relative", "slash")
    ),
    "a backslash": Hostile("backslashed", (f"{SKILL}/parts\\a.md",), ("backslash",)),
    "leads out by backslashes": Hostile(
        None, (f"{SKILL}/..\\..\\canary.md",), ("backslash", *allowlist.OUTSIDE)
    ),
    "a control character": Hostile(
        "control character", ("prompts/bell\x07new\nline.md",), ("control", "character", "printable")
    ),
    "collide by case": Hostile("colliding", ("prompts/Style.md", "prompts/style.md"), allowlist.SAME),
    "collide by case, of directories": Hostile(
        "colliding", (f"{SKILL}/Parts/a.md", f"{SKILL}/parts/b.md"), allowlist.SAME
    ),
    "collide by normalisation": Hostile(
        "colliding", ("prompts/café.md", "prompts/cafe\N{COMBINING ACUTE ACCENT}.md"), allowlist.SAME
    ),
    "a name of 300 bytes": Hostile("over-long", (f"prompts/{'n' * 297}.md",), allowlist.LONG),
    "a path of 5,000 bytes": Hostile(
        "over-long", (f"prompts/{'long-folder/' * 416}a.md",), (*allowlist.LONG, "depth", "deep", "parts")
    ),
    ".git": Hostile("reserved", (f"{SKILL}/.git/hooks/post-checkout",), allowlist.RESERVED),
    ".git in another case": Hostile("reserved", (f"{SKILL}/.GIT/config",), allowlist.RESERVED),
    "one name twice": Hostile("duplicate", ("prompts/twice.md", "prompts/twice.md"), allowlist.SAME),
    "a file and a directory": Hostile(
        "file and directory", ("prompts/both", "prompts/both/a.md"), (*allowlist.SAME, "directory")
    ),
}
NO_PLAIN_FILES: dict[str, tuple[str, Entry, tuple[str, ...]]] = {
    f"{kind} at {path}": (path, entry, words)
    for path in (f"{SKILL}/notes.md", SKILLS)
    for kind, entry, words in (
        ("a link", TemplateLink("../../workspace/canary.md"), ("link",)),
        ("a submodule", TemplateSubmodule("5" * 40), ("submodule", "module", "commit")),
    )
}
"""Each with the words of which an error that says what it is has one."""
NOT_LISTS = {"null": "null", "a string": "meeting-notes", "a mapping": "{meeting-notes: true}"}
MALFORMED: dict[str, dict[str, dict[str, bytes]]] = {
    "no SKILL.md": {"no-manual": {"notes.md": b"# There is no SKILL.md here\n"}},
    "bad front matter": {
        "broken-front-matter": {"SKILL.md": b"---\nname: [unclosed\n---\n\nBe brief.\n"},
        "no-front-matter": {"SKILL.md": b"Be brief.\n"},
        "empty": {"SKILL.md": b""},
        "unended-front-matter": {"SKILL.md": b"---\nname: unended-front-matter\ndescription: Short.\n"},
        "no-name": {"SKILL.md": b"---\ndescription: Short.\n---\n\nBe brief.\n"},
        "no-description": {"SKILL.md": b"---\nname: no-description\ndescription: ' '\n---\n\nBe brief.\n"},
        "bottomless-front-matter": {
            "SKILL.md": b"---\nname: bottomless-front-matter\ndescription: %b\n---\n\nBe brief.\n"
            % BOTTOMLESS
        },
    },
    "not UTF-8": {
        "not-utf-8": {"SKILL.md": b"---\nname: not-utf-8\ndescription: Sm\xf8rrebr\xf8d.\n---\n\nBe brief.\n"}
    },
    "SKILL.md a directory": {"manual-is-a-directory": {"SKILL.md/README.md": b"# Not here either\n"}},
}
"""Skills, and their files, by what is wrong with them."""
LOST = {"all skills": (SKILLS, "skill"), "config.yaml": (CONFIG, CONFIG)}
PLANTED = {
    CONFIG: "a target",
    f"{SKILL}/SKILL.md": "a target in a skill",
    SKILL: "a skill's directory",
    SKILLS: "the directory of all skills",
}
ELSEWHERE = "workspace/elsewhere"
PROMPT = "prompts/tone.md"
"""What its user edited stays beside a planted link as well."""


def test_each_hostile_path_is_refused_by_name_and_by_its_own_rule(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = {kind: scenario.publish(minimal) for kind in [*HOSTILE, *NO_PLAIN_FILES]}
    for kind, hostile in HOSTILE.items():
        files = [
            (path, TemplateFile(b"# number %d of them\n" % number))
            for number, path in enumerate(hostile.paths)
        ]
        published[kind].publish_literally([*minimal.entries.items(), *files])
    for kind, (path, entry, _) in NO_PLAIN_FILES.items():
        rest = minimal.without(path) if path == SKILLS else minimal
        published[kind].publish(rest.with_entries({path: entry}))

    seen = provision_beside_canaries(scenario, published, transport)

    codes: dict[str, list[str]] = {}
    for kind, (rule, paths, words) in HOSTILE.items():
        scenario.judge(
            allowlist.alw_2_a_hostile_path_is_refused_by_name, seen[kind], kind, paths, words, CANARIES
        )
        if rule:
            codes.setdefault(rule, []).append(str(seen[kind].error.get("code") or ""))
    others: dict[str, list[str]] = {}
    for kind, (path, _, words) in NO_PLAIN_FILES.items():
        scenario.judge(
            allowlist.alw_3_a_link_or_submodule_is_refused_by_name, seen[kind], kind, path, words, CANARIES
        )
        others.setdefault(words[0], []).append(str(seen[kind].error.get("code") or ""))
    scenario.judge(allowlist.alw_2_each_rule_has_its_own_error_code, {**codes, **others})
    scenario.judge(allowlist.alw_3_links_and_submodules_have_error_codes_of_their_own, others)


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
    published = scenario.publish(minimal.with_file(PROMPT, b"Be brief.\n"))
    workspace = scenario.tenant(published).provision(published)
    workspace.edit(PROMPT, b"Be brief with me.\n")
    at = f"{CONFIGS}/{planted}"
    lead_elsewhere(workspace, at)
    before = workspace.files

    seen = workspace.restart()

    scenario.judge(allowlist.alw_4_nothing_is_written_through_a_planted_link, seen, at, ELSEWHERE, before)


def test_a_link_in_place_of_what_the_implementation_keeps_is_not_written_through(
    scenario: Scenario, minimal: Template
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published)
    volume, planted = workspace.volume, list(workspace.own_files)
    volume.write(f"{ELSEWHERE}/file", b"This stays as it is.\n")
    for number, path in enumerate(planted):
        volume.remove(path)
        volume.make_link(path, "/".join([".."] * path.count("/") + [ELSEWHERE, f"nothing-yet-{number}"]))
    before = workspace.files

    # Whether it boots for all that is left open.
    with workspace.expecting_trouble(writable=False):
        seen = workspace.restart()

    scenario.proven("links were planted in place of the implementation's own files", len(planted))
    scenario.judge(allowlist.alw_4_nothing_is_written_where_links_lead, seen, planted, ELSEWHERE, before)


def test_skills_that_are_no_list_are_an_error_for_each_type(scenario: Scenario, minimal: Template) -> None:
    head, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
    published = {
        kind: scenario.publish(minimal.with_file(CONFIG, head + f"skills: {value}\n".encode()))
        for kind, value in NOT_LISTS.items()
    }
    tenant = scenario.tenant(*published.values())
    workspaces = {kind: tenant.create(each) for kind, each in published.items()}
    codes: dict[str, str | None] = {}
    for kind, workspace in workspaces.items():
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(skills.skl_4_skills_of_another_type_are_a_named_error, seen, kind)
        codes[kind] = seen.error.get("code")

    scenario.judge(skills.skl_4_each_type_has_its_own_error_code, codes)


@pytest.mark.parametrize("named", [True, False], ids=["named in config.yaml", "not named"])
def test_a_malformed_skill_is_reported_and_the_others_load(
    scenario: Scenario, minimal: Template, named: bool
) -> None:
    sound = minimal.named_skills()
    template = minimal
    if not named:
        head, _, _ = minimal.files[CONFIG].content.partition(b"skills:")
        template = minimal.with_file(CONFIG, head)
    malformed = {name: files for skills_ in MALFORMED.values() for name, files in skills_.items()}
    for name, files in malformed.items():
        there = {f"{SKILLS}/{name}/{path}": TemplateFile(content) for path, content in files.items()}
        template = with_skill(template, name, there)
    published = scenario.publish(template)
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(
        skills.skl_5_a_malformed_skill_is_reported_and_takes_no_other_with_it, seen, malformed, sound
    )
    scenario.judge(skills.skl_5_each_way_to_be_malformed_has_its_own_reason, seen, MALFORMED)


@pytest.mark.each_choice("what", LOST)
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


def provision_beside_canaries(
    scenario: Scenario, published: Mapping[str, Published], transport: str
) -> dict[str, Seen]:
    """First boots of templates that must be refused, with canaries on each volume before anything is fetched."""
    tenant = scenario.tenant(*published.values())

    def provision(kind: str) -> Workspace:
        hold = Hold()
        with scenario.cloud.template_host.intercept(published[kind].name, hold):
            workspace = tenant.create(published[kind], transport=transport)
            hold.await_first(timeout=60)
            workspace.now()
            for path, content in CANARIES.items():
                workspace.volume.write(path, content)
            hold.release()
        return workspace

    seen: dict[str, Seen] = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as provisioning:
        for kind, workspace in zip(published, provisioning.map(provision, published), strict=True):
            with workspace.expecting_trouble():
                seen[kind] = workspace.booted("provision")
    return seen


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
