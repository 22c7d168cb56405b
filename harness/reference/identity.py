"""The name of a template, `owner/repo@ref`, and the rules that it must keep before anything is asked of a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Part = Literal["owner", "repository", "ref"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST: dict[Part, int] = {"owner": 100, "repository": 100, "ref": 255}
"""In bytes of UTF-8."""


class IdentityError(ValueError):
    """A malformed identity (CHN-2): `part` is what is wrong, the message says which rule it breaks."""

    def __init__(self, part: Part, rule: str) -> None:
        super().__init__(f"malformed template identity: the {part} {rule}; write owner/repo@ref")
        self.part = part


@dataclass(frozen=True, slots=True)
class Identity:
    """A template by repository and ref. The ref is a branch, a tag or a full commit id."""

    owner: str
    repo: str
    ref: str

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Raises IdentityError."""
        if not text:
            raise IdentityError("owner", "is empty")
        repository, at, ref = text.partition("@")
        owner, slash, repo = repository.partition("/")
        if not slash:
            raise IdentityError("repository", "is missing")
        _check_name("owner", owner)
        _check_name("repository", repo)
        if not at:
            raise IdentityError("ref", "is missing")
        _check_ref(ref)
        return cls(owner, repo, ref)

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.repo}"

    @property
    def pinned(self) -> bool:
        """Whether the ref is a full commit id, which never moves."""
        return _COMMIT.fullmatch(self.ref) is not None

    def __str__(self) -> str:
        return f"{self.owner}/{self.repo}@{self.ref}"


def _check_common(part: Part, text: str) -> None:
    if not text:
        raise IdentityError(part, "is empty")
    if _CONTROL.search(text):
        raise IdentityError(part, "holds a control character")
    if any(character.isspace() for character in text):
        raise IdentityError(part, "holds white space")
    if len(text.encode()) > _LONGEST[part]:
        raise IdentityError(part, f"is longer than {_LONGEST[part]} bytes")
    if text.startswith("-"):
        raise IdentityError(part, "begins with '-'")
    if ".." in text:
        raise IdentityError(part, "holds '..'")


def _check_name(part: Part, text: str) -> None:
    _check_common(part, text)
    if "/" in text:
        raise IdentityError(part, "holds '/'")
    if not _NAME.fullmatch(text):
        raise IdentityError(
            part, "may hold only letters, digits, '.', '_' and '-', and does not begin with '.'"
        )
    for ending in (".lock", ".git", "."):
        if text.lower().endswith(ending):
            raise IdentityError(part, f"ends with '{ending}'")


def _check_ref(text: str) -> None:
    """The rules of git-check-ref-format, and that no second `@` is there."""
    _check_common("ref", text)
    if "@" in text:
        raise IdentityError("ref", "holds a second '@'")
    if forbidden := next((character for character in text if character in "~^:?*[\\"), None):
        raise IdentityError("ref", f"holds '{forbidden}'")
    if text.startswith("/") or text.endswith("/") or "//" in text:
        raise IdentityError("ref", "has an empty part between slashes")
    if text.endswith("."):
        raise IdentityError("ref", "ends with '.'")
    for component in text.split("/"):
        if component.startswith("."):
            raise IdentityError("ref", "has a part that begins with '.'")
        if component.endswith(".lock"):
            raise IdentityError("ref", "has a part that ends with '.lock'")
