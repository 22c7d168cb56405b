"""Some servers, and the work that is divided between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from harness.proof.side_by_side import Result, Task, side_by_side
from harness.runtime.sweep import sweep

from .servers import Server


class Pool:
    """`workers` servers, each used by one thread at a time; all begin at once. Raises ServerBroken."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._workers = workers
        self._free: SimpleQueue[Server] = SimpleQueue()
        self._undo = ExitStack()
        with ExitStack() as undo, ThreadPoolExecutor(workers) as threads:
            servers = [
                undo.enter_context(server)
                for server in threads.map(lambda number: Server(folder / f"server-{number}"), range(workers))
            ]
            self._undo = undo.pop_all()
        self.scenarios: Sequence[str] = servers[0].scenarios
        for server in servers:
            self._free.put(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        if error is not None:
            sweep()  # what jobs were doing was killed with their servers, and cleared up behind nothing

    def each(self, do: Callable[[Server, Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """In the order in which they are done. Closes the servers where anything is raised."""

        def one(task: Task) -> Result:
            server = self._free.get()
            try:
                return do(server, task)
            finally:
                self._free.put(server)

        for _, result in side_by_side(one, tasks, self._workers, self._undo.close):
            yield result
