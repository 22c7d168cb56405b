"""Text of anywhere, made fit for a file in UTF-8."""

from __future__ import annotations


def sound(text: str) -> str:
    """With a question mark in place of each half of a character, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
