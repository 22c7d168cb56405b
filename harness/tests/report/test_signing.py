"""A signed statement is believed as long as nothing of it was touched, and what was touched is said."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from harness.report.signing import NotAnEnvelope, NotBelieved, sign, verify
from harness.report.statement import ledger_sha256, statement

from .ledgers import CONTRACT, ledger

SIGNER = CryptoSigner.generate_ed25519()
OTHER = CryptoSigner.generate_ed25519()


@pytest.fixture
def signed_ledger(tmp_path: Path) -> Path:
    ledger().write(tmp_path / "ledger.jsonl")
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def envelope(tmp_path: Path, signed_ledger: Path) -> Path:
    path = tmp_path / "statement.json"
    path.write_text(sign(statement(ledger(), CONTRACT, ledger_sha256(signed_ledger)), SIGNER))
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def signed(path: Path, payload: bytes, payload_type: str = "application/vnd.in-toto+json") -> Path:
    """Something else, with a good signature."""
    pae = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)
    made = SIGNER.sign(pae)
    signature = {"keyid": made.keyid, "sig": base64.b64encode(bytes.fromhex(made.signature)).decode()}
    document = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [signature],
    }
    path.write_text(json.dumps(document))
    return path


def test_what_was_signed_is_read_again(envelope: Path, signed_ledger: Path) -> None:
    verified = verify(envelope, SIGNER.public_key, signed_ledger)

    assert verified.subjects == {"registry.example/platform/machine:1": "1" * 64}
    assert verified.result.result == "PASSED"
    assert verified.result.ledger_digest == ledger_sha256(signed_ledger)
    assert verified.result.workspace_conformance.requirements["BND-1"] == "pass"


def test_it_is_an_envelope_as_its_specification_has_it(envelope: Path) -> None:
    document = json.loads(envelope.read_text())

    assert sorted(document) == ["payload", "payloadType", "signatures"]
    assert document["payloadType"] == "application/vnd.in-toto+json"
    assert [sorted(each) for each in document["signatures"]] == [["keyid", "sig"]]


def test_an_altered_payload_is_found_out(envelope: Path) -> None:
    def alter(document: dict[str, Any]) -> None:
        payload = base64.b64decode(document["payload"])
        assert b'"2026.1"' in payload
        document["payload"] = base64.b64encode(payload.replace(b'"2026.1"', b'"2026.2"')).decode()

    with pytest.raises(NotBelieved, match="the payload was altered after it was signed"):
        verify(rewritten(envelope, alter), SIGNER.public_key)


def test_another_type_of_payload_is_found_out(envelope: Path) -> None:
    with pytest.raises(NotBelieved, match="the signature does not fit what it signs"):
        verify(rewritten(envelope, lambda document: document.update(payloadType="text")), SIGNER.public_key)


def test_a_signature_of_another_key_is_found_out(envelope: Path) -> None:
    with pytest.raises(
        NotBelieved, match=f"signed with another key .{SIGNER.public_key.keyid[:16]}.*not with"
    ):
        verify(envelope, OTHER.public_key)


def test_a_signature_that_only_claims_to_be_of_the_key_is_found_out(envelope: Path) -> None:
    def claim(document: dict[str, Any]) -> None:
        document["signatures"][0]["keyid"] = OTHER.public_key.keyid

    with pytest.raises(NotBelieved, match="or the signature is forged"):
        verify(rewritten(envelope, claim), OTHER.public_key)


def test_an_altered_ledger_is_found_out(envelope: Path, signed_ledger: Path) -> None:
    signed_ledger.write_text(signed_ledger.read_text().replace("test_a", "test_z"))

    with pytest.raises(NotBelieved, match=r"ledger\.jsonl: not the ledger that was signed, or altered since"):
        verify(envelope, SIGNER.public_key, signed_ledger)


def test_a_ledger_that_is_not_there_is_named(envelope: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAnEnvelope, match="none: the ledger cannot be read: No such file"):
        verify(envelope, SIGNER.public_key, tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[]",
        "3",
        "{}",
        '{"payload": "%%", "payloadType": "x", "signatures": []}',
        '{"payload": "", "payloadType": "x", "signatures": 3}',
        '{"payload": 3, "payloadType": "x", "signatures": []}',
        '{"payload": "", "payloadType": "x", "signatures": [{"sig": ""}]}',
        '{"payload": "", "payloadType": "x", "signatures": [3]}',
        '{"payload": "", "payloadType": "x", "signatures": [{"keyid": [], "sig": ""}]}',
    ],
)
def test_what_is_no_envelope_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)

    with pytest.raises(NotAnEnvelope, match=r"x: not an envelope \(DSSE\); name what harness sign wrote"):
        verify(tmp_path / "x", SIGNER.public_key)


@pytest.mark.parametrize(
    "content",
    [
        '{"payload": "", "payloadType": "x", "signatures": []}',
        '{"payload": "", "payloadType": 3, "signatures": [{"keyid": "a", "sig": ""}]}',
        '{"payload": "", "payloadType": "x", "signatures": [{"keyid": "\\u001b[2J", "sig": ""}]}',
    ],
)
def test_an_envelope_that_nobody_can_have_signed_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)

    with pytest.raises(NotAnEnvelope, match="x: an envelope without a signature"):
        verify(tmp_path / "x", SIGNER.public_key)


def test_an_envelope_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAnEnvelope, match="x: cannot be read: No such file"):
        verify(tmp_path / "x", SIGNER.public_key)


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for part in path[:-1]:
            document = document[part]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: document.update(_type="https://in-toto.io/Statement/v0.1"), "Wrong statement type"),
        (lambda document: document.update(predicateType="https://slsa.dev/provenance/v1"), "its types are"),
        (lambda document: document.update(subject=[]), "At least one subject required"),
        (lambda document: document["subject"][0]["digest"].clear(), "At least one digest required"),
        (
            lambda document: document["predicate"].update(result="FAILED"),
            "Input should be 'PASSED' or 'WARNED'",
        ),
        (
            lambda document: document["predicate"]["configuration"].pop(0),
            "no SHA-256 of ledger.jsonl is in it",
        ),
        (without("predicate", "workspaceConformance"), "workspaceConformance Field required"),
        (without("predicate"), "Predicate object required"),
    ],
)
def test_what_was_signed_and_is_no_statement_of_conformance_is_refused(
    envelope: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    document = json.loads(base64.b64decode(json.loads(envelope.read_text())["payload"]))
    change(document)

    with pytest.raises(NotAnEnvelope) as refused:
        verify(signed(envelope, json.dumps(document).encode()), SIGNER.public_key)

    assert "well signed, but not the statement of a run that conforms" in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"3", b'"text"', b"null"])
def test_what_was_signed_and_is_no_statement_at_all_is_refused(envelope: Path, payload: bytes) -> None:
    with pytest.raises(NotAnEnvelope, match="well signed, but not the statement"):
        verify(signed(envelope, payload), SIGNER.public_key)


def test_what_was_signed_as_another_type_is_refused(envelope: Path) -> None:
    payload = base64.b64decode(json.loads(envelope.read_text())["payload"])

    with pytest.raises(NotAnEnvelope, match=r"its types are text/plain and https://in-toto"):
        verify(signed(envelope, payload, "text/plain"), SIGNER.public_key)


def test_what_a_newer_harness_adds_is_passed_over(envelope: Path) -> None:
    document = json.loads(base64.b64decode(json.loads(envelope.read_text())["payload"]))
    document["predicate"]["workspaceConformance"]["news"] = document["news"] = 1

    assert (
        verify(signed(envelope, json.dumps(document).encode()), SIGNER.public_key).result.result == "PASSED"
    )
