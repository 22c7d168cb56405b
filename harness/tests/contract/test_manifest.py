"""An implementation's manifest is loaded strictly, and each mistake is named with its way out."""

from __future__ import annotations

from datetime import date
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
LAST = 'command = ["{python}", "boot.py", "{data}"]\n'
WAIVER = (
    LAST
    + """\
[[waivers]]
requirement = "HEAL-1"
reason = "It is being mended."
owner = "Ada"
issue = "https://issues.example/7"
expires = 2026-06-30
"""
)


def written(folder: Path, text: str) -> Path:
    path = folder / "implementation.toml"
    path.write_text(text)
    return path


def test_a_good_manifest_says_on_which_runtimes_it_runs(tmp_path: Path) -> None:
    loaded = load_implementation(written(tmp_path, GOOD), revision="1.0")

    assert loaded.runtimes() == ("docker", "process")
    assert loaded.home == tmp_path.resolve()


def test_what_a_mutant_lays_over_it_is_of_its_source_where_that_is_given(tmp_path: Path) -> None:
    loaded = load_implementation(written(tmp_path, GOOD), revision="1.0")
    given = {"capabilities": loaded.capabilities.model_copy(update={"source": "src"})}

    assert loaded.model_copy(update={"overlay": tmp_path / "mutant"}).sources == ()
    assert loaded.model_copy(update=given).sources == (tmp_path / "src",)
    assert loaded.model_copy(update={**given, "overlay": tmp_path / "mutant"}).sources == (
        tmp_path / "src",
        tmp_path / "mutant",
    )


def test_a_waiver_says_what_it_lets_pass_why_and_until_when(tmp_path: Path) -> None:
    (waiver,) = load_implementation(written(tmp_path, GOOD.replace(LAST, WAIVER)), revision="1.0").waivers

    assert (waiver.requirement, waiver.check, waiver.owner) == ("HEAL-1", None, "Ada")
    assert waiver.expires == date(2026, 6, 30)


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
        ('version = "3"', 'version = "3"\noverlay = "/"', "overlay: unknown key"),
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
        (LAST, '[machine]\nstate = "configs"', "machine.state: 'configs' holds assets, or is agent-owned"),
        (LAST, '[machine]\nstate = "a/b"', "machine.state: String should match"),
        ('contract = "1.0"', 'contract = "2.0"', "this harness judges contract '1.0'"),
        ("[capabilities]", "[capabilities", "not TOML"),
        (LAST, WAIVER.replace("owner = ", "colour = "), "waivers.0.colour: unknown key"),
        (LAST, WAIVER.replace('owner = "Ada"\n', ""), "waivers.0.owner: missing"),
        (
            LAST,
            WAIVER.replace('owner = "Ada"', 'owner = " "'),
            "waivers.0.owner: String should have at least 1",
        ),
        (LAST, WAIVER.replace('requirement = "HEAL-1"\n', ""), "waivers.0: give either requirement"),
        (LAST, WAIVER + 'check = "heal_1_it"\n', "waivers.0: give either requirement"),
        (LAST, WAIVER.replace("2026-06-30", '"soon"'), "waivers.0.expires: Input should be a valid date"),
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
