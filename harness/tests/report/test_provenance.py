"""What was judged, and by what, is told to the byte."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.contract.manifest import DockerProgram, Implementation, Part, load_implementation
from harness.images import ImplementationImages
from harness.report.provenance import Checkout, checkout, source_digest
from harness.session import REFERENCE
from harness.templates.git import run_git


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a git checkout, as committed."""
    package = tmp_path / "harness"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / ".gitignore").write_text("/reports/\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return package


def git(directory: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    return run_git(*identity, *words, directory=directory).decode().strip()


def test_a_clean_checkout_is_its_commit(package: Path) -> None:
    (package.parent / "reports").mkdir()
    (package.parent / "reports" / "ledger.jsonl").touch()

    assert checkout(package) == Checkout(git(package, "rev-parse", "HEAD"), [])


def test_what_is_not_as_committed_is_named(package: Path) -> None:
    (package / "__init__.py").write_text("changed = True\n")
    (package.parent / "scenarios").mkdir()
    (package.parent / "scenarios" / "größe.py").touch()
    (package / "staged.py").touch()
    git(package, "add", "staged.py")

    assert checkout(package).changes == ["harness/__init__.py", "harness/staged.py", "scenarios/größe.py"]


def test_a_checkout_that_only_lies_around_the_package_is_not_its_own(package: Path) -> None:
    installed = package.parent / "reports" / "site-packages" / "harness"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()

    assert checkout(installed) == Checkout(None, [])


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()

    assert checkout(tmp_path) == Checkout(None, [])


def implementation(home: Path, source: str | None = None) -> Implementation:
    reference = load_implementation(REFERENCE, revision="1.0")
    capabilities = reference.capabilities.model_copy(update={"source": source})
    return reference.model_copy(update={"home": home, "capabilities": capabilities})


def test_the_source_is_known_by_its_paths_modes_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.py").write_text("a = 1\n")
    digests = [source_digest(implementation(tmp_path, "source"))]

    (tmp_path / "source" / "__pycache__").mkdir()
    (tmp_path / "source" / "__pycache__" / "main.pyc").touch()
    (tmp_path / "README.md").touch()
    assert source_digest(implementation(tmp_path, "source")) == digests[0]

    (tmp_path / "source" / "main.py").write_text("a = 2\n")
    digests.append(source_digest(implementation(tmp_path, "source")))
    (tmp_path / "source" / "main.py").chmod(0o755)
    digests.append(source_digest(implementation(tmp_path, "source")))
    (tmp_path / "source" / "main.py").rename(tmp_path / "source" / "other.py")
    digests.append(source_digest(implementation(tmp_path, "source")))
    digests.append(source_digest(implementation(tmp_path)))

    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("image", "known", "identity"),
    [
        ("registry:5000/machine:1", ["registry:5000/machine@sha256:aa"], "registry:5000/machine:1@sha256:aa"),
        ("registry:5000/machine:1", ["mirror/machine@sha256:bb"], "registry:5000/machine:1@sha256:id"),
        ("machine:1", [], "machine:1@sha256:id"),
        ("machine@sha256:aa", ["machine@sha256:aa"], "machine@sha256:aa"),
    ],
)
def test_an_image_is_known_by_its_manifest_else_by_itself(
    image: str, known: list[str], identity: str
) -> None:
    found = SimpleNamespace(id="sha256:id", attrs={"RepoDigests": known})
    client: Any = SimpleNamespace(images=SimpleNamespace(get={image: found}.__getitem__))
    images = ImplementationImages(client, cast("Implementation", None), None, lambda _: None)

    assert images.identity(Part(docker=DockerProgram(image=image))) == identity
