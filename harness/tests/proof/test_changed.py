"""Which mutants have to be proven again after a change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.proof.changed import UnknownRevision, affected, changed_since
from harness.proof.mutant import Mutant


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in {
        "fixtures/mutants/stub/overlay.py": '@replace("reference.boot.damage:is_stub")\ndef f(original): ...\n',
        "harness/oracle/heal.py": '@check("HEAL-1")\ndef heal_1_x(): ...\n',
        "harness/oracle/skills.py": '@check("SKL-1")\ndef skl_1_x(): ...\n',
        "harness/reference/boot/damage.py": "",
        "scenarios/test_missing_config.py": "def test_a_missing_config_is_repaired(): ...\n",
        "scenarios/test_load.py": "def test_many_at_once(): ...\n",
        "README.md": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


@pytest.fixture
def stub(root: Path) -> Mutant:
    return Mutant(
        name="stub",
        breaks="It breaks.",
        caught_by=("HEAL-1",),
        scenarios="missing_config and not nothing",
        folder=root / "fixtures" / "mutants" / "stub",
    )


@pytest.mark.parametrize(
    "path",
    [
        "fixtures/mutants/stub/mutant.toml",
        "harness/oracle/heal.py",
        "harness/reference/boot/damage.py",
        "scenarios/test_missing_config.py",
    ],
)
def test_a_mutant_rests_on_its_folder_its_checks_its_target_and_its_scenarios(
    root: Path, stub: Mutant, path: str
) -> None:
    assert affected([stub], {Path(path)}, root) == [stub]


@pytest.mark.parametrize("path", ["README.md", "harness/oracle/skills.py", "scenarios/test_load.py"])
def test_it_rests_on_nothing_else(root: Path, stub: Mutant, path: str) -> None:
    assert affected([stub], {Path(path)}, root) == []


def test_the_one_suite_that_it_names_counts_whatever_its_tests_are_called(root: Path, stub: Mutant) -> None:
    named = stub.model_copy(update={"suite": "load"})

    assert affected([named], {Path("scenarios/test_load.py")}, root) == [named]


def test_what_is_changed_and_what_is_new_have_changed(root: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example", "-C", str(root)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (root / "README.md").write_text("more\n")
    (root / "new.py").write_text("")

    assert changed_since("HEAD", root) == {Path("README.md"), Path("new.py")}
    with pytest.raises(UnknownRevision, match="no-such-revision"):
        changed_since("no-such-revision", root)
