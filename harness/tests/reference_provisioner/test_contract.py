"""The reference's routes and messages are those of the lifecycle contract, no more and no fewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import ValidationError

from harness.reference.provisioner.api import create_app
from harness.reference.provisioner.report import BootReport
from harness.reference.provisioner.service import build
from harness.reference.provisioner.settings import read_settings

from .contract import document, validator

METHODS = {"get", "put", "post", "delete", "patch"}
GOOD: dict[str, Any] = {
    "schema": 1,
    "workspace": "ws-" + "0" * 32,
    "boot": {"sequence": 1, "reason": "provision"},
    "started_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:01.5Z",
    "identity": "a/b@main",
    "repository": "a/b",
    "ref": "main",
    "commit": "a" * 40,
    "transport": "git",
    "outcome": "ready",
    "error": None,
    "expected": {"files": 1, "digest": "b" * 64},
    "delivered": {"files": 1, "digest": "b" * 64},
    "paths": [{"path": "config.yaml", "action": "delivered", "reason": "new", "aside": None}],
    "skills": [{"name": "s", "status": "loaded", "reason": None, "commands": ["c.md"]}],
    "fetched": {"bytes": 0, "requests": 0},
}


def test_the_contract_is_a_valid_openapi_document() -> None:
    validate(document())


def test_the_reference_has_exactly_the_routes_of_the_contract(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "AWS_REGION": "us-east-1",
            "PROVISIONER_ADMIN_TOKEN": "token",
            "PROVISIONER_PUBLIC_URL": "http://provisioner.example",
            "PROVISIONER_DATABASE_URL": f"sqlite:///{tmp_path / 'db'}",
            "TEMPLATE_HOST_URL": "http://templates.example",
            "BOOT_IMAGE_ID": "ami-1",
        }
    )
    service = build(settings)
    try:
        served = create_app(service).openapi()["paths"]
    finally:
        service.close()

    assert _routes(served) == _routes(document()["paths"])


def _routes(paths: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method) for path, item in paths.items() for method in METHODS & item.keys()}


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"schema": 2},
        {"commit": "main"},
        {"outcome": "fine"},
        {"boot": {"sequence": 0, "reason": "provision"}},
        {"boot": {"sequence": 1, "reason": "whim"}},
        {"boot": {"sequence": 1, "reason": "heal", "more": 1}},
        {"expected": {"files": 1, "digest": "short"}},
        {"expected": {"files": "1", "digest": "b" * 64}},
        {"paths": [{"path": "x", "action": "eaten", "reason": "new", "aside": None}]},
        {"paths": [{"path": "x", "action": "delivered", "reason": "new"}]},
        {"skills": [{"name": "s", "status": "loaded", "reason": None}]},
        {"skills": {}},
        {"error": {"code": "Not A Code", "message": "m", "hint": None}},
        {"fetched": {"bytes": -1, "requests": 0}},
        {"started_at": "yesterday"},
        {"transport": "pigeon"},
        {"delivered": None},
        {"outcome": "degraded"},
        {"outcome": "failed", "commit": None},
    ],
    ids=repr,
)
def test_the_reference_and_the_contract_refuse_the_same_boot_reports(change: dict[str, Any]) -> None:
    schema = validator({"$ref": "#/components/schemas/BootReport"})
    assert schema.is_valid(GOOD)
    BootReport.model_validate(GOOD)

    assert not schema.is_valid(GOOD | change)
    with pytest.raises(ValidationError):
        BootReport.model_validate(GOOD | change)
