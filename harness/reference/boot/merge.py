"""Bringing a template's changes of `config.yaml` into a user's version of it, key by key (EDIT-2, EDIT-3).

The user's text is what is edited, so that comments, order and quoting stay the user's.
"""

from __future__ import annotations

import io
import re
from collections.abc import MutableMapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

_INDENTED_SEQUENCE = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*\n(?:\s*#[^\n]*\n)*\1( +)- ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Merge:
    text: bytes
    conflicts: tuple[str, ...]
    """Keys (dotted) that both changed, where the user's value stands."""


def merge_config(base: bytes | None, live: bytes, new: bytes) -> Merge | None:
    """None where the texts are not mappings that can be edited; without a base, all that differs is the user's."""
    # Loaded only now: few boots have anything to merge.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    try:
        text = live.decode("utf-8-sig")
        documents = [yaml.load(io.BytesIO(version)) if version is not None else {} for version in (base, new)]
        ours = yaml.load(text)
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    if not all(isinstance(document, MutableMapping) for document in (ours, *documents)):
        return None
    conflicts: list[str] = []
    if not _merge(documents[0], ours, documents[1], "", conflicts):
        return Merge(live, tuple(conflicts))
    if indented := _INDENTED_SEQUENCE.search(text):
        offset = len(indented[2])
        yaml.indent(sequence=offset + 2, offset=offset)
    merged = io.BytesIO()
    yaml.dump(ours, merged)
    ending = b"\r\n" if b"\r\n" in live else b"\n"
    return Merge(merged.getvalue().replace(b"\n", ending), tuple(conflicts))


def _merge(
    base: MutableMapping[Any, Any],
    ours: MutableMapping[Any, Any],
    theirs: MutableMapping[Any, Any],
    prefix: str,
    conflicts: list[str],
) -> bool:
    """Change `ours`; whether anything was changed."""
    changed = False
    for key in [*theirs, *(key for key in base if key not in theirs)]:
        before, here, there = (_value(document, key) for document in (base, ours, theirs))
        if there in (before, here):
            continue
        if here == before:
            if there is _NOTHING:
                del ours[key]
            else:
                ours[key] = deepcopy(there)
            changed = True
        elif isinstance(here, MutableMapping) and isinstance(there, MutableMapping):
            known = before if isinstance(before, MutableMapping) else {}
            changed |= _merge(known, here, there, f"{prefix}{key}.", conflicts)
        else:
            conflicts.append(f"{prefix}{key}")
    return changed


class _Nothing:
    """A key that is not there, which is not the same as null."""


_NOTHING = _Nothing()


def _value(document: MutableMapping[Any, Any], key: object) -> Any:
    return document.get(key, _NOTHING)
