"""The agent card: what this workspace's agent tells the others that it can do (A2A)."""

from __future__ import annotations

from typing import Any

from .skills import Loaded

_PROTOCOL = "0.3.0"
_TEXT = ["text/plain"]


def agent_card(loaded: Loaded, workspace: str, url: str) -> dict[str, Any]:
    def text(key: str, otherwise: str) -> str:
        value = loaded.config.get(key)
        return value if isinstance(value, str) and value else otherwise

    return {
        "name": text("name", workspace),
        "description": text("description", ""),
        "version": text("version", "0"),
        "url": url,
        "protocolVersion": _PROTOCOL,
        "capabilities": {},
        "defaultInputModes": _TEXT,
        "defaultOutputModes": _TEXT,
        "skills": [
            {
                "id": skill.directory,
                "name": skill.name,
                "description": skill.description,
                "tags": list(skill.commands),
            }
            for skill in loaded.skills
        ],
    }
