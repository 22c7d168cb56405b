"""No template is special: not the platform's own agent, not one that nobody has seen before."""

from __future__ import annotations

import secrets

import yaml

from harness.oracle import generality
from harness.scenario.published import Nowhere
from harness.scenario.scenario import Scenario
from harness.scenario.tenant import unique_name
from harness.templates.model import CONFIG, SKILLS, Template, TemplateFile


def test_the_concierge_is_delivered_by_the_channel_of_any_template(
    scenario: Scenario, concierge: Template, minimal: Template, transport: str
) -> None:
    published = scenario.publish(concierge, name=f"{unique_name('platform')}/concierge")
    other = scenario.publish(minimal)
    tenant = scenario.tenant(published, other)
    workspaces = [tenant.create(each, transport=transport) for each in (published, other)]

    seen = [workspace.booted("provision") for workspace in workspaces]

    scenario.judge(generality.gen_3_the_concierge_comes_by_the_channel_of_any, *seen)


def test_a_missing_concierge_fails_and_no_other_agent_comes_up(
    scenario: Scenario, concierge: Template, transport: str
) -> None:
    empty = scenario.publish(concierge.without(CONFIG), name=f"{unique_name('platform')}/concierge")
    tenant = scenario.tenant(empty)
    workspaces = [
        tenant.create(published, transport=transport)
        for published in (Nowhere(f"{unique_name('platform')}/concierge"), empty)
    ]

    for workspace in workspaces:
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(generality.gen_4_a_missing_concierge_leaves_no_agent_in_its_place, seen)


def test_a_template_of_names_never_seen_before_is_delivered(scenario: Scenario, transport: str) -> None:
    published = scenario.publish(never_seen(), name=f"{a_name()}/{a_name()}")

    workspace = scenario.tenant(published).create(published, transport=transport)

    scenario.judge(generality.gen_1_a_template_never_seen_before_is_delivered, workspace.outcome("provision"))
    workspace.booted("provision")


def test_the_source_knows_no_template(
    scenario: Scenario, concierge: Template, seo: Template, minimal: Template
) -> None:
    names = [str(template.config["name"]) for template in (concierge, seo, minimal)]

    for source in scenario.cloud.implementation.sources or (None,):
        scenario.judge(generality.gen_2_the_source_knows_no_template, source, names)


def a_name() -> str:
    return "".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(5))


def never_seen() -> Template:
    """A template of which only what the contract fixes has a name that anybody knows.

    Its config is long and enables all skills, of which one's name begins another's; prompts lie in folders of the same
    names, and a page lies beside the skills.
    """
    names = [a_name() for _ in range(3)]
    names.append(f"{names[0]}-{a_name()}")
    config = {
        "name": a_name(),
        "description": f"Does {a_name()} and {a_name()}.",
        "runtime": "claude-code",
        a_name(): {a_name(): a_name()},
        a_name(): [{a_name(): [a_name(), number]} for number in range(200)],
    }
    files = {
        CONFIG: TemplateFile(yaml.safe_dump(config, sort_keys=False).encode()),
        f"{SKILLS}/{a_name()}.md": TemplateFile(f"# {a_name()}\n\nOne folder for each.\n".encode()),
    }
    for name in names:
        manual = f"---\nname: {name}\ndescription: Does {a_name()}.\n---\n\nDo {a_name()}, then {a_name()}.\n"
        files |= {
            f"{SKILLS}/{name}/SKILL.md": TemplateFile(manual.encode()),
            f"{SKILLS}/{name}/commands/{a_name()}.md": TemplateFile(
                f"# {a_name()}\n\nSay {a_name()}.\n".encode()
            ),
            f"{SKILLS}/{name}/{a_name()}/{a_name()}.{a_name()[:3]}": TemplateFile(
                secrets.token_bytes(2_000), "755"
            ),
            f"prompts/{name}/{a_name()}.txt": TemplateFile(f"You {a_name()} all day.\n".encode()),
        }
    return Template(dict(files))
