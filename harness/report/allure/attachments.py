"""What was kept of a scenario, as attachments to its result: copies of its artifacts, and nothing else.

They are searched for secrets before the run's views are made (`harness.report.recorder`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import ATTACHMENT_PATTERN, Attachment, TestResult
from allure_commons.types import AttachmentType

from ..artifacts import MACHINES
from .text import sound

LONGEST = 256 << 10
"""Bytes of a file that are attached, its last; the whole is in the run's artifacts."""
NAMES = (
    ("console-*.txt", "console of {}", AttachmentType.TEXT),
    ("status-*.json", "status and boot report of {}", AttachmentType.JSON),
    ("volume-*.txt", "volume of {}", AttachmentType.TEXT),
    ("aws-calls.jsonl", "AWS calls", AttachmentType.TEXT),
    ("template-requests.jsonl", "requests to the template host", AttachmentType.TEXT),
    ("provisioner.txt", "console of the {}", AttachmentType.TEXT),
    ("provisioner-start.txt", "console of the provisioner at its {}", AttachmentType.TEXT),
)
"""By the name of the file, what it is called (with what its name tells), and what is in it; in their order."""


def attach(result: TestResult, folder: Path, logger: AllureFileLogger) -> None:
    """Attach what is in the artifacts of its scenario, if they were kept.

    Where there is one machine for each boot, its console is with that boot. Everything else is of the scenario's end.
    """
    consoles: dict[str, Attachment] = {}
    for path, kind, attachment in _attachments(result, folder, logger):
        if kind == "console-*.txt":
            consoles[path.stem.removeprefix("console-")] = attachment
        else:
            result.attachments.append(attachment)
    machines = _machines(folder)
    boots = [step for step in result.steps if step.stop > step.start]
    if set(machines) == consoles.keys() and len(machines) == len(boots):
        for boot, machine in zip(boots, machines, strict=True):
            boot.attachments.append(consoles[machine])
    else:
        result.attachments[:0] = consoles.values()


def _attachments(
    result: TestResult, folder: Path, logger: AllureFileLogger
) -> Iterator[tuple[Path, str, Attachment]]:
    for pattern, title, kind in NAMES:
        for path in sorted(folder.glob(pattern)):
            source = ATTACHMENT_PATTERN.format(
                prefix=uuid5(NAMESPACE_URL, f"{result.uuid}/{sound(path.name)}"), ext=kind.extension
            )
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LONGEST))
                logger.report_attached_data(file.read(), source)
            name = title.format(path.stem.partition("-")[2] or path.stem)
            yield path, pattern, Attachment(name=sound(name), source=source, type=kind.mime_type)


def _machines(folder: Path) -> list[str]:
    """In the order of their launch; none where that was not kept."""
    try:
        return (folder / MACHINES).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
