"""An implementation's manifest is loaded strictly, and each mistake is named with its way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.manifest import ManifestProblem, load_implementation
from harness.session import REFERENCE

GOOD = """\
contract = "1.0"
name = "other"
version = "3"
[capabilities]
transports = ["git"]
[provisioner.docker]
image = "other/provisioner:3"
[provisioner.process]
command = ["{python}", "serve.py", "{port}"]
[provisioner.environment]
AWS = "{aws_endpoint_url}"
[machine.docker]
image = "other/machine:3"
[machine.process]
command = ["{python}", "boot.py", "{data}"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "implementation.toml"
    path.write_text(text)
    return path


def test_a_good_manifest_says_on_which_runtimes_it_runs(tmp_path: Path) -> None:
    loaded = load_implementation(written(tmp_path, GOOD), revision="1.0")

    assert loaded.runtimes() == ("docker", "process")
    assert loaded.home == tmp_path.resolve()


def test_a_folder_stands_for_the_manifest_in_it(tmp_path: Path) -> None:
    written(tmp_path, GOOD)

    assert load_implementation(tmp_path, revision="1.0").name == "other"


def test_the_reference_has_a_good_manifest() -> None:
    transports = load_implementation(REFERENCE, revision="1.0").capabilities.transports
    assert transports == ("git", "archive", "object")


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ('version = "3"', 'version = "3"\ncolour = "red"', "colour: unknown key"),
        ('version = "3"', 'version = "3"\nhome = "/"', "home: unknown key"),
        ('version = "3"', "", "version: missing"),
        ('name = "other"', 'name = "Other One"', "name: String should match"),
        ('transports = ["git"]', 'transports = ["ftp"]', "capabilities.transports.0"),
        ('transports = ["git"]', "transports = []", "capabilities.transports: Tuple should have at least 1"),
        ('image = "other/machine:3"', "", "machine.docker: give either image"),
        ('image = "other/machine:3"', 'build = { context = "nowhere" }', "no 'nowhere' beside the manifest"),
        (
            '"{data}"',
            '"{date}"',
            "{date} in '{date}' is not a placeholder; known are data, home, port, python",
        ),
        ('"boot.py"', '"{operator_token}"', "machine: {operator_token}"),
        ('contract = "1.0"', 'contract = "2.0"', "this harness judges contract '1.0'"),
        ("[capabilities]", "[capabilities", "not TOML"),
    ],
)
def test_each_mistake_is_named_with_its_place(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    assert line in GOOD
    path = written(tmp_path, GOOD.replace(line, instead))

    with pytest.raises(ManifestProblem) as refused:
        load_implementation(path, revision="1.0")

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_part_for_each_runtime_but_no_runtime_for_both_parts_is_refused(tmp_path: Path) -> None:
    cut = GOOD.replace('[provisioner.docker]\nimage = "other/provisioner:3"\n', "")
    cut = cut.replace('[machine.process]\ncommand = ["{python}", "boot.py", "{data}"]\n', "")

    with pytest.raises(ManifestProblem, match="no runtime runs both parts"):
        load_implementation(written(tmp_path, cut), revision="1.0")


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestProblem, match=r"nothing\.toml: no such file"):
        load_implementation(tmp_path / "nothing.toml", revision="1.0")
