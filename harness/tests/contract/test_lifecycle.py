"""Answers of the lifecycle API are held against lifecycle.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from harness.contract.lifecycle import HttpLifecycle, NotAsSpecified, Refused, Schema
from harness.templates import BOTTOMLESS
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


GARBLED = {
    "a text": (b"hello", "is no JSON object"),
    "a list": (b"[]", "is no JSON object"),
    "JSON without a bottom": (BOTTOMLESS, "is no JSON object"),
    "nothing": (b"", "is no JSON object"),
    "half of it": (b'{"status": "online"}', "'id' is a required property"),
    "a boot of another type": (b'{"boot": "first"}', "$.boot: 'first' is not of type 'object'"),
    "a row of the report without a path": (
        b'{"boot": {"report": {"paths": [{"action": "delivered"}]}}}',
        "$.boot.report.paths[0]: 'path' is a required property",
    ),
}


@pytest.mark.parametrize("kind", GARBLED)
def test_an_answer_that_nobody_can_go_on_with_is_the_implementations_fault(kind: str) -> None:
    body, problem = GARBLED[kind]
    with answering("200 OK", "application/json", body) as client:
        with pytest.raises(NotAsSpecified, match=r"^GET /workspaces/\{workspace\} answered 200") as failed:
            client.tenancy("token of a tenant").get("ws-1")

        assert problem in str(failed.value)
        assert any(problem in each for each in client.violations())


def test_an_answer_of_the_right_shape_is_gone_on_with_whatever_else_is_wrong_with_it() -> None:
    with answering("200 OK", "text/plain", b'{"workspaces": []}') as client:
        assert client.tenancy("token of a tenant").list() == []

        assert client.violations() == ["GET /workspaces answered 200 as text/plain, not as application/json"]


def test_an_error_in_plain_text_is_a_refusal_and_a_violation() -> None:
    with answering("404 Not Found", "text/plain", b"no such thing") as client:
        with pytest.raises(Refused) as refused:
            client.tenancy("token of a tenant").get("ws-1")

        assert (refused.value.status, refused.value.code, refused.value.detail) == (404, "", "")
        assert client.violations() == [
            "GET /workspaces/{workspace} answered 404 as text/plain, not as application/problem+json",
            "GET /workspaces/{workspace} answered 404 with a body that is no JSON object",
        ]


@contextmanager
def answering(status: str, media_type: str, body: bytes) -> Iterator[HttpLifecycle]:
    """A client of a provisioner that answers everything so."""

    def answer_all(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Type", media_type), ("Content-Length", str(len(body)))])
        return [body]

    server = Server("answering", answer_all)
    client = HttpLifecycle(server.url(), "token")
    try:
        yield client
    finally:
        client.close()
        server.close()


def test_a_client_follows_a_provisioner_to_its_new_address() -> None:
    def alive(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"status": "ok", "workspaces": []}']

    nowhere, server = "http://127.0.0.1:9", Server("moved", alive)
    client = HttpLifecycle(nowhere, "token")
    tenancy, stranger = client.tenancy("token of a tenant"), client.asked_with("another token")
    try:
        assert not client.healthy()
        client.move(server.url())
        assert client.healthy()
        assert stranger.healthy()
        assert tenancy.list() == []
    finally:
        client.close()
        server.close()


def test_the_operators_verbs_are_asked_for_with_another_token_and_judged_all_the_same() -> None:
    asked: list[str] = []

    def refuse(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(environ["HTTP_AUTHORIZATION"])
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]

    server = Server("refusing", refuse)
    client = HttpLifecycle(server.url(), "token")
    try:
        with pytest.raises(Refused, match="403"):
            client.asked_with("another token").delete_tenant("acme")
        assert asked == ["Bearer another token"]
        assert any("text/plain" in each for each in client.violations())
    finally:
        client.close()
        server.close()


class AnswersOnce(StreamRequestHandler):
    """Says nothing of it, and hangs up where the connection is used again."""

    def handle(self) -> None:
        self.read_request()
        self.wfile.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
        self.read_request()

    def read_request(self) -> None:
        while self.rfile.readline().strip():
            pass


def test_a_provisioner_that_hangs_up_after_an_error_is_asked_again() -> None:
    with TCPServer(("127.0.0.1", 0), AnswersOnce) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = HttpLifecycle(f"http://127.0.0.1:{server.server_address[1]}", "token")
        try:
            for _ in range(2):
                with pytest.raises(Refused) as refused:
                    client.put_tenant("acme", {})
                assert refused.value.status == 500
        finally:
            client.close()
            server.shutdown()
