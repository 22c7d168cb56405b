"""The page of a run as a file: whole, safe whatever the ledger holds, and small."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import pytest

from harness.report.artifacts import artifacts_of
from harness.report.ledger import CheckLine, Ledger, Verdict
from harness.report.page.previous import run_before
from harness.report.page.write import write_page

from .pages import CONTRACT, HEADER, check, large_run, ledger, scenario

HOSTILE = (
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}<!--",
    "nul \x00 and \x1b]0;title\x07",
    "\u202etxt.exe \u2066isolated",
    "half a character \ud800",
    "javascript:alert(1)",
)


class Structure(HTMLParser):
    """Tags with the names of their attributes, and the addresses that are linked to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action"}]


def run_saying(text: str) -> Ledger:
    """A run in which everything that can be said is this text."""
    node = f"scenarios/test_it.py::test_it[{text}]"
    return ledger(
        replace(check("BND-1", Verdict.FAIL, scenario=node, saw=text, problems=[text], step=text), check=text),
        replace(check("HEAL-1", scenario=node, saw=text, step=text, universal=True), check=text),
        scenario(node, Verdict.FAIL, boots=[text], reproduce=text),
        scenario(f"scenarios/test_z{text}.py::{text}", Verdict.COULD_NOT_RUN, reason=text, boots=[f"{text} 1.0 s"]),
        header=replace(
            HEADER, run=text, started=text, implementation=text, implementation_version=text, runtime=text,
            harness_version=text, transports=[text], templates=[text], mutant=text, environment={text: text},
        ),
    )  # fmt: skip


def written(run: Ledger, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return write_page(run, CONTRACT, folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_ledger_breaks_out_of_the_page(text: str, tmp_path: Path) -> None:
    plain = "p" * len(text)
    console = artifacts_of(tmp_path / "hostile", f"scenarios/test_it.py::test_it[{text}]") / "console-i-1.txt"
    console.parent.mkdir(parents=True)
    console.write_text(text, errors="replace")
    twin = artifacts_of(tmp_path / "plain", f"scenarios/test_it.py::test_it[{plain}]") / "console-i-1.txt"
    twin.parent.mkdir(parents=True)
    twin.write_text(plain)

    html = written(run_saying(text), tmp_path / "hostile")

    page = Structure(html)
    assert page.tags == Structure(written(run_saying(plain), tmp_path / "plain")).tags
    assert not [
        address
        for address in page.addresses
        if not re.match(r"#|artifacts/|ledger\.jsonl$|data:image/", address)
    ]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)


def test_the_page_asks_for_nothing_and_runs_nothing_but_its_own(tmp_path: Path) -> None:
    page = Structure(written(large_run(), tmp_path))

    names = {tag[0] for tag in page.tags}
    assert not names & {"iframe", "object", "embed", "base", "img", "source", "video"}
    assert [tag for tag in page.tags if tag[0] in {"script", "style", "link"}] == [
        ("link", "rel", "href"),
        ("style",),
        ("script",),
    ]
    assert not [tag for tag in page.tags if any(name.startswith("on") or name == "style" for name in tag[1:])]


def test_ids_are_unique_and_every_link_within_the_page_arrives(tmp_path: Path) -> None:
    html = written(large_run(), tmp_path)

    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in Structure(html).addresses if address.startswith("#")} <= set(ids)


@pytest.mark.parametrize("failing", [3, 250])
def test_the_page_of_a_large_run_is_below_two_megabytes(failing: int, tmp_path: Path) -> None:
    run = large_run(failing=failing)
    assert (len(run.scenarios), len(run.checks)) == (250, 20_000)

    assert len(written(run, tmp_path).encode()) < 2_000_000


def test_what_was_kept_of_a_failure_is_shown_and_linked(tmp_path: Path) -> None:
    run = ledger(scenario("test_it.py::test_it[a b]", Verdict.FAIL))
    folder = artifacts_of(tmp_path, "test_it.py::test_it[a b]")
    folder.mkdir(parents=True)
    (folder / "console-i-1.txt").write_text("".join(f"line {number}.\n" for number in range(100)))
    (folder / "aws calls.jsonl").touch()

    html = written(run, tmp_path)

    assert "The end of the console of i-1" in html
    assert "line 99." in html
    assert "line 84." not in html
    assert 'href="artifacts/test_it-test_it-a-b/aws%20calls.jsonl"' in html


def stored(made: Ledger, reports: Path, **header: object) -> Ledger:
    """The run, with its ledger in a folder of its own."""
    changed = replace(made.header, **header)  # type: ignore[arg-type]
    path = reports / changed.run / "ledger.jsonl"
    path.parent.mkdir(parents=True)
    lines = [changed, *made.checks, *made.scenarios, made.footer]
    path.write_text("".join(json.dumps(asdict(cast(CheckLine, line))) + "\n" for line in lines))
    return replace(made, header=changed)


def test_the_run_before_is_the_latest_of_the_same_implementation(tmp_path: Path) -> None:
    run = ledger(check("BND-1"))
    stored(run, tmp_path, run="oldest", started="2026-01-01T00:00:00+00:00")
    before = stored(run, tmp_path, run="before", started="2026-01-02T00:00:00+00:00")
    stored(run, tmp_path, run="other", started="2026-01-03T00:00:00+00:00", implementation="platform")
    stored(run, tmp_path, run="mutant", started="2026-01-03T00:00:00+00:00", mutant="m")
    stored(run, tmp_path, run="broken", started="2026-01-03T00:00:00+00:00")
    broken = tmp_path / "broken" / "ledger.jsonl"
    broken.write_text("".join(broken.read_text().splitlines(keepends=True)[:-1]))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "ledger.jsonl").write_text("[]\n")
    now = stored(run, tmp_path, run="now", started="2026-01-04T00:00:00+00:00")
    stored(run, tmp_path, run="later", started="2026-01-05T00:00:00+00:00")

    assert run_before(now.header, tmp_path) == before
    assert run_before(replace(now.header, started="2026-01-01T00:00:00+00:00"), tmp_path) is None


def test_what_turned_worse_since_the_run_before_is_on_the_page(tmp_path: Path) -> None:
    stored(ledger(check("BND-1"), scenario()), tmp_path, run="before", started="2025-12-31T00:00:00+00:00")

    html = written(ledger(check("BND-1", Verdict.FAIL), scenario(verdict=Verdict.FAIL)), tmp_path / "now")

    assert re.search(r"<strong>Worse</strong>\s*<span class=\"dim\">1 requirements, 1 scenarios", html)
    assert "pass → fail" in html
