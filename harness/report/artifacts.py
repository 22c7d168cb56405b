"""What is kept of a scenario that failed: files that a person reads to find out why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.runtime.base import MachineError

if TYPE_CHECKING:
    from harness.scenario.scenario import Scenario

ARTIFACTS = "artifacts"
COUNTEREXAMPLE = "counterexample"
"""The folder in them of a generated example that failed, as `--replay` takes it."""
MACHINES = "machines.txt"
"""The ids of its machines in the order of their launch, one a line."""
LONGEST_START = 16 << 10
"""Bytes of what the provisioner said first, which is before most scenarios."""


def artifacts_of(run: Path, scenario: str) -> Path:
    """Where the artifacts of a scenario (its node id) are, in the folder of its run."""
    module, _, test = scenario.partition("::")
    name = f"{PurePosixPath(module).stem}-{test}" if test else module
    slug = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return run / ARTIFACTS / slug.strip("-")


def bring_artifacts(runs: Iterable[Path], to: Path) -> None:
    """Copy what was kept in the folders of these runs, if it is still there, into that of the run merged from them."""
    for run in runs:
        if (run / ARTIFACTS).is_dir():
            shutil.copytree(run / ARTIFACTS, to / ARTIFACTS, dirs_exist_ok=True)


def keep_artifacts(acted: Scenario, folder: Path) -> None:
    """Write consoles, volumes' listings, reports, AWS calls and template requests. No secret is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if acted.counterexample is not None:
        acted.counterexample.write(folder / COUNTEREXAMPLE)
    redacted = acted.aviary.search.redacted

    def keep(name: str, content: bytes) -> None:
        (folder / name).write_bytes(redacted(content))

    consoles = acted.consoles()
    keep(MACHINES, "".join(f"{instance}\n" for instance in consoles).encode())
    for instance, console in consoles.items():
        keep(f"console-{instance}.txt", console)
    keep("provisioner.txt", acted.cloud.provisioner_log_since(acted.mark))
    keep("provisioner-start.txt", acted.cloud.provisioner.console()[:LONGEST_START])
    for tenant in acted.tenants:
        for workspace in tenant.workspaces:
            keep(f"status-{workspace.id}.json", _json(workspace.document))
            try:
                entries = workspace.files.values()
            except (KeyError, MachineError, OSError):
                continue
            listing = (
                f"{each.kind:9} {each.mode:04o} {each.size:10} {(each.sha256 or '')[:12]:12} {each.path!r}"
                for each in entries
            )
            keep(f"volume-{workspace.id}.txt", ("\n".join(listing) + "\n").encode())
    keep(
        "aws-calls.jsonl",
        _lines(
            {
                "at": call.at.isoformat(),
                "principal": call.principal,
                "action": call.action,
                "resources": list(call.resources),
                "bytes": call.request_bytes,
                "status": call.status,
                "error": call.error_code,
            }
            for call in acted.cloud.calls_since(acted.mark)
        ),
    )
    keep(
        "template-requests.jsonl",
        _lines(
            {
                "at": request.received_at.isoformat(),
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "credential": request.authorization is not None,
                "status": request.status,
                "bytes": request.bytes_sent,
            }
            for request in acted.cloud.template_requests_since(acted.mark)
        ),
    )


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n").encode()


def _lines(lines: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
