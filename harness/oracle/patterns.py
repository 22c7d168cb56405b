"""The forms in which a secret may surface: as it is, and in every encoding that programs use, as a table.

A search looks at each stream twice: as it is, and squeezed to the bytes of `KEPT` (see `squeezed`). What is folded,
wrapped, spaced, quoted, listed or dumped is one run of letters and digits once it is squeezed: `%41%42`, `41:42`,
`xxd`'s pairs and `hexdump -C`'s columns are all `4142` then, and UTF-16 and UTF-32 are plain text. So a few forms
stand for many encodings. What no search can find (a salted hash, xor, encryption, a last few characters) is not here.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import ceil
from typing import Final

KEPT: Final = bytes(byte for byte in range(128) if chr(byte).isalnum() or byte in b"/_")
"""What is left of a squeezed stream."""
_DROPPED: Final = bytes(byte for byte in range(256) if byte not in KEPT)

FRAGMENT = 10
STRIDE = 7
"""Fragments of 10 at this stride: any 16 characters in a row hold one, as the full lines of every dump do."""
_SHORTEST = 16
"""Bytes that a pattern which lost some to the squeezing must still have, to be no coincidence."""
_OF_A_HASH = 9
"""Bytes of a digest that tell it: a shortened one is found too."""

Encoding = Callable[[bytes], Iterable[bytes]]
"""From a secret's core (32 upper-case letters and digits, ASCII) to the patterns that betray it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Bytes to look for, and the name of the form that they betray."""

    form: str
    content: bytes

    @property
    def survives_squeezing(self) -> bool:
        """Whether it is in the squeezed stream wherever it is in the stream itself."""
        return squeezed(self.content) == self.content


def squeezed(stream: bytes) -> bytes:
    """Without everything but ASCII letters, digits, slashes and underscores."""
    return stream.translate(None, _DROPPED)


def patterns(core: str, value: str) -> Iterator[Pattern]:
    """For a secret's core, and the hashes of its whole value."""
    for form, encoding in ENCODINGS.items():
        for content in encoding(core.encode()):
            yield Pattern(form, content)
            if content != (kept := squeezed(content)) and len(kept) >= _SHORTEST:
                yield Pattern(form, kept)
    for form, digest in HASHES.items():
        for text in (value, f"{value}\n"):
            yield from (Pattern(form, content) for content in _hash(digest, text.encode()))


def fragments(raw: bytes) -> Iterator[bytes]:
    """Of what is looked for as it is written: a part of it is found too."""
    return (raw[start : start + FRAGMENT] for start in range(0, len(raw) - FRAGMENT + 1, STRIDE))


def _numbers(*formats: str) -> Encoding:
    """Each byte as a number, whatever stands between two of them that is no letter and no digit."""

    def encoding(raw: bytes) -> Iterator[bytes]:
        for fragment in fragments(raw):
            for each in formats:
                yield "".join(each.format(byte) for byte in fragment).encode()

    return encoding


def _words(template: str) -> Encoding:
    """Two bytes as a little-endian number, wherever in the secret the first pair begins."""

    def encoding(raw: bytes) -> Iterator[bytes]:
        for phase in range(2):
            for start in range(phase, len(raw) - FRAGMENT + 1, STRIDE - 1):
                pairs = zip(
                    raw[start : start + FRAGMENT : 2], raw[start + 1 : start + FRAGMENT : 2], strict=True
                )
                yield "".join(template.format(low | high << 8) for low, high in pairs).encode()

    return encoding


def _hex_of_wide(raw: bytes) -> Iterator[bytes]:
    for fragment in fragments(raw):
        digits = fragment.decode().encode("utf-16-le").hex()
        yield from (digits.encode(), digits.upper().encode())


def _base64(text: bytes) -> Iterator[bytes]:
    """At each of the three alignments that it can have in a longer text.

    Standard and URL-safe are one: of letters, digits and zeros neither `+` nor `/` comes.
    """
    return (_inside(base64.b64encode, text, shift, 3, 4) for shift in range(3))


def _base32(raw: bytes) -> Iterator[bytes]:
    for shift in range(5):
        encoded = _inside(base64.b32encode, raw, shift, 5, 8)
        yield from (encoded, encoded.lower())


def _by_fours(encode: Callable[[bytes], bytes], raw: bytes) -> Iterator[bytes]:
    return (_inside(encode, raw, shift, 4, 5) for shift in range(4))


def _inside(encode: Callable[[bytes], bytes], text: bytes, shift: int, group: int, letters: int) -> bytes:
    """Only the letters that the text alone decides, with `shift` bytes ahead of it and whatever behind it.

    Whole groups only: `group` bytes become `letters` letters.
    """
    # No zero bytes ahead: Ascii85 folds four of them into one letter.
    encoded = encode(b"\1" * shift + text)
    return encoded[ceil(shift / group) * letters : (shift + len(text)) // group * letters]


def _digest(name: str, text: bytes) -> bytes:
    return hashlib.new(name, text, usedforsecurity=False).digest()


def _hash(digest: Callable[[bytes], bytes], text: bytes) -> Iterable[bytes]:
    start = digest(text)[:_OF_A_HASH]
    encoded = base64.b64encode(start)
    return dict.fromkeys((
        start.hex().encode(),
        start.hex().upper().encode(),
        encoded,
        encoded.translate(bytes.maketrans(b"+/", b"-_")),
    ))  # fmt: skip


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "as it is": fragments,
    "in lower case": lambda raw: fragments(raw.lower()),
    "reversed": lambda raw: fragments(raw[::-1]),
    "rot13": lambda raw: fragments(codecs.encode(raw.decode(), "rot13").encode()),
    "base64": _base64,
    "base64 of lower case": lambda raw: _base64(raw.lower()),
    "base64 of UTF-16": lambda raw: _base64(raw.decode().encode("utf-16-le")),
    "base64 twice": lambda raw: chain.from_iterable(map(_base64, _base64(raw))),
    "base32": _base32,
    "base85": partial(_by_fours, base64.b85encode),
    "ascii85": partial(_by_fours, base64.a85encode),
    "hexadecimal": _numbers("{:02x}", "{:02X}"),
    "hexadecimal of UTF-16": _hex_of_wide,
    "hexadecimal, each behind 0x": _numbers("0x{:02x}", "0x{:02X}"),
    "hexadecimal, each behind x": _numbers("x{:02x}", "x{:02X}"),
    "hexadecimal, each behind u": _numbers("u{:04x}", "u{:04X}"),
    "hexadecimal words": _words("{:04x}"),
    "decimal": _numbers("{}"),
    "octal": _numbers("{:03o}"),
    "octal words": _words("{:06o}"),
}

HASHES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    name: partial(_digest, name) for name in ("md5", "sha1", "sha256", "sha512")
}
"""Of the whole value, with or without a newline behind it. Legitimate in some places: told, and no failure."""
