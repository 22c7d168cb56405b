"""ALW: the allowlist."""

from __future__ import annotations

from collections.abc import Mapping

from harness.runtime.base import Entry
from harness.templates.model import TemplateFile, is_asset

from .check import Saw, check
from .seen import CONFIGS, CREDENTIAL_FILE, Seen


@check("ALW-1")
def alw_1_only_allowlisted_paths_are_delivered(seen: Seen) -> Saw:
    """Nothing of the template but its asset set is on the volume, by path or by content."""
    template = seen.expected.template
    outside = {path: entry for path, entry in template.entries.items() if not is_asset(path)}
    problems = [f"{CONFIGS}/{path} is there" for path in outside if path in seen.configs]
    inside = {file.sha256 for file in template.asset_set().values()}
    strange = {
        entry.sha256: path
        for path, entry in outside.items()
        if isinstance(entry, TemplateFile) and entry.content and entry.sha256 not in inside
    }
    problems += [
        f"{path} has the content of the template's {strange[entry.sha256]}"
        for path, entry in seen.entries.items()
        if entry.sha256 in strange
    ]
    return Saw(f"{len(outside)} paths of the template are outside the allowlist", tuple(problems))


@check("ALW-5")
def alw_5_agent_owned_files_are_untouched(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Saw:
    """Bytes, mode and mtime of every agent-owned file are those of before the boot."""
    owned = {
        path: entry
        for path, entry in before.items()
        if entry.kind == "file" and not path.startswith(".boot/") and path != CREDENTIAL_FILE
        if not is_asset(path.removeprefix(f"{CONFIGS}/"))
    }
    problems = []
    for path, was in owned.items():
        now = after.get(path)
        if now is None:
            problems.append(f"{path}: gone")
            continue
        problems += [
            f"{path}: {what} was {getattr(was, what)}, is {getattr(now, what)}"
            for what in ("kind", "sha256", "mode", "mtime_ns")
            if getattr(was, what) != getattr(now, what)
        ]
    return Saw(f"{len(owned)} agent-owned files", tuple(problems))
