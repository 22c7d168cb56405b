"""The template host, or the object store, errs, stalls, lies, or leads elsewhere; and, for comparison, the transports
where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Protocol

import pytest

from harness.oracle import channel, observability
from harness.oracle.seen import Seen
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.templates import BOTTOMLESS
from harness.templates.model import SKILLS, Template, TemplateFile
from harness.world.aws.calls import Call
from harness.world.template_host.faults import (
    GARBAGE,
    LOGIN_PAGE,
    AlteredTar,
    CloseDelimited,
    Endless,
    FlippedByte,
    Instead,
    Redirect,
    Reset,
    ShortBody,
    TrailingGarbage,
    cut_between_members,
    flipped,
    flipped_in_a_file,
    flipped_in_a_header,
    for_the_archive,
    holds_a_pack,
    padded,
    with_a_length_that_is_no_number,
    with_a_size_below_zero,
    with_a_size_that_is_no_number,
    without_the_last_member,
)
from harness.world.template_host.misbehaviour import Fail, Misbehaviour
from harness.world.wire import Ending

BOMB = 384 << 20
"""Bytes that a bomb of 400 KB unpacks to."""
LONG_PATH = f"prompts/{'a-long-name-of-forty-bytes-in-a-long-path/' * 120}a.md"
DEEP_PATH = f"prompts/{'d/' * 400}a.md"

FETCH = "s3:GetObject"
BUSY = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>"""

Misbehaving = Callable[[Published], Misbehaviour]


class Trouble(Protocol):
    """A fault that is on within a `with` block."""

    @property
    def hits(self) -> int: ...

    @property
    def happened(self) -> Sequence[datetime]: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


Fault = Callable[[Scenario, Published], Trouble]


def host(make: Misbehaving) -> Fault:
    """The template host misbehaves towards one template."""
    return lambda scenario, published: scenario.cloud.template_host.intercept(published.name, make(published))


def all_of_the_host(faults: Mapping[str, Misbehaving]) -> dict[str, Fault]:
    return {name: host(make) for name, make in faults.items()}


def altered(change: Callable[[bytes], bytes], times: int | None = None) -> Fault:
    """What the object store gives to machines of one template is altered on the way."""
    return lambda scenario, published: scenario.cloud.aws.faults.alter(
        FETCH, change, only=scenario.machines_of(published), times=times
    )


def broken_off(ending: Ending, times: int | None = None) -> Fault:
    """What the object store gives to machines of one template breaks off on the way."""
    return lambda scenario, published: scenario.cloud.aws.faults.break_off(
        FETCH, ending, only=scenario.machines_of(published), times=times
    )


def throttled(scenario: Scenario, published: Published) -> Trouble:
    """The object store is too busy for machines of one template."""
    return scenario.cloud.aws.faults.throttle(FETCH, only=scenario.machines_of(published))


def denied(scenario: Scenario, published: Published) -> Trouble:
    """The object store gives nothing to machines of one template."""
    return scenario.cloud.aws.faults.deny(FETCH, only=scenario.machines_of(published))


def gone(scenario: Scenario, published: Published) -> Trouble:
    """What the provisioner published is not there any more for machines of one template."""
    return scenario.cloud.aws.faults.fail(
        FETCH, "NoSuchKey", status=404, only=scenario.machines_of(published)
    )


def out_of_order_once(scenario: Scenario, published: Published) -> Trouble:
    """What stands before the object store says so, by an error that the object store has not."""
    return scenario.cloud.aws.faults.fail(
        FETCH, "BadGateway", status=502, only=scenario.machines_of(published), times=1
    )


def an_archive_of_its_first_commit(published: Published) -> Misbehaviour:
    """It has a second, which is the one that will be asked for."""
    first = published.commit("main")
    published.publish(published.template("main"))
    return Instead(published.repository.archive(first), "application/gzip", only=for_the_archive)


REFUSALS: dict[str, Misbehaving] = {
    "400": lambda _: Fail(400),
    "401": lambda _: Fail(401),
    "403": lambda _: Fail(403),
    "404": lambda _: Fail(404),
    "410": lambda _: Fail(410),
    "500": lambda _: Fail(500),
}
ON_EVERY_TRANSPORT: dict[str, Misbehaving] = {
    **REFUSALS,
    "HTML with 200": lambda _: Instead.a_login_page(),
    "redirect loop": lambda _: Redirect(),
}
OF_ARCHIVES: dict[str, Misbehaving] = {
    "reset in mid-body": lambda _: Reset(only=for_the_archive),
    "short body": lambda _: ShortBody(only=for_the_archive),
    "close-delimited and cut": lambda _: CloseDelimited(only=for_the_archive),
    "cut between members": lambda _: AlteredTar(cut_between_members),
    "a member left out": lambda _: AlteredTar(without_the_last_member),
    "one flipped byte": lambda _: FlippedByte(only=for_the_archive),
    "one flipped byte in a header": lambda _: AlteredTar(flipped_in_a_header),
    "one flipped byte in a file": lambda _: AlteredTar(flipped_in_a_file),
    "a size that is no number": lambda _: AlteredTar(with_a_size_that_is_no_number),
    "a length that is no number": lambda _: AlteredTar(with_a_length_that_is_no_number),
    "a size below zero": lambda _: AlteredTar(with_a_size_below_zero),
    "trailing garbage": lambda _: TrailingGarbage(only=for_the_archive),
    "wrong commit": an_archive_of_its_first_commit,
    "JSON without a bottom": lambda _: Instead(BOTTOMLESS, "application/json"),
    "JSON that says nothing": lambda _: Instead(b"{}", "application/json"),
    "JSON of another kind": lambda _: Instead(b"[]", "application/json"),
}
OF_PACKS: dict[str, Misbehaving] = {
    "reset in mid-body": lambda _: Reset(concerns=holds_a_pack),
    "short body": lambda _: ShortBody(concerns=holds_a_pack),
    "one flipped byte": lambda _: FlippedByte(concerns=holds_a_pack),
}
OF_OBJECTS: dict[str, Fault] = {
    "reset in mid-body": broken_off("reset"),
    "short body": broken_off("short"),
    "close-delimited and cut": broken_off("close-delimited"),
    "one flipped byte": altered(lambda body: flipped(body, len(body) // 2)),
    "one flipped byte at its beginning": altered(lambda body: flipped(body, 0)),
    "one flipped byte at its end": altered(lambda body: flipped(body, len(body) - 1)),
    "trailing garbage": altered(lambda body: body + GARBAGE),
    "a page of the object store's network": altered(lambda _: LOGIN_PAGE),
    "an error with 200": altered(lambda _: BUSY),
    "a busy object store": throttled,
    "an object store that refuses": denied,
    "an object that is gone": gone,
}
BAD_ANSWERS: dict[str, dict[str, Fault]] = {
    "archive": all_of_the_host(ON_EVERY_TRANSPORT | OF_ARCHIVES),
    "git": all_of_the_host(ON_EVERY_TRANSPORT | OF_PACKS),
    "object": all_of_the_host(ON_EVERY_TRANSPORT) | OF_OBJECTS,
}
KINDS = (
    "401",
    "403",
    "404",
    "500",
    "reset in mid-body",
    "short body",
    "one flipped byte",
    "HTML with 200",
    "redirect loop",
    "wrong commit",
    "one flipped byte in a file",
    "trailing garbage",
)
"""Faults that have to be told apart by their codes, one of each kind (CHN-9)."""
UNKNOWN = "an unknown commit"
BESIDE_UNKNOWN = (UNKNOWN, *(kind for kind in KINDS if kind != "404"))
"""That a commit is unknown is none of these faults either, though it may be told by a 404."""
UNREADABLE = ("a size that is no number", "a length that is no number", "a size below zero")
OF_AN_ARCHIVE = ("archive", "tarball", "corrupt", "damaged", "malformed", "broken", "size", "header")
"""Of these words an error has one that says what is wrong with an archive that nobody can read."""
OF_THE_OBJECT_STORE = (
    "a busy object store",
    "an object store that refuses",
    "an object that is gone",
    "a page of the object store's network",
    "one flipped byte",
    "trailing garbage",
)
"""The same of the object store, and of what stands before it, which gives HTML with 200 of its own."""
DAMAGED_UPDATES: dict[str, Fault] = {
    "archive": host(lambda _: AlteredTar(without_the_last_member)),
    "git": host(lambda _: ShortBody(concerns=holds_a_pack)),
    "object": altered(lambda body: flipped(body, len(body) - 1)),
}
OUT_OF_ORDER_ONCE: dict[str, Fault] = {
    "archive": host(lambda _: Fail(503, times=1)),
    "git": host(lambda _: Fail(503, times=1)),
    "object": out_of_order_once,
}
RESET_ONCE: dict[str, Fault] = {
    "archive": host(lambda _: Reset(times=1, only=for_the_archive)),
    "git": host(lambda _: Reset(times=1, concerns=holds_a_pack)),
    "object": broken_off("reset", times=1),
}
TRANSIENT: dict[str, tuple[Callable[[str], Fault], float]] = {
    "out of order": (lambda transport: OUT_OF_ORDER_ONCE[transport], 0.05),
    "429 with Retry-After": (lambda _: host(lambda _: Fail(429, times=1, retry_after=1)), 1.0),
    "reset": (lambda transport: RESET_ONCE[transport], 0.05),
}
"""Each with the seconds that have to pass before it is tried again."""
OUT_OF_BOUNDS = {
    "a path of 5,000 bytes": (LONG_PATH, ("path", "length")),
    "a path 400 deep": (DEEP_PATH, ("depth", "deep", "parts")),
}
STAMP = b"$Format:%ct%ct%x41%%%%$"
"""As many bytes as git puts in its place where it makes an archive."""
ALTERED_IN_ARCHIVES = {
    ".gitattributes": TemplateFile(
        b"prompts/left-out.md export-ignore\nprompts/stamp-*.md export-subst\nprompts/lines.md text eol=crlf\n"
    ),
    "prompts/left-out.md": TemplateFile(b"This is in no archive.\n"),
    "prompts/lines.md": TemplateFile(b"These lines\nend otherwise.\n"),
    **{f"prompts/stamp-{number}.md": TemplateFile(b"%d: %s\n" % (number, STAMP)) for number in range(8)},
}
"""What archives leave out or give otherwise, since the template says so; it is delivered as it is committed."""


def test_each_bad_answer_is_an_error_of_its_own_and_passes_with_its_cause(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    bad = BAD_ANSWERS[transport]
    received_something = [name for name in bad if name not in REFUSALS]
    published = {name: scenario.publish(minimal) for name in (*bad, UNKNOWN)}
    tenant = scenario.tenant(*published.values())
    codes: dict[str, str | None] = {}
    with ExitStack() as faulty:
        faults = {name: make(scenario, published[name]) for name, make in bad.items()}
        for fault in faults.values():
            faulty.enter_context(fault)
        workspaces = {name: tenant.create(published[name], transport=transport) for name in bad}
        for name, workspace in workspaces.items():
            with workspace.expecting_trouble():
                seen = workspace.booted("provision")
            scenario.proven(f"a bad answer: {name}", faults[name].hits)
            scenario.judge(channel.chn_9_a_bad_answer_is_an_error_and_leaves_no_partial_tree, seen, name)
            if name in UNREADABLE:
                scenario.judge(
                    observability.obs_2_an_error_is_bounded_and_names_the_cause, seen, OF_AN_ARCHIVE
                )
            codes[name] = seen.error.get("code")
    nowhere = tenant.create(published[UNKNOWN], ref="0123456789" * 4, transport=transport)
    with nowhere.expecting_trouble():
        codes[UNKNOWN] = nowhere.booted("provision").error.get("code")

    of_the_store = [OF_THE_OBJECT_STORE] if transport == "object" else []
    for kinds in (KINDS, BESIDE_UNKNOWN, *of_the_store):
        scenario.judge(
            channel.chn_9_each_fault_has_its_own_error_code,
            {kind: codes[kind] for kind in kinds if kind in codes},
        )
    # A refusal leaves nothing behind that a later boot could stumble over.
    asked = {name: workspaces[name].ask_to_restart() for name in received_something}
    for name, previous in asked.items():
        workspaces[name].booted("restart", previous)


def test_an_update_that_arrives_damaged_leaves_the_tree_as_it_was(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    before = workspace.files
    published.publish(
        minimal.with_file(f"{SKILLS}/second/SKILL.md", b"---\nname: second\ndescription: 2\n---\n")
    )
    fault = DAMAGED_UPDATES[transport](scenario, published)
    with fault, workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.proven("an update arrived damaged", fault.hits)
    scenario.judge(
        channel.chn_9_a_bad_answer_to_an_update_leaves_the_tree_as_it_was, seen, "damaged update", before
    )
    workspace.restart()


def test_an_object_that_is_replaced_in_mid_read_is_never_spliced(
    scenario: Scenario, minimal: Template
) -> None:
    scenario.needs_transport("object")
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).create(published, transport="object")
    with replaced_in_mid_read(scenario, published) as fault, workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.proven("the object was replaced when half of it was read", fault.hits)
    scenario.judge(channel.chn_9_a_bad_answer_is_an_error_and_leaves_no_partial_tree, seen, "replaced object")
    workspace.restart()


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_transient_fault_is_waited_out(
    scenario: Scenario, minimal: Template, transport: str, kind: str
) -> None:
    make, at_least = TRANSIENT[kind]
    published = scenario.publish(minimal)
    fault = make(transport)(scenario, published)
    with fault:
        workspace = scenario.tenant(published).create(published, transport=transport)
        seen = workspace.outcome("provision")

    scenario.proven(f"a transient fault: {kind}", fault.hits)
    scenario.judge(
        channel.chn_10_a_transient_fault_is_retried_with_back_off,
        seen,
        fault.happened,
        scenario.asked_for(published),
        at_least,
    )
    workspace.booted("provision")


def test_all_transports_give_the_same_tree(scenario: Scenario, seo: Template) -> None:
    published = scenario.publish(seo.with_entries(ALTERED_IN_ARCHIVES))
    tenant = scenario.tenant(published)
    seens: dict[str, Seen] = {
        transport: tenant.provision(published, transport=transport).look("provision")
        for transport in scenario.cloud.implementation.capabilities.transports
    }

    scenario.judge(channel.chn_7_all_transports_give_the_same_tree, seens)


@pytest.mark.parametrize("kind", OUT_OF_BOUNDS)
def test_a_path_beyond_the_bounds_is_refused_by_the_name_of_the_bound(
    scenario: Scenario, minimal: Template, transport: str, kind: str
) -> None:
    path, bound = OUT_OF_BOUNDS[kind]
    published = scenario.publish(minimal.with_file(path, b"# Far out\n"))
    workspace = scenario.tenant(published).create(published, transport=transport)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, kind, bound)


def test_redirects_without_an_end_are_refused_by_the_name_of_the_bound(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    breach(scenario, scenario.publish(minimal), transport, lambda _: Redirect(), ("redirect",))


def test_an_endless_answer_is_refused_by_the_name_of_the_bound(scenario: Scenario, minimal: Template) -> None:
    bound = ("bytes", "size", "large")
    breach(scenario, scenario.publish(minimal), "archive", lambda _: Endless(), bound)


def test_a_gzip_bomb_is_refused_by_the_name_of_the_bound(scenario: Scenario, minimal: Template) -> None:
    published = scenario.publish(minimal)
    bomb = padded(published.repository.archive(published.commit("main")), BOMB)
    instead = partial(Instead, bomb, "application/gzip", only=for_the_archive)
    bound = ("ratio", "expansion", "bytes", "size")
    breach(scenario, published, "archive", lambda _: instead(), bound)


@contextmanager
def replaced_in_mid_read(scenario: Scenario, published: Published) -> Iterator[Trouble]:
    """Half of the object is read when another one takes its place, until the end of the block."""
    s3, made = scenario.cloud.aws.client("s3"), scenario.machines_of(published)
    replaced: dict[str, bytes] = {}

    def put(key: str, content: bytes) -> None:
        metadata = s3.head_object(Bucket=scenario.cloud.artifact_bucket, Key=key)["Metadata"]
        s3.put_object(Bucket=scenario.cloud.artifact_bucket, Key=key, Body=content, Metadata=metadata)

    def replace(call: Call) -> bool:
        key = str(call.parameters["Key"])
        if not made(call) or key in replaced:
            return False
        content = s3.get_object(Bucket=scenario.cloud.artifact_bucket, Key=key)["Body"].read()
        replaced[key] = content
        put(key, flipped(content, len(content) - 1))
        return True

    with scenario.cloud.aws.faults.break_off(FETCH, "reset", only=replace) as fault:
        yield fault
    for key, content in replaced.items():
        put(key, content)


def breach(
    scenario: Scenario, published: Published, transport: str, make: Misbehaving, bound: tuple[str, ...]
) -> None:
    """A first boot over a transport, if it is claimed, against a fault that no bounded fetch lives through."""
    scenario.needs_transport(transport)
    fault = make(published)
    with scenario.cloud.template_host.intercept(published.name, fault):
        workspace = scenario.tenant(published).create(published, transport=transport)
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
    name = type(fault).__name__
    scenario.proven(f"the template host: {name}", fault.hits)
    scenario.judge(channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, name, bound)
