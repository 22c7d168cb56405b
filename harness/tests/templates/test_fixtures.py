"""The fixture templates are sound, and hold the awkward files that scenarios rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.templates import Template, load_template

TEMPLATES = Path(__file__).parents[3] / "fixtures" / "templates"


@pytest.fixture
def seo_agent() -> Template:
    return load_template(str(TEMPLATES / "seo-agent")).template


@pytest.mark.parametrize("name", ["minimal", "seo-agent", "concierge"])
def test_every_fixture_is_a_template_whose_skills_are_all_enabled(name: str) -> None:
    template = load_template(str(TEMPLATES / name)).template
    assert sorted(template.named_skills()) == list(template.skills())
    for skill in template.skills():
        front_matter = template.files[f"agent-skills/{skill}/SKILL.md"].content.split(b"---\n")[1]
        about = yaml.safe_load(front_matter)
        assert about["name"] == skill
        assert about["description"]
        assert template.commands(skill)


def test_the_search_agent_has_a_file_of_every_awkward_kind(seo_agent: Template) -> None:
    assets = seo_agent.asset_set()
    assert {path for path, file in assets.items() if file.mode == "755"} == {
        "agent-skills/site-audit/scripts/status.sh",
        "agent-skills/keyword-research/scripts/cluster.py",
    }
    assert assets["agent-skills/site-audit/references/exclusions.txt"].content == b""
    assert assets["agent-skills/keyword-research/references/intent.csv"].content.count(b"\r\n") == 5
    assert assets["agent-skills/content-brief/assets/brief.txt"].content.startswith(b"\xef\xbb\xbf")
    assert assets["agent-skills/content-brief/assets/mark.png"].content.startswith(b"\x89PNG\r\n\x1a\n\0")
    assert "agent-skills/keyword-research/references/märkte.md" in assets


def test_the_search_agent_has_files_that_are_not_delivered(seo_agent: Template) -> None:
    assert set(seo_agent.files) - set(seo_agent.asset_set()) == {"README.md", "docs/releasing.md"}
