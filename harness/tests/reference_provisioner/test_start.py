"""A provisioner that cannot serve says why, all of it at once, and ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

GOOD = {
    "AWS_REGION": "us-east-1",
    "PROVISIONER_ADMIN_TOKEN": "operator-token",
    "PROVISIONER_PUBLIC_URL": "http://provisioner.example",
    "TEMPLATE_HOST_URL": "http://templates.example",
    "BOOT_IMAGE_ID": "ami-1",
}


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "reference.provisioner", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    status, said = run(
        HEARTBEAT_SECONDS="soon",
        BOOT_TIMEOUT_SECONDS="-1",
        TEMPLATE_HOST_URL="ftp://templates.example",
        PROVISIONER_DATABASE_URL="sqlite://",
        FETCH_LIMITS="[]",
    )

    assert status == 2
    for name in (
        "AWS_REGION is not set",
        "PROVISIONER_ADMIN_TOKEN is not set",
        "PROVISIONER_PUBLIC_URL is not set",
        "BOOT_IMAGE_ID is not set",
        "HEARTBEAT_SECONDS must be a number of seconds above 0, but is 'soon'",
        "BOOT_TIMEOUT_SECONDS",
        "TEMPLATE_HOST_URL must be an http(s) URL",
        "PROVISIONER_DATABASE_URL names no file",
        "FETCH_LIMITS must be a JSON object",
    ):
        assert name in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = run("--port", str(port), **GOOD)

    assert status == 2
    assert f"127.0.0.1:{port}" in said
    assert "Traceback" not in said


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    status, said = run("--port", "0", PROVISIONER_DATABASE_URL=f"sqlite:///{tmp_path}/none/db", **GOOD)

    assert status == 2
    assert "PROVISIONER_DATABASE_URL" in said
    assert "Traceback" not in said
