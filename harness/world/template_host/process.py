"""A git process's output as the body of an answer, which ends with the answer whatever becomes of it."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from typing import IO, TYPE_CHECKING

from ...templates.git import complained, start_git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024


class GitOutput:
    """What a git process writes, chunk by chunk. Closed, it leaves no process behind."""

    def __init__(
        self,
        *arguments: str,
        directory: Path,
        stdin: IO[bytes] | None = None,
        configuration: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        must_succeed: bool = True,
    ) -> None:
        """A process that must succeed and does not cuts the connection, so that no client takes its output whole."""
        self._what = f"git {arguments[0]} in {directory}"
        self._must_succeed = must_succeed
        self._complaint = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = start_git(
            *arguments,
            directory=directory,
            **({} if stdin is None else {"stdin": stdin}),
            stderr=self._complaint,
            configuration=configuration,
            environment=environment,
            own_group=True,
        )
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout

    def readline(self) -> bytes:
        return self._output.readline()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = self._output.read1(_CHUNK)  # type: ignore[attr-defined] # a BufferedReader, which has it
        if chunk:
            return bytes(chunk)
        if self._process.wait() != 0:
            self._complaint.seek(0)
            log.debug(
                "%s ended with %d: %s",
                self._what,
                self._process.returncode,
                complained(self._complaint.read()),
            )
            if self._must_succeed:
                raise ConnectionAbortedError(f"{self._what} failed in mid-answer")
        raise StopIteration

    def close(self) -> None:
        self._output.close()
        if self._process.poll() is None:
            # The group: http-backend starts upload-pack, which starts pack-objects.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._complaint.close()
