"""Key pairs of ed25519 for signing statements: PEM files, as openssl makes and reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey


class KeyProblem(Exception):
    """A key that cannot be made or used; one line that says why, and the way out."""


def make_key_pair(private: Path, passphrase: str | None = None) -> Path:
    """Write a private key that only its owner may read, and the public one beside it (`.pub`), which is given.

    Raises KeyProblem where either file is there already, and leaves it as it is.
    """
    public = private.with_suffix(".pub")
    if private == public:
        raise KeyProblem(
            f"{private}: that is the public key's name; name the private one, such as release.pem"
        )
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise KeyProblem(f"{path} is there already, and a key is never overwritten; choose another name")
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    try:
        _write(private, 0o600, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write(public, 0o644, pem)
    except OSError as error:
        raise KeyProblem(
            f"{error.filename} cannot be written: {error.strerror}; choose another place"
        ) from None
    return public


def load_private_key(path: Path, passphrase: Callable[[], str]) -> CryptoSigner:
    """`passphrase` is asked only of a key that is encrypted. Raises KeyProblem."""
    pem = _read(path)
    encrypted = b"ENCRYPTED" in pem
    try:
        key = load_pem_private_key(pem, passphrase().encode() if encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):  # TypeError: an empty passphrase
        wrong = (
            "the passphrase does not open this key"
            if encrypted
            else "not a private key in PEM; make one with harness key, or openssl genpkey -algorithm ed25519"
        )
        raise KeyProblem(f"{path}: {wrong}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path}: not a key of ed25519; make one with harness key")
    return CryptoSigner(key)


def load_public_key(path: Path) -> SSlibKey:
    """Raises KeyProblem."""
    pem = _read(path)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        private = (
            "; that is a private key, and verifying takes the public one" if b"PRIVATE KEY" in pem else ""
        )
        raise KeyProblem(
            f"{path}: not a public key in PEM (the .pub that harness key made){private}"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path}: not a key of ed25519, which statements are signed with")
    return SSlibKey.from_crypto(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyProblem(f"{path}: the key cannot be read: {error.strerror}; name a PEM file") from None


def _write(path: Path, mode: int, content: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
