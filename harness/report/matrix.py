"""Several runs side by side: what each requirement came to in each of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from .ledger import Ledger, Verdict, verdicts_by_requirement

MARKS = {
    Verdict.PASS: "[green]pass[/]",
    Verdict.FAIL: "[bold red]FAIL[/]",
    Verdict.WAIVED: "[yellow]waived[/]",
    Verdict.COULD_NOT_RUN: "[yellow]could not run[/]",
    Verdict.NOT_APPLICABLE: "[cyan]not applicable[/]",
    Verdict.NOT_EXERCISED: "·",
}


def matrix(runs: Sequence[Ledger], requirements: Sequence[str]) -> Table:
    """A row for each requirement that some run exercised: the contract's in order, then those of other revisions."""
    touched = {line.requirement for run in runs for line in run.checks}
    rows = [name for name in requirements if name in touched] + sorted(touched.difference(requirements))
    verdicts = [verdicts_by_requirement(run.checks, rows) for run in runs]
    table = Table(title="requirements, by run", title_justify="left")
    table.add_column("", no_wrap=True)
    for run in runs:
        header = run.header
        mutant = f"\nmutant {header.mutant}" if header.mutant is not None else ""
        shard = f"\nshard {header.shard}" if header.shard is not None else ""
        table.add_column(
            f"{header.run}\n{header.implementation} {header.implementation_version}\n{header.runtime}, "
            f"contract {header.contract}{mutant}{shard}"
        )
    for name in rows:
        table.add_row(name, *(MARKS[each[name][0]] for each in verdicts))
    return table
