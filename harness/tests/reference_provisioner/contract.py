"""Holds every answer that a test gets against the OpenAPI document of the lifecycle API."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    import httpx

DOCUMENT = Path(__file__).parents[2] / "contract" / "lifecycle.yaml"


@cache
def document() -> dict[str, Any]:
    return dict(yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")))


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        {**schema, "components": document()["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def check(answer: httpx.Response) -> None:
    """Raises AssertionError if the contract does not allow this answer to its request."""
    request = answer.request
    operation = _operation(request.method, request.url.path)
    if operation is None:
        return
    responses = operation["responses"]
    status = str(answer.status_code)
    described = responses.get(status) or responses.get(f"{status[0]}XX")
    assert described, f"{request.method} {request.url.path} may not answer {status}: {answer.text}"
    described = _resolved(described)
    for name, header in described.get("headers", {}).items():
        assert name in answer.headers or not _resolved(header).get("required"), f"{status} lacks {name}"
    if "content" not in described:
        assert not answer.content
        return
    ((media_type, content),) = described["content"].items()
    assert answer.headers["Content-Type"] == media_type
    errors = [
        f"{error.json_path}: {error.message}"
        for error in validator(content["schema"]).iter_errors(answer.json())
    ]
    assert not errors, f"{request.method} {request.url.path} {status}: {errors}\n{answer.text}"


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, item in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return dict(item).get(method.lower())
    return None


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    if reference is None:
        return part
    found: Any = document()
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)
