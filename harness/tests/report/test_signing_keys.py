"""Keys: made once, never overwritten, and of one kind."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from harness.report.signing_keys import KeyProblem, load_private_key, load_public_key, make_key_pair


def nobody_is_asked() -> NoReturn:
    raise AssertionError("a key that is not encrypted takes no passphrase")


def test_a_pair_belongs_together(tmp_path: Path) -> None:
    public = make_key_pair(tmp_path / "release.pem")

    assert public == tmp_path / "release.pub"
    assert load_private_key(tmp_path / "release.pem", nobody_is_asked).public_key == load_public_key(public)


def test_only_its_owner_may_read_the_private_key(tmp_path: Path) -> None:
    public = make_key_pair(tmp_path / "release.pem")

    assert (tmp_path / "release.pem").stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o077 == 0o044


@pytest.mark.parametrize("there", ["release.pem", "release.pub"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")

    with pytest.raises(KeyProblem, match=f"{there} is there already, and a key is never overwritten"):
        make_key_pair(tmp_path / "release.pem")

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(there, "mine")]


def test_the_private_key_cannot_take_the_public_ones_name(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="that is the public key's name"):
        make_key_pair(tmp_path / "release.pub")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match=r"none/release\.pem cannot be written: No such file"):
        make_key_pair(tmp_path / "none" / "release.pem")


def test_an_encrypted_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    public = make_key_pair(tmp_path / "release.pem", "open")

    assert load_private_key(tmp_path / "release.pem", lambda: "open").public_key == load_public_key(public)
    for wrong in ("shut", ""):
        with pytest.raises(KeyProblem, match="the passphrase does not open this key"):
            load_private_key(tmp_path / "release.pem", lambda: wrong)  # noqa: B023 - called at once


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("-----BEGIN NOTHING-----\n")

    with pytest.raises(KeyProblem, match="x: not a private key in PEM; make one with harness key"):
        load_private_key(tmp_path / "x", nobody_is_asked)
    with pytest.raises(KeyProblem, match="x: not a public key in PEM"):
        load_public_key(tmp_path / "x")
    with pytest.raises(KeyProblem, match="none: the key cannot be read: No such file"):
        load_public_key(tmp_path / "none")


def test_the_one_key_is_not_taken_for_the_other(tmp_path: Path) -> None:
    public = make_key_pair(tmp_path / "release.pem")

    with pytest.raises(KeyProblem, match="that is a private key, and verifying takes the public one"):
        load_public_key(tmp_path / "release.pem")
    with pytest.raises(KeyProblem, match="not a private key in PEM"):
        load_private_key(public, nobody_is_asked)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    (tmp_path / "ec.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "ec.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )

    with pytest.raises(KeyProblem, match=r"ec\.pem: not a key of ed25519"):
        load_private_key(tmp_path / "ec.pem", nobody_is_asked)
    with pytest.raises(KeyProblem, match=r"ec\.pub: not a key of ed25519"):
        load_public_key(tmp_path / "ec.pub")
