"""What is written beside a ledger for whoever reads no ledger: each view is derived from it, and can be made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.contract.requirements import Contract

from .allure.write import write_allure
from .junit import junit
from .ledger import Ledger
from .page.write import write_page
from .summary import summary

View = Callable[[Ledger, Contract], str]
VIEWS: Mapping[str, View] = {"junit.xml": junit, "summary.md": summary}
"""Those of one text, by the name of the file that it is written to."""


def write_views(folder: Path, ledger: Ledger, contract: Contract) -> list[Path]:
    """Write every view into the run's folder, over what was there; the files and folders. Raises LedgerProblem."""
    written = []
    for name, view in VIEWS.items():
        path = folder / name
        path.write_text(view(ledger, contract), encoding="utf-8")
        written.append(path)
    return [*written, write_page(ledger, contract, folder), write_allure(ledger, contract, folder)]
