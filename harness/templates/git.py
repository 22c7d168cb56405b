"""The git program, run so that nothing of the user's configuration changes what it does and nothing is asked."""

from __future__ import annotations

import os
import re
import subprocess
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STDERR_KEPT = 600
"""Characters of git's complaint that a message carries: its end, where the cause stands."""


_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")


class GitMissing(Exception):
    """There is no git program on the PATH."""


class GitFailed(Exception):
    """git ended with an error; `stderr` is what it said: one line, bounded, without credentials."""

    def __init__(self, arguments: tuple[str, ...], status: int, stderr: str) -> None:
        self.stderr = stderr
        super().__init__(f"git {arguments[0]} ended with status {status}: {stderr or 'no message'}")


def git_environment(configuration: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for every git process: no configuration of user or system, no prompt, messages in English.

    `configuration` is all there is besides the repository's own. The caller's `GIT_*` variables are dropped (a run
    inside a git hook has GIT_DIR set); what a network needs (PATH, proxies, the ssh agent) stays.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Repositories here are made by, or named by, the one who runs the harness, whoever owns the files.
    settings = {"safe.directory": "*", **(configuration or {})}
    return {
        **kept,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_ADVICE": "0",
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(settings)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())},
    }


def start_git(
    *arguments: str,
    directory: Path,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    configuration: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    own_group: bool = False,
) -> subprocess.Popen[bytes]:
    """A running git in `directory`, its output on a pipe; the caller ends it.

    In a group of its own, it can be ended together with the processes that it starts. Raises GitMissing.
    """
    try:
        return subprocess.Popen(
            ["git", *arguments],
            cwd=directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**git_environment(configuration), **(environment or {})},
            process_group=0 if own_group else None,
        )
    except FileNotFoundError as missing:
        if not directory.is_dir():
            raise
        raise GitMissing("there is no git program on the PATH; install git 2.28 or newer") from missing


def run_git(
    *arguments: str,
    directory: Path,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """What git writes, with `given` on its input. Raises GitMissing, GitFailed."""
    with start_git(
        *arguments,
        directory=directory,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environment=environment,
    ) as process:
        output, complaint = process.communicate(given)
    if process.returncode != 0:
        raise GitFailed(arguments, process.returncode, complained(complaint))
    return output


def complained(stderr: bytes) -> str:
    """What git wrote to its standard error: on one line, without credentials, cut to its end."""
    # Redacted before it is cut: a cut within a URL would leave a credential that no longer looks like one.
    line = redacted(" ".join(stderr.decode("utf-8", "replace").split()))
    return line if len(line) <= _STDERR_KEPT else "…" + line[-_STDERR_KEPT:]


def redacted(text: str) -> str:
    """The text with the credentials of every URL in it replaced."""
    return _CREDENTIALS.sub("***@", text)
