"""Answers of the lifecycle API are held against lifecycle.yaml."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness.contract.lifecycle import HttpLifecycle, Schema
from harness.world.server import Server

UNKNOWN = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "there is no workspace ws-1",
    "code": "workspace-unknown",
}


def answer(status: int, document: Any, media_type: str) -> httpx.Response:
    return httpx.Response(status, json=document, headers={"content-type": media_type})


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema()


def judged(
    schema: Schema, response: httpx.Response, *, path: str = "/workspaces/{w}", method: str = "GET"
) -> list[str]:
    before = len(schema.violations)
    schema.judge(method, path, response, response.json() if response.content else None)
    return schema.violations[before:]


def test_a_problem_as_specified_is_in_order(schema: Schema) -> None:
    assert judged(schema, answer(404, UNKNOWN, "application/problem+json")) == []


def test_a_status_that_is_not_foreseen_is_a_violation(schema: Schema) -> None:
    found = judged(schema, answer(418, {}, "application/json"))

    assert found == ["GET /workspaces/{w} answered 418, which lifecycle.yaml does not foresee"]


def test_a_problem_of_the_wrong_type_is_a_violation(schema: Schema) -> None:
    (found,) = judged(schema, answer(404, UNKNOWN, "application/json"))

    assert "as application/json, not as application/problem+json" in found


def test_a_missing_field_is_named(schema: Schema) -> None:
    cut = {key: value for key, value in UNKNOWN.items() if key != "code"}

    (found,) = judged(schema, answer(404, cut, "application/problem+json"))

    assert "'code' is a required property" in found


def test_a_path_that_the_contract_does_not_have_is_a_violation(schema: Schema) -> None:
    assert judged(schema, answer(200, {}, "application/json"), path="/nothing") != []


def test_a_workspace_with_an_unknown_status_is_a_violation(schema: Schema) -> None:
    found = judged(schema, answer(200, {"id": "ws-1", "status": "fine"}, "application/json"))

    assert any("'fine' is not one of" in each for each in found)


def test_a_boot_report_with_an_unknown_key_is_named(schema: Schema) -> None:
    assert any("colour" in problem for problem in schema.report_problems({"colour": "red"}))


def test_what_was_sound_before_is_judged_by_what_it_is_now(schema: Schema) -> None:
    sound = {"$ref": "#/components/schemas/PathNote"}
    note = {"path": "config.yaml", "action": "delivered", "reason": "new", "aside": None}

    assert [schema.problems(sound, each) for each in (note, note)] == [[], []]
    for _ in range(2):
        assert schema.problems(sound, {**note, "reason": 1}) == ["$.reason: 1 is not of type 'string'"]
    assert schema.problems({"$ref": "#/components/schemas/Tree"}, note) != []


def test_a_client_follows_a_provisioner_to_its_new_address() -> None:
    def alive(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"status": "ok", "workspaces": []}']

    nowhere, server = "http://127.0.0.1:9", Server("moved", alive)
    client = HttpLifecycle(nowhere, "token")
    tenancy = client.tenancy("token of a tenant")
    try:
        assert not client.healthy()
        client.move(server.url())
        assert client.healthy()
        assert tenancy.list() == []
    finally:
        client.close()
        server.close()
