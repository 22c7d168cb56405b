"""A template version as one object: the index of all that is listed, on one line, and then the bodies of its assets.

The provisioner publishes it, and names in user-data all that proves it to a machine: the index by its digest, and by
the index every body. Published twice, a version gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast, get_args, get_type_hints

from .fetch.transport import Kind, Listed
from .json_text import parse_json

FORMAT = 1
"""To be raised with every change of the format, and of which entries have bodies."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """Where one version of a template is published, and what proves it."""

    bucket: str
    key: str
    etag: str
    """Of exactly these bytes in S3, quotes included."""
    commit: str
    size: int
    """Bytes."""
    index_size: int
    """Bytes, at the artifact's beginning."""
    index_sha256: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Artifact:
        """Raises ValueError with the rule that is broken."""
        kinds = get_type_hints(cls)
        if document.keys() != kinds.keys():
            raise ValueError(f"its members are not {', '.join(kinds)}")
        for name, kind in kinds.items():
            if type(document[name]) is not kind or not document[name]:
                raise ValueError(f"{name} is not a {kind.__name__}")
        if document["index_size"] > document["size"]:
            raise ValueError("index_size is not within size")
        if not _COMMIT.fullmatch(document["commit"]):
            raise ValueError("commit is not a commit id")
        if not _DIGEST.fullmatch(document["index_sha256"]):
            raise ValueError("index_sha256 is not a SHA-256")
        return cls(**document)


def encode_index(listing: Sequence[Listed], digests: Mapping[bytes, str]) -> bytes:
    """`digests` has the SHA-256 of each body by its path; bodies follow in the order of the listing.

    All paths are UTF-8, and of one listing all encodings are equally long.
    """
    entries = [
        [listed.path.decode(), listed.kind, listed.mode, listed.size, digests.get(listed.path)]
        for listed in listing
    ]
    document = {"format": FORMAT, "entries": entries}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode_index(text: bytes) -> list[Listed]:
    """Each body's SHA-256 is the entry's `blob`, which without a body is empty. Raises ValueError."""
    document = parse_json(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    try:
        return [_listed(*entry) for entry in document["entries"]]
    except (KeyError, TypeError) as error:
        raise ValueError("its entries are not of this format") from error


def _listed(path: str, kind: str, mode: int, size: int, digest: str | None) -> Listed:
    if kind not in get_args(Kind) or (digest is not None and not _DIGEST.fullmatch(digest)):
        raise ValueError(f"its entry {path[:200]!r} is not of this format")
    return Listed(path.encode(), cast("Kind", kind), int(mode), int(size), digest or "")
