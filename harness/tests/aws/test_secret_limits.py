from __future__ import annotations

from typing import Any

import pytest

from harness.tests.aws.stranger import Stranger, refused, unique


@pytest.fixture(scope="module")
def secrets(stranger: Stranger) -> Any:
    return stranger.administrator("secretsmanager")


def test_a_secret_of_65536_bytes_is_stored_and_one_of_65537_is_refused(secrets: Any) -> None:
    name = unique("limit")
    secrets.create_secret(Name=name, SecretString="x" * 65_536)
    assert len(secrets.get_secret_value(SecretId=name)["SecretString"]) == 65_536
    with refused("ValidationException", match="less than or equal to 65536"):
        secrets.create_secret(Name=unique("limit"), SecretString="x" * 65_537)
    with refused("ValidationException"):
        secrets.put_secret_value(SecretId=name, SecretString="x" * 65_537)
    with refused("ValidationException"):
        secrets.update_secret(SecretId=name, SecretString="x" * 65_537)


def test_the_limit_counts_bytes_and_not_characters(secrets: Any) -> None:
    secrets.create_secret(Name=unique("umlaut"), SecretString="ü" * 32_768)
    with refused("ValidationException"):
        secrets.create_secret(Name=unique("umlaut"), SecretString="ü" * 32_769)


def test_a_binary_secret_has_the_same_limit(secrets: Any) -> None:
    name = unique("binary")
    secrets.create_secret(Name=name, SecretBinary=b"\0" * 65_536)
    assert secrets.get_secret_value(SecretId=name)["SecretBinary"] == b"\0" * 65_536
    with refused("ValidationException"):
        secrets.create_secret(Name=unique("binary"), SecretBinary=b"\0" * 65_537)


def test_an_oversized_secret_leaves_nothing_behind(secrets: Any) -> None:
    name = unique("gone")
    with refused("ValidationException"):
        secrets.create_secret(Name=name, SecretString="x" * 65_537)
    with refused("ResourceNotFoundException"):
        secrets.describe_secret(SecretId=name)


def test_an_empty_value_is_refused(stranger: Stranger) -> None:
    unchecked = stranger.client(
        "secretsmanager", stranger.gateway.administrator("provisioner"), validate=False
    )
    with refused("ValidationException", match="greater than or equal to 1"):
        unchecked.create_secret(Name=unique("empty"), SecretString="")
    with refused("ValidationException", match="'name' failed"):
        unchecked.create_secret(SecretString="a")


def test_text_and_binary_together_are_refused(secrets: Any) -> None:
    with refused("InvalidParameterException", match="both a binary secret value and a string"):
        secrets.create_secret(Name=unique("both"), SecretString="a", SecretBinary=b"a")


@pytest.mark.parametrize("name", ["white space", "ümlaut", "colon:", "a" * 513])
def test_a_name_outside_the_alphabet_or_too_long_is_refused(secrets: Any, name: str) -> None:
    with refused("ValidationException"):
        secrets.create_secret(Name=name, SecretString="a")


def test_every_character_of_the_alphabet_and_512_of_them_are_accepted(secrets: Any) -> None:
    name = unique("Az09/_+=.@-")
    secrets.create_secret(Name=name.ljust(512, "a"), SecretString="a")


def test_a_description_of_2048_characters_is_stored_and_one_more_is_refused(secrets: Any) -> None:
    secrets.create_secret(Name=unique("words"), Description="d" * 2048, SecretString="a")
    with refused("ValidationException"):
        secrets.create_secret(Name=unique("words"), Description="d" * 2049, SecretString="a")


def test_a_secret_scheduled_for_deletion_takes_no_new_value(secrets: Any) -> None:
    name = unique("doomed")
    secrets.create_secret(Name=name, SecretString="a")
    secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    with refused("InvalidRequestException", match="marked for deletion"):
        secrets.put_secret_value(SecretId=name, SecretString="b")
    with refused("InvalidRequestException", match="marked for deletion"):
        secrets.update_secret(SecretId=name, SecretString="b")
    with refused("InvalidRequestException"):
        secrets.get_secret_value(SecretId=name)
    with refused("InvalidRequestException", match="already scheduled for deletion"):
        secrets.create_secret(Name=name, SecretString="b")
    secrets.restore_secret(SecretId=name)
    secrets.put_secret_value(SecretId=name, SecretString="b")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "b"


def test_boto3_raises_its_modelled_exception_classes(secrets: Any) -> None:
    with pytest.raises(secrets.exceptions.InvalidParameterException):
        secrets.create_secret(Name=unique("both"), SecretString="a", SecretBinary=b"a")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.get_secret_value(SecretId=unique("absent"))
