"""How far a proof has come, on the terminal: bars with an estimate, or plain lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from .matrix import Outcome, Row

_COLOURS = {
    Outcome.KILLED: "green",
    Outcome.KILLED_BY_ANOTHER: "yellow",
    Outcome.SURVIVED: "red",
    Outcome.COULD_NOT_RUN: "yellow",
    Outcome.BROKEN: "red",
}


class Progress:
    """Says what is under way, and each mutant as soon as it is known what became of it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int], None]]:
        """Of something whose length is not known: gives what is to be told how many have ended."""
        began, latest = time.monotonic(), 0
        self._console.print(f"{what}: running", highlight=False)

        def ended(count: int) -> None:
            nonlocal latest
            latest = count
            bars.update(task, description=f"{what}: {count} scenarios")

        with self._bars(TextColumn("{task.description}"), TimeElapsedColumn()) as bars:
            task = bars.add_task(f"{what}: starting", total=None)
            yield ended
        self._console.print(
            f"{what}: {latest} scenarios, {_duration(time.monotonic() - began)}", highlight=False
        )

    @contextmanager
    def through(self, what: str, total: int) -> Iterator[Callable[[Row], None]]:
        """Of so many mutants: gives what is to be told of each that is done."""
        with self.telling(what, total) as tell:

            def ended(row: Row) -> None:
                killed = ", ".join(dict.fromkeys(trip.requirement for trip in row.kills))
                tell(
                    f"{row.name}: [{_COLOURS[row.outcome]}]{row.outcome}[/] ({killed or escape(row.reason)})",
                    1,
                )

            yield ended

    @contextmanager
    def telling(self, what: str, total: int) -> Iterator[Callable[[str, int], None]]:
        """Of so many of anything: gives what is to be told a line, in rich's markup, and how many are done with it."""
        began, done = time.monotonic(), 0

        def tell(words: str, more: int) -> None:
            nonlocal done
            done += more
            bars.advance(task, more)
            left = (time.monotonic() - began) / done * (total - done)
            estimate = "" if self._console.is_terminal or done == total else f"; about {_duration(left)} left"
            self._console.print(f"{done}/{total} {words}{estimate}", highlight=False, soft_wrap=True)

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with self._bars(*columns) as bars:
            task = bars.add_task(what, total=total)
            yield tell

    def _bars(
        self, *columns: TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn | TimeRemainingColumn
    ) -> Bars:
        return Bars(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
