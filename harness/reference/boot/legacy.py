"""The config of the design before this one, which rode in a secret of its own (MIG-1).

A machine's role reads no secret but its bootstrap secret (BND-8), and user-data holds no asset (BND-2): so the
provisioner is asked for it. It counts as the user's edit of `config.yaml`, whose base is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from ..errors import BootError
from ..inspection import telling
from ..redact import Redactor
from . import files
from .damage import CONFIG, Bytes, damage
from .document import DocumentError, parse_mapping
from .metadata import Orders
from .registration import ask, malformed
from .report import PathNote
from .role import Role
from .volume import Volume

if TYPE_CHECKING:
    from .merge import Merge

REASON = "legacy-config"

_PIECE = 10
"""Characters."""


@dataclass(frozen=True, slots=True)
class LegacyConfig:
    text: bytes
    secret: str
    """The name of the secret that it comes from."""
    holds_credential: bool
    """Whether a bootstrap value is in it, which must never be on the volume (BND-3)."""
    resembles_credential: bool
    """Whether a bootstrap value, or at least a piece of one, is in it; then it is not kept aside either."""

    @property
    def sha256(self) -> str:
        return sha256(self.text).hexdigest()

    def lay_aside(self, volume: Volume, verb: Literal["skipped", "rejected"], why: str) -> PathNote:
        if self.resembles_credential:
            return PathNote(CONFIG, verb, f"{REASON}: {why}; not kept aside, since it holds part of a secret")
        with volume.aside(CONFIG, "legacy") as (directory, name, report):
            file = files.create(directory, name)
            try:
                files.write_all(file, self.text)
            finally:
                os.close(file)
        return PathNote(CONFIG, verb, f"{REASON}: {why}", report)


def fetch_legacy_config(
    role: Role, orders: Orders, secrets: Iterable[str], redact: Redactor
) -> LegacyConfig | None:
    """None where the workspace has none. Raises Dismissed, BootError `legacy-config-unavailable`.

    Without an answer there is no boot: the template's config alone would be taken for all that there ever was.
    """
    code = "legacy-config-unavailable"
    answer = ask(role, orders, REASON, {}, redact, code=code)
    text = answer.get("config")
    if text is None:
        return None
    if not isinstance(text, str):
        raise malformed(code)
    values = telling(secrets)
    said = [text, *_scalars(text)]
    holds_credential = redact(text) != text or any(value in each for value in values for each in said)
    return LegacyConfig(
        text=text.encode("utf-8", "surrogatepass"),
        secret=f"molecule/workspace/{orders.workspace}/config",
        holds_credential=holds_credential,
        resembles_credential=holds_credential
        or any(piece in text for value in values for piece in _pieces(value)),
    )


def _scalars(text: str) -> Iterator[str]:
    """What the text says once it is parsed: a value may be escaped, quoted or folded in it."""
    try:
        pending: list[object] = [parse_mapping(text.encode("utf-8", "surrogatepass"))]
    except DocumentError:
        return
    while pending:
        match pending.pop():
            case str() as scalar:
                yield scalar
            case dict() as mapping:
                pending += [*mapping.keys(), *mapping.values()]
            case list() as items:
                pending += items


def _pieces(value: str) -> Iterator[str]:
    length = min(len(value), _PIECE)
    return (value[at : at + length] for at in range(len(value) - length + 1))


def inherit(legacy: LegacyConfig, template: bytes) -> Merge | str:
    """The template's config with the user's values, or the reason code why there are none to take over.

    Raises BootError `credential-in-legacy-config`.
    """
    # Loaded only now: few boots have such a config.
    from .merge import Merge, merge_config

    if legacy.holds_credential:
        raise BootError(
            "credential-in-legacy-config",
            f"the secret {legacy.secret} holds a value of this tenant's bootstrap secret, which may not be in a config",
            "take the value out of that secret's config.yaml, then start the workspace again",
        )
    if legacy.text == template:
        return Merge(template, ())
    if broken := damage(CONFIG, Bytes(legacy.text), (Bytes(template),)):
        return broken
    return merge_config(None, legacy.text, template) or "unparsable"
