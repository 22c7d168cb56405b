"""The secret search finds what is there and nothing where nothing is, and shows no secret itself."""

from __future__ import annotations

import base64
import gzip
import random

import pytest

from harness.oracle.canaries import bootstrap_canaries, credential_canary
from harness.oracle.search import Search

CANARIES = bootstrap_canaries(b"a key of this test", "acme")
SECRET = CANARIES["shared_secret"].core
SEARCH = Search(CANARIES.values())


@pytest.mark.parametrize("field", CANARIES)
def test_every_field_is_found_in_its_realistic_dress(field: str) -> None:
    value = CANARIES[field].value.encode()

    assert {found.canary.field for found in SEARCH.sightings(b"key: " + value, "here")} == {field}


def test_nothing_is_found_where_nothing_is() -> None:
    noise = random.Random(7).randbytes(3_000_000)

    assert SEARCH.sightings(noise, "here") == []
    assert SEARCH.sightings(base64.b64encode(noise), "here") == []


def test_a_long_stream_is_searched_as_a_short_one_is() -> None:
    noise = random.Random(7).randbytes(9_000_000)

    (found,) = SEARCH.sightings(noise + SECRET.encode(), "here")
    assert (found.canary.field, found.form, found.where) == ("shared_secret", "as it is", "here")


def test_nothing_that_is_shown_holds_the_secret() -> None:
    canary = credential_canary(b"a key of this test", "acme")
    shown = [
        repr(canary),
        *(str(found) for found in Search([canary]).sightings(canary.value.encode(), "here")),
    ]

    assert all(canary.core[:10] not in words for words in shown)


def test_canaries_of_two_tenants_differ_in_every_field() -> None:
    other = bootstrap_canaries(b"a key of this test", "acme-2")

    assert all(other[field].core != CANARIES[field].core for field in CANARIES)


def test_content_that_comes_again_is_told_with_its_own_place() -> None:
    search = Search(CANARIES.values())
    content = gzip.compress(CANARIES["db_password"].value.encode())

    first = search.sightings_again(content, "first")
    again = search.sightings_again(content, "again")

    assert first
    assert {found.where for found in first} == {"first > gzip"}
    assert {found.where for found in again} == {"again > gzip"}


def test_of_a_line_with_a_plain_secret_only_the_secret_is_withheld() -> None:
    content = f"before\nthe password is {SECRET}, it says\nbehind\n".encode()

    redacted = SEARCH.redacted(content)

    assert redacted == b"before\nthe password is <canary acme/shared_secret>, it says\nbehind\n"


@pytest.mark.parametrize(
    "hidden",
    [
        base64.b64encode(SECRET.encode()),
        SECRET.lower().encode(),
        base64.b64encode(gzip.compress(SECRET.encode())),
    ],
    ids=["encoded", "in lower case", "packed"],
)
def test_a_line_with_a_secret_in_another_form_is_withheld(hidden: bytes) -> None:
    redacted = SEARCH.redacted(b"before\n\xff " + hidden + b"\nbehind\n")

    assert SEARCH.sightings(redacted, "here") == []
    assert redacted.startswith(b"before\n[withheld: <canary acme/shared_secret> (")
    assert redacted.endswith(b"]\nbehind\n")


def test_what_holds_a_secret_over_several_lines_is_withheld_as_a_whole() -> None:
    redacted = SEARCH.redacted(b"before\n" + "\n".join(SECRET.lower()).encode() + b"\nbehind\n")

    assert redacted == b"[withheld: <canary acme/shared_secret> (in lower case) in all]\n"


def test_what_holds_no_secret_stays_as_it_is() -> None:
    content = b"before\r\n\xff\0 no newline behind"

    assert SEARCH.redacted(content) == content
