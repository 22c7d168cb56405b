"""The credential formats that an implementation must recognise (BND-9): `credentials.toml`, loaded strictly.

Vectors are templates, so that no file holds what a vendor's own scanner would take for a key: `ghp_{alnum:36}` stands
for 36 characters of that alphabet, drawn from SHAKE-128 of the template itself, the same everywhere and every time.
An alphabet of one character stands for itself: `{x:36}`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, ValidationError

from .requirements import ContractProblem
from .strict import Strict, Words

ALPHABETS = {
    "alnum": ascii_letters + digits,
    "letters": ascii_letters,
    "lower": ascii_lowercase,
    "digits": digits,
    "hex": digits + "abcdef",
    "base32": ascii_uppercase + "234567",
    "base64": ascii_letters + digits + "+/",
    "base64url": ascii_letters + digits + "-_",
}
_PLACE = re.compile(r"\{([a-z0-9]{2,}|[^{}]):([1-9][0-9]{0,3})\}")


class Vector(NamedTuple):
    """A template, expanded."""

    text: str
    drawn: tuple[str, ...]
    """The parts of it that were drawn by chance."""


def expand(template: str) -> Vector:
    """Raises ContractProblem for an alphabet that does not exist."""
    text: list[str] = []
    drawn: list[str] = []
    end = 0
    for number, place in enumerate(_PLACE.finditer(template)):
        name, count = place[1], int(place[2])
        text.append(template[end : place.start()])
        end = place.end()
        if len(name) == 1:
            text.append(name * count)
            continue
        if name not in ALPHABETS:
            raise ContractProblem(f"no alphabet is called {name!r}; there are {', '.join(ALPHABETS)}")
        drawn.append(_draw(ALPHABETS[name], count, f"{number}\0{template}"))
        text.append(drawn[-1])
    return Vector("".join([*text, template[end:]]), tuple(drawn))


def _draw(alphabet: str, count: int, seed: str) -> str:
    """Each character of the alphabet as likely as any other: bytes beyond its last whole multiple are passed over."""
    most = 256 - 256 % len(alphabet)
    source = hashlib.shake_128(seed.encode()).digest(4 * count + 64)
    return "".join([alphabet[byte % len(alphabet)] for byte in source if byte < most][:count])


def _expandable(template: str) -> str:
    try:
        expand(template)
    except ContractProblem as problem:
        raise ValueError(str(problem)) from None
    return template


Template = Annotated[str, Field(min_length=1), AfterValidator(_expandable)]


class Format(Strict):
    """One format, with templates that must be refused (`live`) and that must be delivered (`harmless`)."""

    title: Words
    shape: Words
    """In words: its length and its alphabet."""
    words: Annotated[tuple[Words, ...], Field(min_length=1)]
    """Of which, in lower case, an error that names the rule has one."""
    live: Annotated[tuple[Template, ...], Field(min_length=1)]
    harmless: Annotated[tuple[Template, ...], Field(min_length=1)]


class _FormatsFile(Strict):
    formats: dict[Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$")], Format]


def load_formats(path: Path | None = None) -> dict[str, Format]:
    """By name, in the order of the file. Raises ContractProblem on anything that the schema does not know."""
    path = path or Path(__file__).with_name("credentials.toml")
    try:
        return _FormatsFile.model_validate(tomllib.loads(path.read_text("utf-8"))).formats
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as wrong:
        raise ContractProblem(f"{path.name}: {wrong}") from wrong
