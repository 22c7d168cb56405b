"""A verdict of the ledger as a status of Allure, and the categories by which Allure sorts what did not simply pass."""

from __future__ import annotations

from typing import Any

from allure_commons.model2 import Status

from ..conclusion import Outcome
from ..ledger import Verdict

STATUSES = {
    Verdict.NOT_EXERCISED: Status.SKIPPED,
    Verdict.NOT_APPLICABLE: Status.SKIPPED,
    Verdict.PASS: Status.PASSED,
    Verdict.COULD_NOT_RUN: Status.SKIPPED,
    Verdict.WAIVED: Status.PASSED,
    Verdict.FAIL: Status.FAILED,
}
"""Of a check. What is waived was let pass, and says so in its message."""

OUTCOMES = {
    Outcome.FAILS: Status.FAILED,
    Outcome.BROKEN: Status.BROKEN,
    Outcome.NOTHING_RAN: Status.BROKEN,
    Outcome.INCOMPLETE: Status.SKIPPED,
    Outcome.CONFORMS: Status.PASSED,
}

CATEGORIES: list[dict[str, Any]] = [
    {"name": "implementation failure", "matchedStatuses": [Status.FAILED]},
    {"name": "harness broke", "matchedStatuses": [Status.BROKEN]},
    {"name": "could not run", "matchedStatuses": [Status.SKIPPED], "messageRegex": "^could not run.*"},
    {"name": "not applicable", "matchedStatuses": [Status.SKIPPED], "messageRegex": "^not applicable.*"},
    {"name": "waived", "matchedStatuses": [Status.PASSED], "messageRegex": "^waived.*"},
]
"""As `categories.json` has them, and the configuration of Allure 3: Allure 2 wants an expression to match the whole."""


def status_of(verdict: Verdict, blame: str) -> str:
    """Of a scenario. Whoever is to blame that it could not run has failed, or is broken."""
    if verdict is Verdict.COULD_NOT_RUN and blame:
        return Status.FAILED if blame == "implementation" else Status.BROKEN
    return STATUSES[verdict]


def message_of(verdict: Verdict, reason: str) -> str:
    """What a list shows of it: the first line of its reason, after the verdict where that is not what it is about."""
    first = reason.strip().partition("\n")[0]
    if verdict in {Verdict.PASS, Verdict.FAIL} or first.startswith(verdict.value):
        return first
    return f"{verdict.value}: {first}" if first else verdict.value
