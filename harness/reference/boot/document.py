"""Plain reading of YAML: every scalar stays the text that it is, so that no name turns into a boolean or a date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]


_DEEPEST = 100
"""Levels. Loaders call themselves for each: one in C ends the process where its stack does, and raises nothing."""


class DocumentError(Exception):
    """The text is not one YAML mapping; the message says where and never quotes the text."""


def parse_mapping(text: bytes) -> Mapping[str, Any]:
    """Raises DocumentError."""
    try:
        decoded = text.decode("utf-8-sig")
        _require_shallow(decoded)
        document = yaml.load(decoded, _Loader)  # noqa: S506 - builds text, lists and mappings only
    except UnicodeDecodeError:
        raise DocumentError("is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DocumentError(f"does not parse as YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(f"does not parse as YAML ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise DocumentError("is no mapping of keys to values")
    if not all(isinstance(key, str) for key in document):
        raise DocumentError("has a key that is no text")
    return document


def _require_shallow(text: str) -> None:
    """Raises DocumentError, and what the parser raises, which keeps its own account of where it is."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise DocumentError(f"is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
