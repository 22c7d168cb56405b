"""Templates as the harness knows them: the model, where they come from, and how large ones are made."""

from __future__ import annotations

from .generated import BOTTOMLESS, generated_skill, with_generated_skill, with_skill
from .model import (
    ALLOWLIST,
    Entry,
    Mode,
    Template,
    TemplateFile,
    TemplateLink,
    TemplateProblem,
    TemplateSubmodule,
    is_asset,
    tree_digest,
)
from .sources import NamedTemplate, load_skills, load_template

__all__ = [
    "ALLOWLIST",
    "BOTTOMLESS",
    "Entry",
    "Mode",
    "NamedTemplate",
    "Template",
    "TemplateFile",
    "TemplateLink",
    "TemplateProblem",
    "TemplateSubmodule",
    "generated_skill",
    "is_asset",
    "load_skills",
    "load_template",
    "tree_digest",
    "with_generated_skill",
    "with_skill",
]
