"""BND: the boundary between secrets and assets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from ahocorasick_rs import BytesAhoCorasick

from .canaries import CREDENTIAL_FIELD
from .check import NotApplicable, Saw, check
from .search import Search, Sighting
from .seen import CREDENTIAL_FILE, Seen, altered_assets
from .unpack import streams
from .wire import SECRET_WRITES, as_bytes, in_call, in_request, secret_name

if TYPE_CHECKING:
    from harness.runtime.base import Entry, Process, Volume
    from harness.world.aws.calls import Call
    from harness.world.template_host.record import RecordedRequest

WINDOW = 40
"""Bytes of an asset that, found elsewhere, are no coincidence."""
TELLING = 12
"""Characters of a credential on end that, found anywhere, are no coincidence."""
BOOTSTRAP = re.compile(r"molecule/tenant/[^/]+/bootstrap")


@check("BND-1")
def bnd_1_only_bootstrap_secrets_are_written(seen: Seen) -> Saw:
    """Every secret written since the scenario began is `molecule/tenant/<tenant>/bootstrap`."""
    written = [secret_name(call) for call in seen.calls if call.operation in SECRET_WRITES and call.succeeded]
    problems = [f"it wrote the secret {name!r}" for name in written if not BOOTSTRAP.fullmatch(name)]
    return Saw(f"{len(written)} writes", tuple(problems))


@check("BND-2")
def bnd_2_no_asset_bytes_outside_the_asset_channel(seen: Seen) -> Saw:
    """No asset bytes, raw or encoded, in a secret, in user-data, in a tag or in a machine's environment."""
    windows: dict[bytes, str] = {}
    for path, file in seen.expected.template.asset_set().items():
        for window in _windows(file.content):
            windows.setdefault(window, path)
    if not windows:
        return Saw("assets too small to tell from chance")
    automaton = BytesAhoCorasick(list(windows))
    paths = list(windows.values())
    problems: set[str] = set()
    places = 0
    haystacks = chain(
        (leaf for call in seen.calls for leaf in _leaves(call.parameters, call.action)),
        [(seen.user_data, "user-data")],
        (
            (
                value.encode("utf-8", "surrogateescape"),
                f"environment variable {name} of process {process.pid}",
            )
            for process in seen.processes
            for name, value in process.environment.items()
        ),
    )
    for content, where in haystacks:
        places += 1
        for stream, place in streams(content, where):
            problems.update(
                f"{place} holds bytes of {paths[match[0]]}"
                for match in automaton.find_matches_as_indexes(stream)
            )
    return Saw(f"{len(windows)} samples of assets looked for in {places} places", tuple(sorted(problems)))


@check("BND-3")
def bnd_3_no_secret_on_the_volume(seen: Seen) -> Saw:
    """No secret of any tenant, in any encoding, in any file of the volume, nor in a name.

    Its own tenant's may be in the agent-owned credential file.
    """
    sightings = _in_names(seen.search, seen.entries, "the names of paths")
    for path, found in seen.sightings.items():
        sightings += [each for each in found if path != CREDENTIAL_FILE or each.canary.tenant != seen.tenant]
    return _saw(f"{len(seen.content)} files", sightings)


@check("BND-3")
def bnd_3_no_secret_on_any_volume(search: Search, volumes: Mapping[str, Volume]) -> Saw:
    """The same of every volume and snapshot of the scenario, whatever is or was attached to it."""
    sightings: list[Sighting] = []
    files = 0
    for name, volume in volumes.items():
        entries = volume.entries()
        sightings += _in_names(search, entries, f"the names of paths of {name}")
        for path, entry in entries.items():
            if entry.sha256 is None or path == CREDENTIAL_FILE:
                continue
            files += 1
            with suppress(OSError):  # gone since it was listed
                sightings += search.sightings_of(
                    entry.sha256, partial(volume.read, path), f"{path} of {name}"
                )
    return _saw(f"{files} files of {len(volumes)} volumes and snapshots", sightings)


@check("BND-4")
def bnd_4_no_secret_in_what_is_said(seen: Seen) -> Saw:
    """No secret in console, logs, status, report, agent card, user-data, or a request where it does not belong.

    Nor any secret of another tenant in a process of its machine.
    """
    said = {
        "the console": seen.console,
        "the status": as_bytes(seen.workspace),
        "the agent card": as_bytes(seen.card),
        "user-data": seen.user_data,
        **{f"the log of {name}": log for name, log in seen.logs.items()},
    }
    sightings = _in_all(seen.search, said, seen.requests, seen.calls)
    for process in seen.processes:
        found = _in_process(seen.search, process)
        sightings += [each for each in found if each.canary.tenant != seen.tenant]
    return _saw(f"{len(said)} texts, {len(seen.requests)} requests, {len(seen.calls)} calls", sightings)


@check("BND-4")
def bnd_4_no_secret_in_anything_that_was_said(
    search: Search,
    said: Mapping[str, bytes],
    requests: Sequence[RecordedRequest],
    calls: Sequence[Call],
) -> Saw:
    """The same of all that was said in a scenario until its end, by name: by machines that are gone too."""
    sightings = _in_all(search, said, requests, calls)
    return _saw(f"{len(said)} texts, {len(requests)} requests, {len(calls)} calls", sightings)


@check("BND-5")
def bnd_5_the_fetch_needs_one_credential_at_most(seen: Seen) -> Saw:
    """All requests for its repository together show no credential but the read-scoped template token."""
    own = [request for request in seen.requests if request.repository == seen.expected.repository]
    shown = {credential for request in own if (credential := _credential(request)) is not None}
    known = {canary.value for canary in seen.template_tokens}
    strange = [len(each) for each in shown if each not in known]
    problems = [f"a credential of {length} characters that is not the template token" for length in strange]
    return Saw(f"{len(shown)} credentials in {len(own)} requests", tuple(problems))


@check("BND-5")
def bnd_5_the_credential_is_gone_after_boot(seen: Seen) -> Saw:
    """No template token, old or new, is on the volume, in a process's argv or environment, or in a URL.

    No .git is left.
    """
    if seen.card is None:
        raise NotApplicable("no agent runs, so that the boot left no process behind")
    problems = [
        f"{path} is left of a clone" for path in seen.entries if path.split("/")[-1].lower() == ".git"
    ]
    sightings = [found for each in seen.sightings.values() for found in each]
    for process in seen.processes:
        sightings += _in_process(seen.search, process)
    for request in seen.requests:
        url = f"{request.path}?{request.query}"
        sightings += seen.search.sightings_again(url.encode(), f"the URL of {request.path}")
    problems += _lines(found for found in sightings if found.canary.field == CREDENTIAL_FIELD)
    if not seen.processes:
        problems.append("an agent answers, and yet no process of it was to be seen")
    return Saw(f"{len(seen.processes)} processes, {len(seen.content)} files", tuple(problems))


@check("BND-6")
def bnd_6_the_credential_goes_to_the_template_host_alone(
    seen: Seen, elsewhere: Sequence[RecordedRequest]
) -> Saw:
    """Sent elsewhere by a redirect, the fetch fails by name; who is there sees no credential."""
    problems = [
        f"{request.method} {request.path}, of another host, had an Authorization header"
        for request in elsewhere
        if request.authorization is not None
    ]
    sightings: list[Sighting] = []
    for request in elsewhere:
        text = f"{request.path}?{request.query}\n{dict(request.headers)!r}"
        sightings += seen.search.sightings(text.encode(), f"a request for {request.path} of another host")
    problems += _lines(sightings)
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"the error has no {part}" for part in ("code", "message") if not seen.error.get(part)]
    problems += [f"{path} was written" for path in seen.written]
    return Saw(f"{len(elsewhere)} requests elsewhere; {seen.status}: {seen.complaint}", tuple(problems))


@check("BND-7")
def bnd_7_without_a_token_no_credential_is_sent(seen: Seen) -> Saw:
    """With no token configured, no request has an Authorization header, and the public template is delivered."""
    problems = [
        f"{request.method} {request.path} had an Authorization header"
        for request in seen.requests
        if request.authorization is not None
    ]
    if not seen.requests:
        problems.append("no request reached the template host")
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}")
    return Saw(f"{len(seen.requests)} requests", tuple(problems))


@check("BND-9")
def bnd_9_an_asset_with_a_bootstrap_value_is_refused(seen: Seen, path: str) -> Saw:
    """The workspace failed, the error names file and rule and shows no value, and nothing of the set is written."""
    problems = _refused(seen, path, ("secret", "credential", "bootstrap"))
    sightings = seen.search.sightings(as_bytes(seen.workspace), "the status")
    sightings += seen.search.sightings(seen.console, "the console")
    for name, found in seen.sightings.items():
        if name != CREDENTIAL_FILE:
            sightings += found
    return Saw(f"{seen.status}: {seen.error.get('code')}", (*problems, *_lines(sightings)))


@check("BND-9")
def bnd_9_an_asset_with_a_live_credential_is_refused(
    seen: Seen, what: str, path: str, rule: Collection[str], drawn: Collection[str]
) -> Saw:
    """The workspace failed, the error names file and format, nothing of the set is written, and the value is nowhere:
    no part of what was `drawn` for it is in anything that is said, or on the volume."""
    problems = _refused(seen, path, rule)
    return Saw(f"{what}: {seen.status}: {seen.complaint}", (*problems, *_shown(seen, drawn)))


@check("BND-9")
def bnd_9_an_update_with_a_live_credential_alters_nothing(
    seen: Seen,
    what: str,
    path: str,
    rule: Collection[str],
    drawn: Collection[str],
    before: Mapping[str, Entry],
) -> Saw:
    """The tree is as it was before, the status is not plain `online`, the error names file and format, and the value is
    nowhere."""
    problems = [*_unnamed(seen, path, rule), *altered_assets(before, seen), *_shown(seen, drawn)]
    if seen.status not in {"degraded", "failed"}:
        problems.append(f"the status is {seen.status!r}, neither 'degraded' nor 'failed'")
    return Saw(f"{what}: {seen.status}: {seen.complaint}", tuple(problems))


@check("BND-9")
def bnd_9_names_and_placeholders_pass(seen: Seen, paths: Iterable[str]) -> Saw:
    """Assets that only name credentials, or hold a place for one, are no reason to refuse: each is delivered."""
    problems = []
    if seen.status != "online":
        problems.append(f"the status is {seen.status!r}, not 'online': {seen.complaint}")
    for path in paths:
        entry = seen.configs.get(path)
        if entry is None or entry.sha256 != seen.expected.template.files[path].sha256:
            problems.append(f"{path}: {'not delivered' if entry is None else 'altered'}")
    return Saw(f"{seen.status}: {seen.error.get('code')}", tuple(problems))


@check("BND-8")
def bnd_8_a_machine_reads_its_own_bootstrap_secret_and_no_other(attempts: Mapping[str, str]) -> Saw:
    """With the machine's role: its own secret is read; another's is denied; every write is denied."""
    problems = []
    for attempt, outcome in attempts.items():
        want = "allowed" if attempt == "read its own" else "AccessDeniedException"
        if outcome != want:
            problems.append(f"{attempt}: {outcome}, not {want}")
    return Saw("; ".join(f"{attempt}: {outcome}" for attempt, outcome in attempts.items()), tuple(problems))


def _refused(seen: Seen, path: str, rule: Collection[str]) -> list[str]:
    """What is wrong with the refusal of an asset set at a first boot."""
    problems = _unnamed(seen, path, rule)
    if seen.status != "failed":
        problems.append(f"the status is {seen.status!r}, not 'failed'")
    problems += [f"{name} was written" for name in seen.written]
    if seen.card is not None:
        problems.append("an agent came up")
    return problems


def _unnamed(seen: Seen, path: str, rule: Collection[str]) -> list[str]:
    """Of the file that is refused, and of the words of its rule, what the error does not name."""
    problems = []
    if path not in seen.complaint:
        problems.append(f"the error does not name {path}: {seen.complaint!r}")
    if not any(word in seen.complaint.replace(path, "…").lower() for word in rule):
        problems.append(f"the error does not name the rule ({' or '.join(rule)}): {seen.complaint!r}")
    return problems


def _shown(seen: Seen, drawn: Collection[str]) -> list[str]:
    """Where any few characters on end of what was drawn are to be seen; the problem shows none of them."""
    texts: dict[str, bytes] = {
        "the status": as_bytes(seen.workspace),
        "the agent card": as_bytes(seen.card),
        "the console": seen.console,
        **{f"the log of {name}": log for name, log in seen.logs.items()},
        **seen.content,
    }
    parts = {
        value[start : start + TELLING].encode()
        for value in drawn
        for start in range(len(value) - TELLING + 1)
    }
    return [
        f"the value is in {place}" for place, text in texts.items() if any(part in text for part in parts)
    ]


def _windows(content: bytes) -> Iterator[bytes]:
    """Samples from the beginning, the middle and the end, where they are distinct enough to mean something."""
    if len(content) < WINDOW:
        return
    for start in {0, (len(content) - WINDOW) // 2, len(content) - WINDOW}:
        window = content[start : start + WINDOW]
        if len(set(window)) >= 12:
            yield window


def _leaves(value: Any, where: str) -> Iterator[tuple[bytes, str]]:
    """Every text and blob in a call's parameters, with its place; JSON inside a text is opened too."""
    match value:
        case Mapping():
            for key, inner in value.items():
                yield from _leaves(inner, f"{where}.{key}")
        case bytes():
            yield value, where
        case str():
            yield value.encode("utf-8", "surrogateescape"), where
            if value[:1] in "{[":
                try:
                    yield from _leaves(json.loads(value), where)
                except (ValueError, RecursionError):
                    return
        case Iterable():
            for index, inner in enumerate(value):
                yield from _leaves(inner, f"{where}[{index}]")


def _credential(request: RecordedRequest) -> str | None:
    """The credential in an Authorization header, whatever its scheme."""
    header = request.authorization
    if header is None:
        return None
    scheme, _, credential = header.partition(" ")
    if scheme.lower() == "basic":
        return base64.b64decode(credential).decode(errors="replace").partition(":")[2]
    return credential


def _in_all(
    search: Search, said: Mapping[str, bytes], requests: Iterable[RecordedRequest], calls: Iterable[Call]
) -> list[Sighting]:
    return [
        *(found for where, content in said.items() for found in search.sightings_again(content, where)),
        *(found for request in requests for found in in_request(search, request)),
        *(found for call in calls for found in in_call(search, call)),
    ]


def _in_names(search: Search, entries: Mapping[str, Entry], where: str) -> list[Sighting]:
    names = "\n".join(chain(entries, (entry.target or "" for entry in entries.values())))
    return search.sightings_again(names.encode("utf-8", "surrogateescape"), where)


def _in_process(search: Search, process: Process) -> list[Sighting]:
    argv = "\0".join(process.argv).encode("utf-8", "surrogateescape")
    sightings = search.sightings_again(argv, f"the command line of process {process.pid}")
    for name, value in process.environment.items():
        where = f"environment variable {name} of process {process.pid}"
        sightings += search.sightings_again(value.encode("utf-8", "surrogateescape"), where)
    return sightings


def _lines(sightings: Iterable[Sighting]) -> list[str]:
    """One line a canary and place, with every form it was found in. Bare hashes are no problem."""
    forms: dict[tuple[str, str], set[str]] = {}
    for sighting in sightings:
        if sighting.hashed:
            continue
        forms.setdefault((repr(sighting.canary), sighting.where), set()).add(sighting.form)
    return [f"{canary} ({', '.join(sorted(found))}) in {where}" for (canary, where), found in forms.items()]


def _saw(what: str, sightings: list[Sighting]) -> Saw:
    """The hashes of secrets are told, for a person to judge."""
    hashes = dict.fromkeys(str(found) for found in sightings if found.hashed)
    return Saw("; ".join((what, *hashes)), tuple(_lines(sightings)))
