"""Statements in signed envelopes (DSSE, https://github.com/secure-systems-lab/dsse): made, and believed or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from .statement import PREDICATE_TYPE, TestResult, ledger_sha256

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class NotAnEnvelope(Exception):
    """What was given cannot be verified at all; one line that says what it is not."""


class NotBelieved(Exception):
    """The envelope, or the ledger, is not what was signed; one line that says which, and how that shows."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement whose signature is good."""

    subjects: Mapping[str, str]
    """SHA-256, by name."""
    result: TestResult


def sign(statement: Mapping[str, Any], signer: CryptoSigner) -> str:
    """The envelope, as JSON."""
    envelope = Envelope(json.dumps(statement, sort_keys=True).encode(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=2) + "\n"


def verify(path: Path, key: SSlibKey, ledger: Path | None = None) -> Verified:
    """Raises NotAnEnvelope; NotBelieved for a signature by another key, a payload or a ledger that was altered."""
    envelope = _envelope(path)
    signers = sorted(envelope.signatures)
    if key.keyid not in signers:
        raise NotBelieved(
            f"{path}: signed with another key ({', '.join(each[:16] for each in signers)}), "
            f"not with the one that was given ({key.keyid[:16]})"
        )
    try:
        envelope.verify([key], threshold=1)
    except VerificationError:
        raise NotBelieved(
            f"{path}: the signature does not fit what it signs: the payload was altered after it was signed, or the "
            "signature is forged"
        ) from None
    verified = _statement(path, envelope)
    if ledger is not None:
        try:
            digest = ledger_sha256(ledger)
        except OSError as error:
            raise NotAnEnvelope(f"{ledger}: the ledger cannot be read: {error.strerror}") from None
        if digest != verified.result.ledger_digest:
            raise NotBelieved(
                f"{ledger}: not the ledger that was signed, or altered since: its SHA-256 is {digest}, "
                f"and the statement is about {verified.result.ledger_digest}"
            )
    return verified


def _envelope(path: Path) -> Envelope:
    try:
        document = json.loads(path.read_bytes())
        envelope = Envelope.from_dict(document)
        text = [envelope.payload_type, *envelope.signatures]
    except OSError as error:
        raise NotAnEnvelope(
            f"{path}: cannot be read: {error.strerror}; name what harness sign wrote"
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise NotAnEnvelope(f"{path}: not an envelope (DSSE); name what harness sign wrote") from None
    if not envelope.signatures or not all(isinstance(each, str) and each.isprintable() for each in text):
        raise NotAnEnvelope(f"{path}: an envelope without a signature; name what harness sign wrote")
    return envelope


def _statement(path: Path, envelope: Envelope) -> Verified:
    """Raises NotAnEnvelope for what was signed, and yet is no result of this harness."""
    try:
        document = json.loads(envelope.payload)
        statement = Statement.copy_from_pb(
            ParseDict(document, StatementMessage(), ignore_unknown_fields=True)
        )
        statement.validate()
        result = TestResult.model_validate(document["predicate"])
        subjects = {each.name: each.digest["sha256"] for each in statement.pb.subject}
        types = (envelope.payload_type, statement.pb.predicate_type)
        wrong = "" if types == (PAYLOAD_TYPE, PREDICATE_TYPE) else f"its types are {' and '.join(types)}"
    except (AttributeError, ParseError, TypeError, ValueError) as error:
        wrong = " ".join(str(error).split())
    if wrong:
        raise NotAnEnvelope(
            f"{path}: well signed, but not the statement of a run that conforms: {wrong}; "
            "name what harness sign wrote"
        )
    return Verified(subjects, result)
