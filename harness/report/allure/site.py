"""The site that Allure 3 makes of a run's results, as one file that loads nothing, with a history over earlier runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from ..ledger import Header
from ..page.previous import runs_before
from .verdicts import CATEGORIES
from .write import RESULTS

SITE = "allure.html"
"""Beside the run's own page, which it links to."""
MAJOR = 3
GET_IT = f"npm install --global allure@{MAJOR} (it needs Node.js 20 or newer)"
MOST_RUNS = 9
"""Of earlier runs, so many are in the history."""
POLICY = "default-src data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'none'"
"""Allure has its reports load a script of Google Analytics, without an option that says no: the browser may load
nothing but what is in the file."""


class NoSite(Exception):
    """It cannot be made here; one line that says why, and the way out."""


@dataclass(frozen=True, slots=True)
class Allure:
    """The command `allure` of npm."""

    command: str

    @classmethod
    def find(cls) -> Self:
        """That on the path. Raises NoSite where there is none that serves."""
        command = shutil.which("allure")
        if command is None:
            raise NoSite(f"--allure: the command `allure` is not installed; get it with {GET_IT}")
        allure = cls(str(Path(command).absolute()))  # it is run in another folder
        found = re.match(r"\d+(?:\.\d+)+", allure.run("--version").strip())
        if found is None or found[0].partition(".")[0] != str(MAJOR):
            raise NoSite(
                f"--allure: {command} is version {found[0] if found else 'unknown'}, and it takes {MAJOR}; "
                f"get it with {GET_IT}"
            )
        return allure

    def run(self, *words: str, directory: Path | None = None) -> str:
        """What it printed. Raises NoSite where it fails."""
        # Variables of its own would have it send the results somewhere.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLURE_")}
        try:
            done = subprocess.run(
                [self.command, *words],
                cwd=directory, env=environment, capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
        except OSError as error:
            raise NoSite(
                f"--allure: {self.command} cannot be run: {error.strerror}; get it with {GET_IT}"
            ) from None
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[:300]
            raise NoSite(f"--allure: {self.command} {words[0]} failed ({done.returncode}): {said}")
        return done.stdout


def write_site(header: Header, folder: Path, allure: Allure) -> Path:
    """Make the site of the run whose folder this is, of the results in it. Returns its path. Raises NoSite.

    Its history is made anew of the results of earlier runs beside it, those of the same implementation.
    """
    earlier = [run for run in runs_before(header, folder.parent) if (run / RESULTS).is_dir()][:MOST_RUNS]
    with TemporaryDirectory(prefix="allure-") as name:
        place = Path(name)
        history = _history(allure, list(reversed(earlier)), place)
        configuration = place / "allurerc.json"
        configuration.write_text(
            json.dumps({"historyPath": str(history), "appendHistory": False, "categories": CATEGORIES})
        )
        allure.run(
            "awesome",
            str((folder / RESULTS).absolute()),
            *("--config", str(configuration), "--output", str(place / "site"), "--single-file"),
            *("--group-by", "feature", "--report-language", "en"),
            *("--report-name", f"{header.implementation} {header.implementation_version}, run {header.run}"),
            directory=place,
        )
        html = (place / "site" / "index.html").read_text(encoding="utf-8")
    path = folder / SITE
    path.write_text(_sealed(html), encoding="utf-8")
    return path


def _history(allure: Allure, runs: Sequence[Path], place: Path) -> Path:
    """The history of these runs, the oldest first."""
    path = place / "history.jsonl"
    for run in runs:
        allure.run(
            *(
                "history",
                str((run / RESULTS).absolute()),
                "--history-path",
                str(path),
                "--report-name",
                run.name,
            ),
            directory=place,
        )
    return path


def _sealed(html: str) -> str:
    """Raises NoSite where it is not known how to."""
    head, tag, rest = html.partition("<head>")
    if not tag:
        raise NoSite("--allure: what Allure made has no <head>, so that nothing can keep it from the network")
    return f'{head}{tag}<meta http-equiv="Content-Security-Policy" content="{POLICY}">{rest}'
