"""Signing a run off, as a release manager does it: make a key, sign, verify, and be refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.report.artifacts import artifacts_of
from harness.report.ledger import Ledger, Verdict
from harness.tests.report.ledgers import CONTRACT, SCENARIOS, ledger, shards


def harness(*words: str | Path, passphrase: str | None = None) -> tuple[int, str, str]:
    """Exit status, what was said, and what was complained of."""
    done = CliRunner(env={"HARNESS_KEY_PASSPHRASE": passphrase, "COLUMNS": "200"}).invoke(
        app, [str(word) for word in words], catch_exceptions=False
    )
    return done.exit_code, done.stdout, done.stderr


def refused(*words: str | Path, passphrase: str | None = None) -> str:
    status, said, complaint = harness(*words, passphrase=passphrase)
    assert (status, said) == (4, "")
    assert complaint.startswith("harness: ")
    assert len(complaint.splitlines()) == 1
    return complaint


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a key pair and the ledger of a run in which all was well."""
    monkeypatch.chdir(tmp_path)
    ledger().write(tmp_path / "reports" / "abc" / "ledger.jsonl")
    assert harness("key", "release.pem")[0] == 0
    return tmp_path


def test_the_latest_run_is_signed_and_verified(place: Path) -> None:
    assert harness("sign", "--key", "release.pem") == (0, "reports/abc/statement.json\n", "")

    status, said, complaint = harness(
        "verify", "reports/abc/statement.json", "--key", "release.pub", "--ledger", "reports/abc/ledger.jsonl"
    )

    assert (status, complaint) == (0, "")
    assert "PASSED: platform 2026.1 conforms to contract" in said
    assert f"subject       registry.example/platform/machine:1 sha256:{'1' * 64}" in said
    assert f"requirements  {len(CONTRACT.requirements)} pass" in said
    assert "not proven" not in said
    assert "8 passed, 0 warned, 0 not applicable" in said
    assert "(it is the one that was given)" in said
    assert "warning" not in said


def test_without_the_ledger_that_is_said(place: Path) -> None:
    harness("sign", "--key", "release.pem")

    assert (
        "not looked at; give it with --ledger"
        in harness("verify", "reports/abc/statement.json", "--key", "release.pub")[1]
    )


def test_a_statement_of_another_contract_is_good_and_warned_of(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.contract import requirements

    harness("sign", "--key", "release.pem")
    installed = requirements.load_contract()
    newer = installed.model_copy(update={"revision": "9.9", "digest": "0" * 64})
    monkeypatch.setattr(requirements, "load_contract", lambda: newer)

    status, said, _ = harness("verify", "reports/abc/statement.json", "--key", "release.pub")

    assert status == 0
    assert "warning: the installed contract is another: 9.9" in said


def test_what_was_altered_fails_and_is_named(place: Path) -> None:
    harness("sign", "--key", "release.pem")
    harness("key", "other.pem")
    statement, signed = place / "reports/abc/statement.json", place / "reports/abc/ledger.jsonl"

    status, said, complaint = harness("verify", statement, "--key", "other.pub")
    assert (status, said) == (1, "")
    assert "signed with another key" in complaint

    signed.write_text(signed.read_text() + "\n")
    status, said, complaint = harness("verify", statement, "--key", "release.pub", "--ledger", signed)
    assert (status, said) == (1, "")
    assert "not the ledger that was signed" in complaint

    document = json.loads(statement.read_text())
    document["payload"] = base64.b64encode(base64.b64decode(document["payload"]) + b" ").decode()
    statement.write_text(json.dumps(document))
    status, said, complaint = harness("verify", statement, "--key", "release.pub")
    assert (status, said) == (1, "")
    assert "the payload was altered" in complaint


def test_what_cannot_be_verified_at_all_is_refused(place: Path) -> None:
    assert "not an envelope" in refused("verify", "reports/abc/ledger.jsonl", "--key", "release.pub")
    assert "that is a private key" in refused("verify", "reports/abc/ledger.jsonl", "--key", "release.pem")


def test_an_encrypted_key_signs_with_its_passphrase_alone(place: Path) -> None:
    assert harness("key", "safe.pem", "--encrypt", passphrase="open")[0] == 0
    assert "BEGIN ENCRYPTED PRIVATE KEY" in (place / "safe.pem").read_text()

    assert "does not open" in refused("sign", "--key", "safe.pem", passphrase="shut")
    assert "set HARNESS_KEY_PASSPHRASE" in refused("sign", "--key", "safe.pem")
    assert not (place / "reports/abc/statement.json").exists()
    assert harness("sign", "--key", "safe.pem", passphrase="open")[0] == 0
    assert harness("verify", "reports/abc/statement.json", "--key", "safe.pub")[0] == 0


def test_a_run_that_failed_is_not_signed(place: Path) -> None:
    bad = place / "reports" / "bad" / "ledger.jsonl"
    ledger(verdicts={SCENARIOS[0]: Verdict.FAIL}).write(bad)

    assert "is not signed: BND-1 does not hold" in refused("sign", bad, "--key", "release.pem")
    assert not bad.with_name("statement.json").exists()


def test_a_run_that_broke_is_not_signed(place: Path) -> None:
    path = place / "reports/abc/ledger.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    assert "no footer: the run broke before its end" in refused("sign", "--key", "release.pem")


def test_no_statement_is_overwritten(place: Path) -> None:
    harness("sign", "--key", "release.pem")
    before = (place / "reports/abc/statement.json").read_text()

    assert "statement.json is there already" in refused("sign", "--key", "release.pem")
    assert (place / "reports/abc/statement.json").read_text() == before
    assert harness("sign", "--key", "release.pem", "--out", "elsewhere.json")[0] == 0
    assert "none/x cannot be written: No such file" in refused(
        "sign", "--key", "release.pem", "--out", "none/x"
    )


def test_a_key_is_not_overwritten(place: Path) -> None:
    before = (place / "release.pem").read_bytes()

    assert "is there already, and a key is never overwritten" in refused("key", "release.pem")
    assert (place / "release.pem").read_bytes() == before


def written(place: Path, parts: list[Ledger]) -> list[Path]:
    paths = [place / part.header.run / "ledger.jsonl" for part in parts]
    for part, path in zip(parts, paths, strict=True):
        part.write(path)
    return paths


def test_shards_are_merged_and_signed(place: Path) -> None:
    paths = written(place, shards())

    status, said, complaint = harness("merge", *paths, "--out", "reports/whole")

    assert (status, complaint) == (0, "")
    assert "of 4 shards: conforms; 8 pass" in said
    assert said.endswith("reports/whole/ledger.jsonl\n")
    for view in ("summary.md", "junit.xml", "index.html", "allure-results/environment.properties"):
        assert (place / "reports/whole" / view).is_file()
    assert harness("sign", "reports/whole/ledger.jsonl", "--key", "release.pem")[0] == 0
    said = harness("verify", "reports/whole/statement.json", "--key", "release.pub")[1]
    assert "merged from run1, run2, run3, run4" in said


def test_a_merged_run_fails_as_the_whole_would(place: Path) -> None:
    bad = {SCENARIOS[0]: Verdict.FAIL}

    status, said, _ = harness("merge", *written(place, shards(verdicts=bad)), "--out", "merged")

    assert status == 1
    assert "fails; 1 fail, 7 pass\n  - BND-1 does not hold" in said
    assert Ledger.read(place / "merged" / "ledger.jsonl").footer.exit_status == 1


def test_a_merged_run_shows_what_its_shards_kept(place: Path) -> None:
    bad = {SCENARIOS[2]: Verdict.FAIL}
    paths = written(place, shards(verdicts=bad))
    kept = artifacts_of(Path(paths[2]).parent, SCENARIOS[2])
    kept.mkdir(parents=True)
    (kept / "console-i-1.txt").write_text("it does not start")

    harness("merge", *paths, "--out", "merged")

    brought = artifacts_of(place / "merged", SCENARIOS[2]) / "console-i-1.txt"
    assert brought.read_text() == "it does not start"
    assert "it does not start" in (place / "merged" / "index.html").read_text()
    assert len(list((place / "merged").glob("allure-results/*-attachment.txt"))) == 1


def test_a_merged_run_that_is_incomplete_passes_no_gate(place: Path) -> None:
    paths = written(place, shards(verdicts={SCENARIOS[0]: Verdict.COULD_NOT_RUN}))

    assert harness("merge", *paths, "--out", "one")[0] == 0
    assert harness("merge", *paths, "--gate", "--out", "two")[0] == 6


def test_what_cannot_be_merged_leaves_nothing(place: Path) -> None:
    first, *others = written(place, shards())

    assert "no ledger is given of shard 1/4" in refused("merge", *others, "--out", "merged")
    first.write_text(first.read_text()[:-5])
    assert "the run broke, or the file was cut" in refused("merge", first, *others, "--out", "merged")
    assert not (place / "merged").exists()


def test_a_merged_ledger_is_not_written_over_another(place: Path) -> None:
    paths = written(place, shards())
    harness("merge", *paths, "--out", "merged")
    before = (place / "merged" / "ledger.jsonl").read_bytes()

    assert "merged holds a ledger already" in refused("merge", *paths, "--out", "merged")
    assert (place / "merged" / "ledger.jsonl").read_bytes() == before


def test_runs_are_laid_side_by_side(place: Path) -> None:
    bad = ledger(verdicts={SCENARIOS[0]: Verdict.FAIL}, run="def", mutant="volume-reused")
    bad.write(place / "reports" / "def" / "ledger.jsonl")

    status, said, _ = harness("matrix", "reports/abc", "reports/def/ledger.jsonl")

    assert status == 0
    assert "mutant volume-reused" in said
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.splitlines()]
    assert ["BND-1", "pass", "FAIL"] in rows
    assert ["BND-2", "pass", "pass"] in rows
    assert "no such ledger" in refused("matrix", "reports/abc", "reports/none")
