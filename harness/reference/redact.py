"""Keeps bootstrap values out of everything that a boot says, and other people's text short (BND-4, OBS-2)."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote

LONGEST_UPSTREAM_TEXT = 500
"""Characters of text from another system that are passed on."""
_SHORTEST_SECRET = 4
"""Shorter values would turn ordinary words into asterisks."""


class Redactor:
    """Calling it with a text gives the text without secrets. It learns the values as soon as they are known."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()

    def learn(self, values: Iterable[str]) -> None:
        forms = set(self._forms)
        for value in values:
            if len(value) >= _SHORTEST_SECRET:
                forms |= {value, quote(value, safe=""), b64encode(value.encode()).decode()}
                forms |= {line for line in value.splitlines() if len(line) >= _SHORTEST_SECRET * 4}
        self._forms = tuple(sorted(forms, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "[redacted]")
        return text

    def upstream(self, text: str) -> str:
        """Text that another system wrote: redacted first, so that no cut leaves half a secret, then one short line."""
        line = " ".join(self(text).split())
        if len(line) > LONGEST_UPSTREAM_TEXT:
            line = line[: LONGEST_UPSTREAM_TEXT - 1] + "…"
        return line


class RedactingFormatter(logging.Formatter):
    """For the console: what passes is redacted as a whole, tracebacks included."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))
