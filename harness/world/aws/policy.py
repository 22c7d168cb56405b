"""IAM policy evaluation: a pure function of documents and demands.

What it cannot evaluate (a condition operator, key or policy variable it does not know) never passes in silence:
it denies, and the reason says what was not understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]

_STATEMENT_KEYS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class NotUnderstood(Exception):
    """A part of a policy that this evaluation does not know."""


@dataclass(frozen=True, slots=True)
class Context:
    """The request's condition keys, in lower case, each with its values; no values if the request has none."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    families: frozenset[str] = frozenset()
    """Prefixes such as `aws:resourcetag/` of which every key is known: one that is not in `values` is absent."""

    def get(self, key: str) -> tuple[str, ...]:
        """Raises NotUnderstood for a key that nobody filled in."""
        name = key.lower()
        if name in self.values:
            return self.values[name]
        if any(name.startswith(family) for family in self.families):
            return ()
        raise NotUnderstood(f"the condition key or policy variable {key}")


@dataclass(frozen=True, slots=True)
class Demand:
    """A permission that a call needs."""

    action: str
    """IAM's name of it, e.g. `s3:ListBucket`."""
    resource: str | None
    """The ARN, `*` for actions that take none, None where the request does not tell: then any resource matches."""
    shown: str
    """The resource as the denial names it."""
    context: Context = field(default_factory=Context)


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reason: str
    """The end of AWS's sentence `… is not authorized to perform: … on resource: … <reason>`; empty if allowed."""


def evaluate(documents: Iterable[Document], demand: Demand, source: str = "identity-based policy") -> Verdict:
    """An explicit deny wins, then an allow, else denied."""
    allowed = False
    obscure: NotUnderstood | None = None
    for statement in (each for document in documents for each in _listed(document.get("Statement", []))):
        try:
            applies = _applies(statement, demand)
        except NotUnderstood as problem:
            if statement.get("Effect") != "Allow":
                return Verdict(False, _unclear(problem, source))
            obscure = problem
            continue
        if applies and statement.get("Effect") != "Allow":
            return Verdict(False, f"with an explicit deny in an {source}")
        allowed = allowed or applies
    if allowed:
        return Verdict(True, "")
    if obscure:
        return Verdict(False, _unclear(obscure, source))
    return Verdict(False, f"because no {source} allows the {demand.action} action")


def _unclear(problem: NotUnderstood, source: str) -> str:
    return f"because an {source} uses {problem}, which this cloud cannot evaluate and therefore denies"


def _applies(statement: Document, demand: Demand) -> bool:
    """Whether the statement speaks about the demand. Raises NotUnderstood, but only if action and resource match."""
    if "NotAction" in statement:
        matches = not _any_action(statement["NotAction"], demand.action)
    else:
        matches = _any_action(statement.get("Action", []), demand.action)
    if not matches:
        return False
    if demand.resource is not None:
        if "NotResource" in statement:
            matches = not _any_resource(statement["NotResource"], demand.resource, demand.context)
        else:
            matches = _any_resource(statement.get("Resource", []), demand.resource, demand.context)
        if not matches:
            return False
    if strange := sorted(set(statement) - _STATEMENT_KEYS):
        raise NotUnderstood(f"the statement element {strange[0]}")
    return all(
        _condition(operator, key, [str(value) for value in _listed(wanted)], demand.context)
        for operator, tests in (statement.get("Condition") or {}).items()
        for key, wanted in tests.items()
    )


def _any_action(patterns: Any, action: str) -> bool:
    return any(
        _glob(pattern.lower(), spans_segments=True).fullmatch(action.lower()) for pattern in _listed(patterns)
    )


def _any_resource(patterns: Any, resource: str, context: Context) -> bool:
    return any(_like_arn(_filled(pattern, context), resource) for pattern in _listed(patterns))


def _like_arn(pattern: str, arn: str) -> bool:
    return bool(_glob(pattern, spans_segments=False).fullmatch(arn))


@lru_cache(maxsize=4096)
def _glob(pattern: str, *, spans_segments: bool) -> re.Pattern[str]:
    """IAM's wildcards: `*` and `?`. Within an ARN a `*` crosses a colon only at the end of a segment."""
    parts: list[str] = []
    for position, character in enumerate(pattern):
        if character == "*":
            last = position + 1 == len(pattern) or pattern[position + 1] == ":"
            parts.append(".*" if spans_segments or last else "[^:]*")
        elif character == "?":
            parts.append("." if spans_segments else "[^:]")
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _filled(text: str, context: Context) -> str:
    """The text with its policy variables. Raises NotUnderstood."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in {"*", "?", "$"}:
            raise NotUnderstood(f"the escape ${{{name}}}")
        found = context.get(name)
        if len(found) != 1:
            raise NotUnderstood(
                f"the policy variable ${{{name}}}, which this request has no single value for"
            )
        return found[0]

    return _VARIABLE.sub(value, text)


def _condition(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    present = context.get(key)
    if name == "Null":
        return (not present) == (wanted[0].lower() == "true")
    negated = "Not" in name
    test = _TESTS.get(name.replace("Not", ""))
    if test is None or quantifier not in {"", "ForAnyValue", "ForAllValues"}:
        raise NotUnderstood(f"the condition operator {operator}")
    if not present:
        return optional or negated or quantifier == "ForAllValues"
    wanted = [_filled(value, context) for value in wanted]
    results = [any(test(pattern, value) for pattern in wanted) != negated for value in present]
    return any(results) if quantifier == "ForAnyValue" else all(results)


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": lambda pattern, value: bool(_glob(pattern, spans_segments=True).fullmatch(value)),
    "ArnEquals": _like_arn,
    "ArnLike": _like_arn,
    "Bool": lambda pattern, value: pattern.lower() == value.lower(),
}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
