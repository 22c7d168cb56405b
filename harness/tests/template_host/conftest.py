from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from harness.templates import Template
from harness.templates.git import git_environment
from harness.world.template_host import TemplateHost

Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[TemplateHost]:
    with TemplateHost(tmp_path / "host") as host:
        yield host


@pytest.fixture
def agent() -> Template:
    return (
        Template()
        .with_file("config.yaml", "name: a\n")
        .with_file("agent-skills/a/SKILL.md", "---\nname: a\n---\r\n")
        .with_file("agent-skills/a/run.sh", "#!/bin/sh\n", "755")
        .with_file("agent-skills/a/empty", b"")
        .with_file("prompts/größe.md", b"\xff\x00binary")
        .with_file('prompts/quo"te back\\slash.md', "quoted")
    )


@pytest.fixture
def api(host: TemplateHost) -> Iterator[httpx.Client]:
    # verify=False: there is no TLS here, and loading the certificates takes a tenth of a second.
    with httpx.Client(base_url=f"{host.url}/api/v1/repos", trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A real git client with no configuration; a token is handed over as a boot would: by GIT_ASKPASS."""

    def run(
        *arguments: str, token: str | None = None, directory: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        environment = git_environment()
        if token is not None:
            askpass = tmp_path / "askpass"
            askpass.write_text('#!/bin/sh\necho "$TOKEN"\n')
            askpass.chmod(0o700)
            environment |= {"GIT_ASKPASS": str(askpass), "TOKEN": token}
        return subprocess.run(
            ["git", *arguments], cwd=directory, env=environment, capture_output=True, text=True
        )

    return run
