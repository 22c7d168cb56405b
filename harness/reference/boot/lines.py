"""Bringing a template's changes of a text into a user's version of it, line by line, by `git merge-file`."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds."""


def merge_lines(base: bytes, live: bytes, new: bytes) -> bytes | None:
    """`live` with what changed from `base` to `new`; None where both changed the same lines, or one is no text."""
    versions = {"live": live, "base": base, "new": new}
    if not all(_is_text(version) for version in versions.values()):
        return None
    try:
        with TemporaryDirectory(prefix="merge-") as directory:
            for name, version in versions.items():
                (Path(directory) / name).write_bytes(version)
            done = subprocess.run(
                ["git", "merge-file", "--stdout", "--quiet", *versions],
                cwd=directory,
                env=_environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=False,
            )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("git cannot merge on this machine, so that the user's version stays: %s", error)
        return None
    # The status counts the conflicts.
    return done.stdout if done.returncode == 0 else None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _environment(directory: str) -> dict[str, str]:
    """No settings but git's own, and no repository."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": directory,
        "LC_ALL": "C",
        "GIT_CEILING_DIRECTORIES": str(Path(directory).parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
