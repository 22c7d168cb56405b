"""OBS: what an implementation says about itself."""

from __future__ import annotations

import json

from .check import Saw, check
from .seen import BOOT_REPORT, Seen


@check("OBS-1")
def obs_1_every_boot_leaves_a_report(seen: Seen) -> Saw:
    """The report is on the volume and in the status, the same in both, and as the contract's schema says."""
    report = seen.report
    if report is None:
        return Saw("no report in the status", ("the status API shows no boot report",))
    problems = [f"report {problem}" for problem in seen.schema_problems(report)]
    raw = seen.content.get(BOOT_REPORT)
    if raw is None:
        problems.append(f"{BOOT_REPORT} is not on the volume")
    else:
        try:
            on_volume = json.loads(raw)
        except ValueError as wrong:
            problems.append(f"{BOOT_REPORT} is not JSON: {wrong}")
        else:
            differing = [key for key in {*report, *on_volume} if report.get(key) != on_volume.get(key)]
            problems += [f"{key} differs between the status and the volume" for key in sorted(differing)]
    rows = report.get("paths", [])
    return Saw(f"outcome {report.get('outcome')}, {len(rows)} paths", tuple(problems))


@check("OBS-2")
def obs_2_the_lifecycle_api_answers_as_specified(seen: Seen) -> Saw:
    """Every answer since the scenario began is one that lifecycle.yaml foresees, errors as problem documents."""
    return Saw("the answers of the lifecycle API", tuple(seen.violations))
