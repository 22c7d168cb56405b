"""MIG: from the design before this one, whose config rode in a secret of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.templates.model import CONFIG

from .check import Saw, check
from .seen import CONFIGS, Document, Seen
from .wire import secret_name

CONFIG_SECRET = re.compile(r"molecule/workspace/[^/]+/config")
_WRITES = frozenset(
    {
        "CreateSecret",
        "PutSecretValue",
        "UpdateSecret",
        "UpdateSecretVersionStage",
        "RestoreSecret",
        "RotateSecret",
    }
)


@dataclass(frozen=True)
class SecretState:
    """All that a rollback could find out about a secret."""

    value: str = field(repr=False)
    versions: Mapping[str, tuple[str, ...]]
    """Stages by version id."""
    in_deletion: bool


@check("MIG-1")
def mig_1_the_edited_values_are_kept(seen: Seen, values: Mapping[str, Any]) -> Saw:
    """The workspace is ready, and config.yaml has each value (by dotted key) that the user had edited before."""
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    config, trouble = _config(seen)
    problems += [trouble] if trouble else []
    problems += [
        f"{key} is {found!r}, not {want!r}"
        for key, want in values.items()
        if not trouble and (found := _value(config, key)) != want
    ]
    return Saw(f"{len(values)} values of the old config; {seen.status}", tuple(problems))


@check("MIG-1")
def mig_1_what_no_user_wrote_is_not_carried_over(seen: Seen) -> Saw:
    """A stub, an error body or rubbish in place of a config gives way to the template's, by the asset channel."""
    entry, want = seen.configs.get(CONFIG), seen.expected.template.files[CONFIG]
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    if entry is None or entry.sha256 != want.sha256:
        problems.append(f"{CONFIG} is {'missing' if entry is None else 'not the template’s'}")
    return Saw(f"{CONFIG}; {seen.status}", tuple(problems))


@check("MIG-2")
def mig_2_no_config_secret_is_written(seen: Seen) -> Saw:
    """No `molecule/workspace/<id>/config` was created, updated or brought back since the scenario began."""
    calls = [call for call in seen.calls if call.service == "secretsmanager" and call.operation in _WRITES]
    problems = [
        f"{call.operation} of {name!r}"
        for call in calls
        if call.succeeded and CONFIG_SECRET.fullmatch(name := secret_name(call))
    ]
    return Saw(f"{len(calls)} writes to the secret store", tuple(problems))


@check("MIG-3")
def mig_3_the_sweep_says_what_goes_and_why_the_rest_stays(
    answer: Document, dry_run: bool, due: Collection[str], staying: Collection[str]
) -> Saw:
    """What is due is named once as swept, all else once as kept, with a reason, and no other secret at all."""
    swept = list(answer.get("swept", []))
    kept = {str(row["secret"]): row.get("reason") for row in answer.get("kept", [])}
    named = [*swept, *(row["secret"] for row in answer.get("kept", []))]
    problems = [f"{name} is due, and not said to be swept" for name in due if name not in swept]
    problems += [f"{name} is said to be swept" for name in swept if name not in due]
    problems += [f"{name} stays, and is not said to be kept" for name in staying if name not in kept]
    problems += [f"{name} is said to be kept" for name in kept if name not in staying]
    problems += [f"{name} is kept without a reason" for name, reason in kept.items() if not reason]
    problems += [f"{name} is named {named.count(name)} times" for name in set(named) if named.count(name) > 1]
    if answer.get("dry_run") is not dry_run:
        problems.append(f"dry_run is {answer.get('dry_run')!r}, not {dry_run!r}")
    return Saw(f"swept {len(swept)}, kept {len(kept)}", tuple(problems))


@check("MIG-3")
def mig_3_only_what_is_due_was_deleted(
    before: Mapping[str, SecretState], after: Mapping[str, SecretState], due: Collection[str]
) -> Saw:
    """What is due is gone or in deletion; every other secret, bootstrap secrets too, is as it was."""
    problems = [f"{name} is still there" for name in due if name in after and not after[name].in_deletion]
    problems += _altered({name: state for name, state in before.items() if name not in due}, after)
    return Saw(f"{len(due)} due, {len(before)} secrets there before", tuple(problems))


@check("MIG-4")
def mig_4_a_rollback_finds_the_secret_as_it_was(
    before: Mapping[str, SecretState], after: Mapping[str, SecretState]
) -> Saw:
    """The old secrets have the same value, and the same versions in the same stages."""
    return Saw(f"{len(before)} secrets", tuple(_altered(before, after)))


def _altered(before: Mapping[str, SecretState], after: Mapping[str, SecretState]) -> list[str]:
    """One line for each secret that is not as it was, with no value in it."""
    problems = []
    for name, was in before.items():
        now = after.get(name)
        if now is None or now.in_deletion != was.in_deletion:
            problems.append(f"{name}: {'gone' if now is None else 'in deletion'}")
        elif now.value != was.value:
            problems.append(f"{name}: another value")
        elif now.versions != was.versions:
            problems.append(f"{name}: its versions were {dict(was.versions)}, are {dict(now.versions)}")
    return problems


def _config(seen: Seen) -> tuple[Any, str]:
    """config.yaml as it is on the volume; or what is wrong with it."""
    raw = seen.content.get(f"{CONFIGS}/{CONFIG}")
    if raw is None:
        return None, f"there is no {CONFIG}"
    try:
        return yaml.load(raw, yaml.CSafeLoader), ""
    except yaml.YAMLError as wrong:
        return None, f"{CONFIG} does not parse: {wrong}"


def _value(document: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for part in key.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(part)
    return document
