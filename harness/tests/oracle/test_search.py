"""The secret search finds what is there, in every form it claims, and nothing where nothing is."""

from __future__ import annotations

import base64
import bz2
import codecs
import gzip
import io
import lzma
import random
import re
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable

import pytest

from harness.oracle.canaries import bootstrap_canaries, credential_canary
from harness.oracle.search import Search
from harness.oracle.unpack import base64_runs

CANARIES = bootstrap_canaries(b"a key of this test", "acme")
SECRET = CANARIES["shared_secret"].core
SEARCH = Search(CANARIES.values())


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", content)
    return packed.getvalue()


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("inner.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda raw: raw,
    "lower case": bytes.lower,
    "reversed": lambda raw: raw[::-1],
    "rot13": lambda raw: codecs.encode(raw.decode("latin-1"), "rot13").encode("latin-1"),
    "base64": base64.b64encode,
    "url-safe base64": base64.urlsafe_b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 twice": lambda raw: base64.b64encode(base64.b64encode(raw)),
    "base32": base64.b32encode,
    "base85": base64.b85encode,
    "ascii85": base64.a85encode,
    "hex": lambda raw: raw.hex().encode(),
    "upper-case hex": lambda raw: raw.hex().upper().encode(),
    "spaced hex": lambda raw: raw.hex(" ").encode(),
    "percent-encoded": lambda raw: "".join(f"%{byte:02X}" for byte in raw).encode(),
    "URL-quoted": lambda raw: urllib.parse.quote(raw).encode(),
    "utf-16": lambda raw: raw.decode("latin-1").encode("utf-16"),
    "utf-32": lambda raw: raw.decode("latin-1").encode("utf-32-le"),
    "\\x escapes": lambda raw: "".join(f"\\x{byte:02x}" for byte in raw).encode(),
    "decimal list": lambda raw: ", ".join(map(str, raw)).encode(),
    "wrapped at 12": lambda raw: b"\n".join(raw[at : at + 12] for at in range(0, len(raw), 12)),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar": tarred,
    "base64 of gzip": lambda raw: base64.b64encode(gzip.compress(raw)),
    "gzip of zip of tar": lambda raw: gzip.compress(zipped(tarred(raw))),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ahead", range(6))
def test_a_secret_is_found_in_every_encoding_at_every_alignment(encoding: str, ahead: int) -> None:
    content = ENCODINGS[encoding](b"#" * ahead + SECRET.encode() + b" and what follows it")

    assert any(found.canary is CANARIES["shared_secret"] for found in SEARCH.sightings(content, "here"))


@pytest.mark.parametrize("field", CANARIES)
def test_every_field_is_found_in_its_realistic_dress(field: str) -> None:
    value = CANARIES[field].value.encode()

    assert {found.canary.field for found in SEARCH.sightings(b"key: " + value, "here")} == {field}


def test_sixteen_characters_of_a_secret_are_enough() -> None:
    for start in range(len(SECRET) - 16):
        assert SEARCH.sightings(SECRET[start : start + 16].encode(), "here")


def test_a_cut_archive_still_gives_what_it_holds() -> None:
    content = gzip.compress(SECRET.encode() + random.Random(1).randbytes(5000))

    assert SEARCH.sightings(content[:200], "here")


def test_nothing_is_found_where_nothing_is() -> None:
    noise = random.Random(7).randbytes(3_000_000)

    assert SEARCH.sightings(noise, "here") == []
    assert SEARCH.sightings(base64.b64encode(noise), "here") == []


def test_the_place_names_every_layer() -> None:
    (place,) = {
        found.where
        for found in SEARCH.sightings(gzip.compress(zipped(SECRET.encode())), "volume/cache.gz")
        if found.form == "raw"
    }

    assert place == "volume/cache.gz > gzip > zip:inner.txt"


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


def test_every_run_of_base64_is_found_wherever_it_begins_and_ends() -> None:
    whole = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
    some = random.Random(5)
    for _ in range(300):
        content = b"".join(
            bytes(some.choices(b"AZaz09+/_-", k=some.choice((3, 38, 39, 40, 41, 57))))
            + bytes(some.choices(b"= .\n", k=some.randrange(4)))
            for _ in range(some.randrange(1, 8))
        )
        assert list(base64_runs(content)) == whole.findall(content), content


def test_a_file_that_comes_again_is_told_with_its_own_place() -> None:
    search = Search(CANARIES.values())
    content = gzip.compress(CANARIES["db_password"].value.encode())

    first = search.sightings_in_file(content, "first")
    again = search.sightings_in_file(content, "again")

    assert [found.where for found in first] == [found.where.replace("again", "first") for found in again]
    assert first
    assert all(found.where == "again > gzip" for found in again)
