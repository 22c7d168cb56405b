"""FAIL: failing well."""

from __future__ import annotations

from collections.abc import Collection

from .check import Saw, check
from .seen import Seen


@check("FAIL-1")
def fail_1_a_failed_first_fetch_leaves_no_stub_and_no_agent(seen: Seen) -> Saw:
    """The status is `failed`, the error says what to do, and nothing stands in for the template."""
    error = seen.error
    problems = []
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message", "hint") if not error.get(part)]
    problems += [f"{path} was written ({entry.size} bytes)" for path, entry in seen.written.items()]
    if seen.card is not None:
        problems.append("an agent answers")
    return Saw(f"{seen.status}: {error.get('code')}: {error.get('message')}", tuple(problems))


@check("FAIL-2")
def fail_2_a_failed_fetch_leaves_the_tree_and_says_so(seen: Seen) -> Saw:
    """With an intact tree on the volume, the tree stays, and the status is not plain `online`."""
    error = seen.error
    problems = []
    if seen.status not in {"degraded", "failed"}:
        problems.append(f"the status is {seen.status!r}, neither 'degraded' nor 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message", "hint") if not error.get(part)]
    for path, (_, sha256) in seen.untouched_assets.items():
        entry = seen.configs.get(path)
        if entry is None or entry.sha256 != sha256:
            problems.append(f"{path}: {'gone' if entry is None else 'altered'}")
    return Saw(f"{seen.status}: {error.get('code')}", tuple(problems))


@check("FAIL-7")
def fail_7_delete_leaves_nothing_behind(
    machines: Collection[str], volumes: Collection[str], roles: Collection[str]
) -> Saw:
    """After the purge of its workspaces and the tenant's end there is no machine, no volume and no role."""
    left = {"machine": machines, "volume": volumes, "role": roles}
    problems = [f"{kind} {name} is left" for kind, names in left.items() for name in names]
    return Saw("machines, volumes and roles that were made since the scenario began", tuple(problems))
