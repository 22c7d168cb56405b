"""Images are named by their content, and built at most once for it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from harness.runtime import image
from harness.runtime.image import IMAGE_LABEL, ImageError, Images, ImageSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY . /opt/implementation
"""


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    context = tmp_path / "context"
    (context / "inside").mkdir(parents=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "inside" / "program").write_text("print('one')")
    # Else another test's image would have a layer in common, which goes with the first of them.
    unique = secrets.token_hex(4)
    (context / "unique").write_text(unique)
    return ImageSource(f"self-test-{unique}", context)


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def images(
    docker_engine: DockerClient, base_image: str, source: ImageSource, reports: list[str]
) -> Iterator[Images]:
    yield Images(docker_engine, base=base_image, report=reports.append)
    for built in docker_engine.images.list(filters={"label": f"{IMAGE_LABEL}={source.name}"}):
        docker_engine.images.remove(built.tags[0], force=True)


def output(engine: DockerClient, tag: str) -> bytes:
    said: bytes = engine.containers.run(tag, ["python3", "/opt/implementation/inside/program"], remove=True)
    return said


def test_what_is_built_is_in_the_image(
    images: Images, source: ImageSource, docker_engine: DockerClient
) -> None:
    tag = images.build(source)

    assert tag.startswith(f"workspace-conformance/{source.name}:")
    assert output(docker_engine, tag) == b"one\n"


def test_the_same_content_is_not_built_again(images: Images, source: ImageSource, reports: list[str]) -> None:
    first = images.build(source)
    assert len(reports) == 1
    (source.context / "inside" / "program").touch()

    assert images.build(source) == first
    assert len(reports) == 1


def test_other_content_is_another_image_and_the_old_one_stays(
    images: Images, source: ImageSource, docker_engine: DockerClient
) -> None:
    first = images.build(source)
    (source.context / "inside" / "program").write_text("print('two')")

    second = images.build(source)

    assert second != first
    assert output(docker_engine, second) == b"two\n"
    assert output(docker_engine, first) == b"one\n"


def test_mode_and_name_of_a_file_count_too(images: Images, source: ImageSource) -> None:
    program = source.context / "inside" / "program"
    tags = [images.build(source)]
    program.chmod(0o755)
    tags.append(images.build(source))
    program.rename(program.with_name("renamed"))
    tags.append(images.build(source))

    assert len(set(tags)) == 3


def test_what_the_ignore_file_names_does_not_count(images: Images, source: ImageSource) -> None:
    (source.context / "Dockerfile.dockerignore").write_text("**/__pycache__\n")
    first = images.build(source)
    (source.context / "inside" / "__pycache__").mkdir()
    (source.context / "inside" / "__pycache__" / "program.pyc").write_bytes(b"1")

    assert images.build(source) == first


def test_a_build_that_fails_tells_what_the_engine_said_and_leaves_no_image(
    images: Images, source: ImageSource, docker_engine: DockerClient
) -> None:
    (source.context / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN echo for-this-reason && false\n")

    with pytest.raises(ImageError, match="for-this-reason"):
        images.build(source)

    assert docker_engine.images.list(filters={"label": f"{IMAGE_LABEL}={source.name}"}) == []


def test_a_source_without_a_dockerfile_is_refused(images: Images, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no Dockerfile"):
        images.build(ImageSource("self-test", tmp_path))


def test_a_base_that_is_nowhere_is_named_with_the_way_to_change_it(docker_engine: DockerClient) -> None:
    images = Images(docker_engine, base="registry.invalid/no-such-image:1")

    with pytest.raises(ImageError, match=r"registry\.invalid/no-such-image:1.*CONFORMANCE_BASE_IMAGE"):
        images.base()


def test_packages_that_cannot_be_had_are_named(images: Images, source: ImageSource, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-anywhere==1.2.3\n")

    with pytest.raises(ImageError, match="no-such-package-anywhere"):
        images.build(ImageSource(source.name, source.context, requirements=requirements))


def test_without_registry_and_mmdebstrap_the_error_names_all_ways_out(
    docker_engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(image.BASE_VARIABLE, raising=False)
    monkeypatch.setattr(image, "_UPSTREAM", "registry.invalid/python:1")
    monkeypatch.setattr(image, "_BASE_DOCKERFILE", "FROM registry.invalid/python:1\n")
    monkeypatch.setattr(image, "_BASE_MMDEBSTRAP", ("no-such-mmdebstrap",))

    with pytest.raises(ImageError) as refused:
        Images(docker_engine).base()

    assert "registry.invalid" in str(refused.value)
    assert "install mmdebstrap" in str(refused.value)
    assert "CONFORMANCE_BASE_IMAGE" in str(refused.value)


def test_only_the_newest_image_of_a_name_is_kept_when_asked(images: Images, source: ImageSource) -> None:
    old = images.build(source)
    (source.context / "inside" / "program").write_text("print('two')")
    new = images.build(source)

    would = images.remove_old(dry_run=True)

    assert old in would
    assert new not in would
