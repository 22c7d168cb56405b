"""ISO: tenants, and who may ask for what."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contract.lifecycle import Refused

from .check import Saw, check
from .seen import Document


@check("ISO-1")
def iso_1_a_stranger_is_refused(
    refusals: Mapping[str, Refused | None], before: Document, after: Document
) -> Saw:
    """Every verb of another tenant is answered 403, and the workspace is as it was."""
    problems = [
        f"{verb}: {'done' if refusal is None else f'{refusal.status} {refusal.code}'}, not 403"
        for verb, refusal in refusals.items()
        if refusal is None or refusal.status != 403
    ]
    problems += [
        f"{what} was {before.get(what)!r}, is {after.get(what)!r}"
        for what in ("status", "machine", "volume", "boot", "pending")
        if before.get(what) != after.get(what)
    ]
    return Saw(_shown(refusals), tuple(problems))


@check("OBS-2")
def obs_2_an_unknown_workspace_is_named(workspace: str, refusals: Mapping[str, Refused | None]) -> Saw:
    """Every verb on a workspace that does not exist is answered 404, and the error names it."""
    problems = []
    for verb, refusal in refusals.items():
        if refusal is None or refusal.status != 404:
            problems.append(
                f"{verb}: {'done' if refusal is None else f'{refusal.status} {refusal.code}'}, not 404"
            )
        elif workspace not in refusal.detail:
            problems.append(f"{verb}: the detail does not name the workspace: {refusal.detail!r}")
    return Saw(_shown(refusals), tuple(problems))


def _shown(refusals: Mapping[str, Refused | None]) -> str:
    return ", ".join(f"{verb}: {refusal.status if refusal else 'done'}" for verb, refusal in refusals.items())
