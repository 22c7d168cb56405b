"""Every form of the search's table is found, planted by encoders that share nothing with the table.

The dumps are written as `xxd`, `hexdump` and `od` write them: lines of 16 bytes, offset ahead, text behind.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import quopri
from collections.abc import Callable, Iterator

import pytest

from harness.oracle.canaries import bootstrap_canaries
from harness.oracle.patterns import ENCODINGS, HASHES
from harness.oracle.search import Search

CANARIES = bootstrap_canaries(b"a key of this test", "acme")
CANARY = CANARIES["admin_token"]
SEARCH = Search(CANARIES.values())

AHEAD = b"GET /v1/login HTTP/1.1\r\n"
BEHIND = b" and whatever else there is to say\n"

Encoder = Callable[[bytes], bytes]


def lines(content: bytes, size: int = 16) -> Iterator[tuple[int, bytes]]:
    return ((at, content[at : at + size]) for at in range(0, len(content), size))


def seen(content: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in content)


def xxd(content: bytes) -> bytes:
    def pairs(line: bytes) -> str:
        return " ".join(line[at : at + 2].hex() for at in range(0, len(line), 2))

    return "\n".join(f"{at:08x}: {pairs(line):39}  {seen(line)}" for at, line in lines(content)).encode()


def xxd_plain(content: bytes) -> bytes:
    return "\n".join(line.hex() for _, line in lines(content, 30)).encode()


def xxd_include(content: bytes) -> bytes:
    return ",\n".join(
        "  " + ", ".join(f"0x{byte:02x}" for byte in line) for _, line in lines(content, 12)
    ).encode()


def hexdump(content: bytes) -> bytes:
    def words(line: bytes) -> str:
        return " ".join(f"{int.from_bytes(line[at : at + 2], 'little'):04x}" for at in range(0, len(line), 2))

    return "\n".join(f"{at:07x} {words(line)}" for at, line in lines(content)).encode()


def hexdump_canonical(content: bytes) -> bytes:
    return "\n".join(
        f"{at:08x}  {line[:8].hex(' '):23}  {line[8:].hex(' '):23}  |{seen(line)}|"
        for at, line in lines(content)
    ).encode()


def hexdump_without_text(content: bytes) -> bytes:
    return "\n".join(f"{at:08x}  {line.hex(' ').upper()}" for at, line in lines(content)).encode()


def od(content: bytes) -> bytes:
    def words(line: bytes) -> str:
        return " ".join(f"{int.from_bytes(line[at : at + 2], 'little'):06o}" for at in range(0, len(line), 2))

    return "\n".join(f"{at:07o} {words(line)}" for at, line in lines(content)).encode()


def od_of(each: str) -> Encoder:
    def encode(content: bytes) -> bytes:
        return "\n".join(
            f"{at:07o}" + "".join(each.format(byte) for byte in line) for at, line in lines(content)
        ).encode()

    return encode


def od_characters(content: bytes) -> bytes:
    return "\n".join(
        f"{at:07o}" + "".join(f"   {chr(byte)}" for byte in line) for at, line in lines(content)
    ).encode()


def each_as(template: str, between: str = "") -> Encoder:
    return lambda content: between.join(template.format(byte) for byte in content).encode()


def text(content: bytes) -> str:
    return content.decode("latin-1")


FORMS: dict[str, tuple[str, Encoder]] = {
    "plain": ("as it is", bytes),
    "folded at 20": ("as it is", lambda raw: b"\n".join(line for _, line in lines(raw, 20))),
    "spelled out": ("as it is", lambda raw: b" ".join(line for _, line in lines(raw, 1))),
    "joined by quotes and plus signs": (
        "as it is",
        lambda raw: b'" + "'.join(line for _, line in lines(raw, 9)),
    ),
    "quoted-printable": ("as it is", lambda raw: quopri.encodestring(b"\xff" * 19 + raw)),
    "UTF-16, little-endian": ("as it is", lambda raw: text(raw).encode("utf-16-le")),
    "UTF-16, big-endian": ("as it is", lambda raw: text(raw).encode("utf-16-be")),
    "UTF-32, little-endian": ("as it is", lambda raw: text(raw).encode("utf-32-le")),
    "UTF-32, big-endian": ("as it is", lambda raw: text(raw).encode("utf-32-be")),
    "od -c": ("as it is", od_characters),
    "lower case": ("in lower case", bytes.lower),
    "reversed": ("reversed", lambda raw: raw[::-1]),
    "rot13": ("rot13", lambda raw: codecs.encode(text(raw), "rot13").encode("latin-1")),
    "base64": ("base64", base64.b64encode),
    "URL-safe base64": ("base64", base64.urlsafe_b64encode),
    "base64 in lines of 76": ("base64", base64.encodebytes),
    "base64 in lines of 12": (
        "base64",
        lambda raw: b"\n".join(each for _, each in lines(base64.b64encode(raw), 12)),
    ),
    "base64 of lower case": ("base64 of lower case", lambda raw: base64.b64encode(raw.lower())),
    "base64 of UTF-16": ("base64 of UTF-16", lambda raw: base64.b64encode(text(raw).encode("utf-16-le"))),
    "base64 twice": ("base64 twice", lambda raw: base64.b64encode(base64.b64encode(raw))),
    "base32": ("base32", base64.b32encode),
    "base32 in lower case": ("base32", lambda raw: base64.b32encode(raw).lower()),
    "base85": ("base85", base64.b85encode),
    "base85 in lines": (
        "base85",
        lambda raw: b"\n".join(line for _, line in lines(base64.b85encode(raw), 60)),
    ),
    "ascii85": ("ascii85", base64.a85encode),
    "ascii85 as Adobe has it": ("ascii85", lambda raw: base64.a85encode(raw, adobe=True)),
    "ascii85 in lines": ("ascii85", lambda raw: base64.a85encode(raw, wrapcol=60)),
    "hexadecimal": ("hexadecimal", lambda raw: raw.hex().encode()),
    "hexadecimal in capitals": ("hexadecimal", lambda raw: raw.hex().upper().encode()),
    "hexadecimal with spaces": ("hexadecimal", lambda raw: raw.hex(" ").encode()),
    "hexadecimal with colons": ("hexadecimal", lambda raw: raw.hex(":").upper().encode()),
    "percent-encoded": ("hexadecimal", each_as("%{:02X}")),
    "percent-encoded in lower case": ("hexadecimal", each_as("%{:02x}")),
    "quoted-printable, every byte": ("hexadecimal", each_as("={:02X}")),
    "xxd": ("hexadecimal", xxd),
    "xxd -p": ("hexadecimal", xxd_plain),
    "hexdump -C": ("hexadecimal", hexdump_canonical),
    "hexadecimal lines with offsets": ("hexadecimal", hexdump_without_text),
    "od -t x1": ("hexadecimal", od_of(" {:02x}")),
    "hexadecimal of UTF-16": (
        "hexadecimal of UTF-16",
        lambda raw: text(raw).encode("utf-16-le").hex().encode(),
    ),
    "hexadecimal of UTF-16 in capitals": (
        "hexadecimal of UTF-16",
        lambda raw: text(raw).encode("utf-16-le").hex(" ").upper().encode(),
    ),
    "a list of 0x numbers": ("hexadecimal, each behind 0x", each_as("0x{:02X}", ", ")),
    "xxd -i": ("hexadecimal, each behind 0x", xxd_include),
    "\\x escapes": ("hexadecimal, each behind x", each_as("\\x{:02x}")),
    "\\x escapes in capitals": ("hexadecimal, each behind x", each_as("\\x{:02X}")),
    "\\x escapes, escaped again": ("hexadecimal, each behind x", each_as("\\\\x{:02x}")),
    "hexadecimal character references": ("hexadecimal, each behind x", each_as("&#x{:x};")),
    "\\u escapes": ("hexadecimal, each behind u", each_as("\\u{:04x}")),
    "\\u escapes in capitals": ("hexadecimal, each behind u", each_as("\\u{:04X}")),
    "hexdump": ("hexadecimal words", hexdump),
    "a decimal list": ("decimal", each_as("{}", ",")),
    "a decimal list with spaces": ("decimal", each_as("{}", ", ")),
    "a decimal list, a line each": ("decimal", each_as("  {}", ",\n")),
    "character references": ("decimal", each_as("&#{};")),
    "od -t u1": ("decimal", od_of(" {:3}")),
    "octal escapes": ("octal", each_as("\\{:03o}")),
    "od -b": ("octal", od_of(" {:03o}")),
    "od": ("octal words", od),
}
"""By what a person calls it: the name that the table has for it, and how it is written."""

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "md5": lambda raw: hashlib.md5(raw).digest(),
    "sha1": lambda raw: hashlib.sha1(raw).digest(),
    "sha256": lambda raw: hashlib.sha256(raw).digest(),
    "sha512": lambda raw: hashlib.sha512(raw).digest(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_as(form: str) -> None:
    name, encode = FORMS[form]
    for ahead in range(17):
        content = encode(AHEAD[:ahead] + CANARY.core.encode() + BEHIND)
        found = {(each.canary, each.form) for each in SEARCH.sightings(content, "here")}
        assert (CANARY, name) in found, f"not behind {ahead} bytes"


@pytest.mark.parametrize("ending", ["", "\n"], ids=["alone", "with a newline"])
@pytest.mark.parametrize("name", DIGESTS)
def test_a_bare_hash_of_a_secret_is_told_and_is_no_failure(name: str, ending: str) -> None:
    digest = DIGESTS[name](f"{CANARY.value}{ending}".encode())
    for content in (
        digest.hex().encode(),
        digest.hex().upper().encode(),
        digest.hex()[:20].encode(),
        base64.b64encode(digest),
        base64.urlsafe_b64encode(digest),
    ):
        (found,) = SEARCH.sightings(b"token: " + content + b"\n", "here")
        assert (found.canary, found.form, found.hashed) == (CANARY, name, True)


def test_every_form_of_the_table_was_planted() -> None:
    assert {name for name, _ in FORMS.values()} == set(ENCODINGS)
    assert set(DIGESTS) == set(HASHES)


@pytest.mark.parametrize("length", [16, 20])
def test_a_part_is_enough(length: int) -> None:
    for start in range(len(CANARY.core) - length + 1):
        part = CANARY.core[start : start + length].encode()
        for content in (part, part.hex().encode(), part.lower(), part.decode().encode("utf-16")):
            assert SEARCH.sightings(content, "here")


def test_the_encodings_of_other_secrets_are_not_taken_for_this_one() -> None:
    other = bootstrap_canaries(b"another key", "acme")["admin_token"]
    for _, encode in FORMS.values():
        assert SEARCH.sightings(encode(AHEAD + other.core.encode() + BEHIND), "here") == []
