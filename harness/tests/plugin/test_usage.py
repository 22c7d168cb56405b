"""What cannot be done as asked is refused in one line, with exit status 4, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from socket import create_server

import pytest

ROOT = Path(__file__).parents[3]
IMPLEMENTATION = ROOT / "harness" / "reference" / "implementation.toml"


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """pytest, as a user would start it."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,  # with no terminal, whoever runs the tests
    )


def refused(tmp_path: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """The one line. The run must not have made anything."""
    reports, temporary = tmp_path / "reports", tmp_path / "tmp"
    temporary.mkdir()
    done = run(
        "scenarios", "-k", "minimal", "--reports", str(reports), *arguments,
        environment={"TMPDIR": str(temporary), **(environment or {})},
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    lines = [line for line in said.splitlines() if "ERROR" in line]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    assert not reports.exists()
    assert not list(temporary.glob("workspace-conformance-*/*/*"))
    return lines[0]


def template(folder: Path, *, config: str | None = "name: x\n", skill: bool = True) -> Path:
    folder.mkdir()
    if config is not None:
        (folder / "config.yaml").write_text(config)
    if skill:
        (folder / "agent-skills" / "a").mkdir(parents=True)
        (folder / "agent-skills" / "a" / "SKILL.md").write_text("---\nname: a\ndescription: A.\n---\n")
    return folder


def manifest(tmp_path: Path, old: str, new: str) -> str:
    """A copy of the reference's manifest, with one thing changed and its folders still found."""
    text = IMPLEMENTATION.read_text()
    assert old in text
    text = text.replace(old, new).replace('context = "."', f'context = "{IMPLEMENTATION.parent}"')
    text = text.replace('"image/requirements.txt"', f'"{IMPLEMENTATION.parent}/image/requirements.txt"')
    path = tmp_path / "implementation.toml"
    path.write_text(text)
    return str(path)


def test_an_unknown_runtime(tmp_path: Path) -> None:
    assert "--runtime lxc: unknown runtime; choose auto, docker, process" in refused(
        tmp_path, "--runtime", "lxc"
    )


def test_docker_without_an_engine(tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}

    line = refused(tmp_path, "--runtime", "docker", environment=nowhere)

    assert "no container engine answers at" in line
    assert "use the process runtime" in line


def test_an_unknown_key_in_the_manifest(tmp_path: Path) -> None:
    changed = manifest(tmp_path, 'name = "reference"', 'name = "reference"\ncolour = "red"')

    assert "colour: unknown key" in refused(tmp_path, "--implementation", changed)


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ('requirement = "HEAL-99"', "waivers: there is no requirement 'HEAL-99' in contract 1.0"),
        (
            'check = "heal_1_a_mising_config"',
            "waivers: there is no check 'heal_1_a_mising_config' in this harness",
        ),
    ],
)
def test_a_waiver_of_what_there_is_not(tmp_path: Path, what: str, complaint: str) -> None:
    row = f'[[waivers]]\n{what}\nreason = "r"\nowner = "o"\nissue = "i"\nexpires = 2999-01-01\n'
    changed = manifest(tmp_path, "[provisioner]\n", f"{row}[provisioner]\n")

    assert complaint in refused(tmp_path, "--implementation", changed)


def test_an_image_that_nobody_has(tmp_path: Path, needs_engine: None) -> None:
    build = (
        'build = { context = ".", dockerfile = "image/Dockerfile", requirements = "image/requirements.txt" }'
    )
    changed = manifest(tmp_path, build, 'image = "localhost:1/nobody/has-this:1"')

    line = refused(tmp_path, "--runtime", "docker", "--implementation", changed)

    assert "there is no image localhost:1/nobody/has-this:1" in line


def test_a_template_that_does_not_exist(tmp_path: Path) -> None:
    assert "no such directory" in refused(tmp_path, "--template", str(tmp_path / "nothing"))


def test_a_folder_that_is_no_template(tmp_path: Path) -> None:
    folder = template(tmp_path / "t", config=None)

    assert "config.yaml" in refused(tmp_path, "--template", str(folder))


def test_a_template_without_skills(tmp_path: Path) -> None:
    folder = template(tmp_path / "t", skill=False)

    assert "skill" in refused(tmp_path, "--template", str(folder))


def test_a_folder_without_skills(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "SKILL.md" in refused(tmp_path, "--skills", str(tmp_path / "empty"))


def test_no_git(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()

    assert "git is not installed" in refused(tmp_path, environment={"PATH": str(bare)})


@pytest.mark.parametrize("none", [ROOT, ROOT / "README.md"])
def test_a_mutant_that_is_none(tmp_path: Path, none: Path) -> None:
    assert "no mutant.toml in it" in refused(tmp_path, "--mutant", str(none))


@pytest.mark.parametrize("words", [["up", "--runtime", "lxc"], ["sweep", "--older-than", "soon"]])
def test_the_command_line_refuses_with_one_line_too(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert words[-1] in done.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", "from harness.cli import main; main()",
             "up", "--runtime", "process", "--template-port", str(port)],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.returncode == 4, done.stderr
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use); choose another port" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("workspace-conformance-*/*/*"))
