"""Takes known secret values out of text that a machine wrote, in the encodings in which programs print them."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 6
"""Characters. A shorter value is no secret, and would blank half of any text."""


def blank(text: str, values: Iterable[str]) -> str:
    """`text` with every one of `values` replaced, also where it is escaped or encoded."""
    forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
    # The longest first, so that no part of one is left over.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "[redacted]")
    return text


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value
    yield from value.splitlines() if len(value.splitlines()) > 1 else ()
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (b64encode, urlsafe_b64encode):
        for lead in range(3):
            # Inside a longer text the value can begin at any of three alignments; its edges mix with what is around.
            encoded = encode(b"\0" * lead + raw).decode().rstrip("=")
            yield encoded[(4 * lead + 2) // 3 : len(encoded) - (1 if (len(raw) + lead) % 3 else 0)]
