"""Work that several threads do at once, and that is given up as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    do: Callable[[Task], Result], tasks: Iterable[Task], workers: int, give_up: Callable[[], None]
) -> Iterator[tuple[Task, Result]]:
    """`do` each task, `workers` at a time: the tasks and what they gave, in the order in which they are done.

    Where anything is raised, in a task or in whoever waits for it, none is begun any more, and `give_up` is to end
    those that are under way.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = {pool.submit(do, task): task for task in tasks}
        try:
            for ended in as_completed(running):
                yield running[ended], ended.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            give_up()
            raise
