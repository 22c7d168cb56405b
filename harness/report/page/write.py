"""Writes the one page of a run, `index.html` in its folder, which needs nothing beside it and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.contract.requirements import Contract
from harness.proof.mutant import Mutant, load_mutant
from harness.proof.overlaid import OverlaidProblem

from ..artifacts import artifacts_of
from ..difference import Turn, difference
from ..ledger import Ledger, ScenarioLine, Verdict
from .model import page_of
from .previous import run_before
from .references import slug
from .scenarios import Kept
from .text import duration, link, moment, printable, prose

PAGE = "index.html"
HERE = Path(__file__).parent
MUTANTS = Path(__file__).parents[3] / "fixtures" / "mutants"
"""They come with the source tree; an installed package has none."""
CONSOLE_LINES = 15
LONGEST_LINE = 300
END_OF_CONSOLE = 64 << 10
"""Bytes that are read of it."""


def write_page(ledger: Ledger, contract: Contract, folder: Path) -> Path:
    """Write the page of the run whose folder this is. Returns its path.

    Raises LedgerProblem for a run that was judged by other words than the contract's.
    """
    before = run_before(ledger.header, folder.parent)
    page = page_of(
        ledger,
        contract,
        mutants=_mutants(contract),
        kept={
            line.scenario: found for line in ledger.scenarios if (found := _kept(line, folder)) is not None
        },
        since=difference(before, ledger) if before is not None else None,
    )
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(HERE),
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": prose,
        "duration": duration,
        "moment": moment,
        "link": link,
        "slug": slug,
    }
    # The policy names these two by their digests, and lets nothing else load or run, whatever a ledger holds.
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    html = environment.get_template("page.html").render(
        page=page,
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
        turns=tuple(Turn),
    )
    path = folder / PAGE
    path.write_text(html, encoding="utf-8")
    return path


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _mutants(contract: Contract) -> list[Mutant]:
    return [
        mutant
        for manifest in sorted(MUTANTS.glob("*/mutant.toml"))
        if (mutant := _mutant(manifest.parent, contract)) is not None
    ]


def _mutant(folder: Path, contract: Contract) -> Mutant | None:
    try:
        return load_mutant(folder, contract)
    except OverlaidProblem:  # a run under it says so; a page of another run is not the place
        return None


def _kept(line: ScenarioLine, run: Path) -> Kept | None:
    if line.verdict in {Verdict.PASS, Verdict.NOT_APPLICABLE}:
        return None
    folder = artifacts_of(run, line.scenario)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        return None
    return Kept(
        folder.relative_to(run).as_posix(),
        tuple(path.relative_to(folder).as_posix() for path in files),
        {
            path.stem.removeprefix("console-"): tuple(_tail(path))
            for path in files
            if path.match("console-*.txt")
        },
    )


def _tail(path: Path) -> Iterable[str]:
    with path.open("rb") as console:
        console.seek(max(0, path.stat().st_size - END_OF_CONSOLE))
        lines = console.read().decode(errors="replace").splitlines()
    return [
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines[-CONSOLE_LINES:]
    ]
