"""The forms in which a secret may surface: raw, folded, and in the encodings that programs use."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterator
from math import ceil

FRAGMENT = 10
STRIDE = 7


def patterns(core: str) -> Iterator[tuple[str, bytes]]:
    """(name of the form, bytes to look for), for a secret of at least 16 ASCII characters.

    Fragments of 10 at stride 7 find any contiguous 16 characters. What no search can find (a salted hash, xor,
    encryption, a few last characters) is not among them.
    """
    raw = core.encode()
    yield "raw", raw
    yield "lower-case", raw.lower()
    yield "reversed", raw[::-1]
    yield "rot13", codecs.encode(core, "rot13").encode()
    for start in range(0, len(raw) - FRAGMENT + 1, STRIDE):
        yield "fragment", raw[start : start + FRAGMENT]
    wide = core.encode("utf-16-le")
    yield "utf-16", wide
    yield "utf-32", core.encode("utf-32-le")
    for form, text in (("", raw), (" of lower case", raw.lower()), (" of utf-16", wide)):
        for encoded in _base64(text):
            yield f"base64{form}", encoded
            if not form:
                for again in _base64(encoded):
                    yield "base64 twice", again
    for shift in range(5):
        encoded = _inside(base64.b32encode(b"\0" * shift + raw), shift, len(raw), 5, 8)
        yield "base32", encoded
        yield "base32", encoded.lower()
    for shift in range(4):
        yield "base85", _inside(base64.b85encode(b"\0" * shift + raw), shift, len(raw), 4, 5)
        # No zero bytes ahead here: Ascii85 folds four of them into one letter.
        yield "ascii85", _inside(base64.a85encode(b"\1" * shift + raw), shift, len(raw), 4, 5)
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    yield "hex of utf-16", wide.hex().encode()
    for form, template in (
        ("spaced hex", "{:02x} "),
        ("decimal list", "{}, "),
        ("decimal list", "{},"),
        ("\\x escapes", "\\x{:02x}"),
        ("\\x escapes", "\\x{:02X}"),
        ("\\u escapes", "\\u{:04x}"),
        ("\\u escapes", "\\u{:04X}"),
        ("percent-encoded", "%{:02x}"),
        ("percent-encoded", "%{:02X}"),
        ("character references", "&#{};"),
        ("character references", "&#x{:x};"),
        ("octal escapes", "\\{:03o}"),
    ):
        yield form, "".join(template.format(byte) for byte in raw).rstrip(", ").encode()


def _base64(text: bytes) -> Iterator[bytes]:
    """At each of the three alignments that the text can have in a longer one, in both alphabets."""
    for shift in range(3):
        standard = _inside(base64.b64encode(b"\0" * shift + text), shift, len(text), 3, 4)
        yield standard
        url_safe = standard.translate(bytes.maketrans(b"+/", b"-_"))
        if url_safe != standard:
            yield url_safe


def _inside(encoded: bytes, shift: int, length: int, group: int, letters: int) -> bytes:
    """Only the letters that the text alone decides, whatever stands before and behind it.

    Whole groups only: `group` bytes become `letters` letters.
    """
    first = ceil(shift / group)
    last = (shift + length) // group
    return encoded[first * letters : last * letters]
