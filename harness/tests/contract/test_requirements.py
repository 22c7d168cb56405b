"""The contract's own data is loaded strictly."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from harness.contract import requirements as contract_requirements
from harness.contract.requirements import ContractProblem, load_contract

GOOD = """\
revision = "9.9"
[words]
world = "all of it"
[areas.BND]
title = "the boundary"
[areas.BND.requirements.BND-1]
text = "It holds."
"""


def test_every_requirement_of_the_first_revision_is_there() -> None:
    contract = load_contract()

    assert contract.revision == "1.0"
    counts = {
        area: sum(each.area == area for each in contract.requirements.values()) for area in contract.areas
    }
    assert counts == {
        "BND": 9, "CHN": 10, "ALW": 5, "SKL": 9, "REC": 11, "HEAL": 8, "EDIT": 4,
        "FAIL": 7, "MIG": 4, "GEN": 4, "OBS": 2, "ISO": 2,
    }  # fmt: skip
    assert [name for name, each in contract.requirements.items() if each.level == "SHOULD"] == ["HEAL-8"]
    assert contract.requirement("GEN-2").needs == "source"


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ('text = "It holds."', 'text = "It holds."\nlevle = "MUST"', "levle"),
        ('text = "It holds."', 'text = " "', "at least 1 character"),
        ('text = "It holds."', 'text = "It holds."\nlevel = "MAY"', "MUST"),
        ("BND-1]", "CHN-1]", "stands in area BND"),
        ("BND-1]", "BND-01]", "pattern"),
        ('revision = "9.9"', 'revision = "latest"', "pattern"),
        ("[words]", "[words", "TOML|Expected|Invalid"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    path = tmp_path / "requirements.toml"
    path.write_text(GOOD.replace(line, instead))

    with pytest.raises(ContractProblem) as refused:
        load_contract(path)

    assert re.search(complaint, str(refused.value))


def test_a_check_cannot_invent_a_requirement() -> None:
    with pytest.raises(ContractProblem, match="BND-99"):
        load_contract().requirement("BND-99")


@pytest.mark.parametrize("name", ["requirements.toml", "credentials.toml", "lifecycle.yaml"])
def test_the_digest_changes_with_every_word_by_which_a_run_is_judged(tmp_path: Path, name: str) -> None:
    (tmp_path / "credentials.toml").touch()
    (tmp_path / "lifecycle.yaml").touch()
    (tmp_path / "requirements.toml").write_text(GOOD)
    before = load_contract(tmp_path / "requirements.toml").digest
    with (tmp_path / name).open("a") as file:
        file.write("# A word more.\n")

    assert load_contract(tmp_path / "requirements.toml").digest != before


def test_the_digest_is_that_of_a_listing_which_anybody_can_make() -> None:
    folder = Path(contract_requirements.__file__).parent
    listing = subprocess.run(
        ["sha256sum", "credentials.toml", "lifecycle.yaml", "requirements.toml"],
        cwd=folder, capture_output=True, check=True,
    ).stdout  # fmt: skip

    assert load_contract().digest == hashlib.sha256(listing).hexdigest()
