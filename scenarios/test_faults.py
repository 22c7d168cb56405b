"""The template host errs, stalls, lies, or leads elsewhere; and, for comparison, the transports where it does not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest

from harness.oracle import boundary, channel
from harness.oracle.seen import Seen
from harness.scenario.published import Published
from harness.scenario.scenario import Scenario
from harness.templates.model import SKILLS, Template
from harness.world.template_host.elsewhere import OtherHost
from harness.world.template_host.faults import (
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
    flipped_in_a_file,
    flipped_in_a_header,
    for_the_archive,
    holds_a_pack,
    padded,
    with_a_credential,
    without_the_last_member,
)
from harness.world.template_host.misbehaviour import Fail, Misbehaviour

BOMB = 384 << 20
"""Bytes that a bomb of 400 KB unpacks to."""
LONG_PATH = f"prompts/{'a-long-name-of-forty-bytes-in-a-long-path/' * 120}a.md"
DEEP_PATH = f"prompts/{'d/' * 400}a.md"
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"

Fault = Callable[[Published], Misbehaviour]


def an_archive_of_its_first_commit(published: Published) -> Misbehaviour:
    """It has a second, which is the one that will be asked for."""
    first = published.commit("main")
    published.publish(published.template("main"))
    return Instead(published.repository.archive(first), "application/gzip", only=for_the_archive)


ON_EVERY_TRANSPORT: dict[str, Fault] = {
    "401": lambda _: Fail(401),
    "403": lambda _: Fail(403),
    "404": lambda _: Fail(404),
    "410": lambda _: Fail(410),
    "500": lambda _: Fail(500),
    "HTML with 200": lambda _: Instead.a_login_page(),
    "redirect loop": lambda _: Redirect(),
}
BAD_ANSWERS: dict[str, dict[str, Fault]] = {
    "archive": {
        **ON_EVERY_TRANSPORT,
        "reset in mid-body": lambda _: Reset(only=for_the_archive),
        "short body": lambda _: ShortBody(only=for_the_archive),
        "close-delimited and cut": lambda _: CloseDelimited(only=for_the_archive),
        "cut between members": lambda _: AlteredTar(cut_between_members),
        "a member left out": lambda _: AlteredTar(without_the_last_member),
        "one flipped byte": lambda _: FlippedByte(only=for_the_archive),
        "one flipped byte in a header": lambda _: AlteredTar(flipped_in_a_header),
        "one flipped byte in a file": lambda _: AlteredTar(flipped_in_a_file),
        "trailing garbage": lambda _: TrailingGarbage(only=for_the_archive),
        "wrong commit": an_archive_of_its_first_commit,
    },
    "git": {
        **ON_EVERY_TRANSPORT,
        "reset in mid-body": lambda _: Reset(concerns=holds_a_pack),
        "short body": lambda _: ShortBody(concerns=holds_a_pack),
        "one flipped byte": lambda _: FlippedByte(concerns=holds_a_pack),
    },
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
DAMAGED_UPDATES: dict[str, Callable[[], Misbehaviour]] = {
    "archive": lambda: AlteredTar(without_the_last_member),
    "git": lambda: ShortBody(concerns=holds_a_pack),
}
RESET_ONCE: dict[str, Callable[[], Misbehaviour]] = {
    "archive": lambda: Reset(times=1, only=for_the_archive),
    "git": lambda: Reset(times=1, concerns=holds_a_pack),
}
TRANSIENT: dict[str, tuple[Callable[[str], Misbehaviour], float]] = {
    "503": (lambda _: Fail(503, times=1), 0.05),
    "429 with Retry-After": (lambda _: Fail(429, times=1, retry_after=1), 1.0),
    "reset": (lambda transport: RESET_ONCE[transport](), 0.05),
}
"""Each with the seconds that have to pass before it is tried again."""
OUT_OF_BOUNDS = {
    "a path of 5,000 bytes": (LONG_PATH, ("path", "length")),
    "a path 400 deep": (DEEP_PATH, ("depth", "deep", "parts")),
}


def test_each_bad_answer_is_an_error_of_its_own_and_passes_with_its_cause(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    bad = BAD_ANSWERS[transport]
    published = {name: scenario.publish(minimal) for name in bad}
    tenant = scenario.tenant(*published.values())
    codes: dict[str, str | None] = {}
    with ExitStack() as faulty:
        faults = {name: make(published[name]) for name, make in bad.items()}
        for name, fault in faults.items():
            faulty.enter_context(scenario.cloud.template_host.intercept(published[name].name, fault))
        workspaces = {name: tenant.create(published[name], transport=transport) for name in bad}
        for name, workspace in workspaces.items():
            with workspace.expecting_trouble():
                seen = workspace.booted("provision")
            scenario.proven(f"the template host: {name}", faults[name].hits)
            scenario.judge(channel.chn_9_a_bad_answer_is_an_error_and_leaves_no_partial_tree, seen, name)
            codes[name] = seen.error.get("code")

    scenario.judge(
        channel.chn_9_each_fault_has_its_own_error_code,
        {kind: codes[kind] for kind in KINDS if kind in codes},
    )
    asked = {name: workspace.ask_to_restart() for name, workspace in workspaces.items()}
    for name, workspace in workspaces.items():
        workspace.booted("restart", asked[name])


def test_an_update_that_arrives_damaged_leaves_the_tree_as_it_was(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    before = workspace.files
    published.publish(
        minimal.with_file(f"{SKILLS}/second/SKILL.md", b"---\nname: second\ndescription: 2\n---\n")
    )
    fault = DAMAGED_UPDATES[transport]()
    with scenario.cloud.template_host.intercept(published.name, fault), workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.proven("an update arrived damaged", fault.hits)
    scenario.judge(
        channel.chn_9_a_bad_answer_to_an_update_leaves_the_tree_as_it_was, seen, "damaged update", before
    )
    workspace.restart()


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_transient_fault_is_waited_out(
    scenario: Scenario, minimal: Template, transport: str, kind: str
) -> None:
    make, at_least = TRANSIENT[kind]
    fault = make(transport)
    published = scenario.publish(minimal)
    with scenario.cloud.template_host.intercept(published.name, fault):
        workspace = scenario.tenant(published).provision(published, transport=transport)

    scenario.proven(f"the template host: {kind}", fault.hits)
    scenario.judge(
        channel.chn_10_a_transient_fault_is_retried_with_back_off,
        workspace.look("provision"),
        fault.happened,
        scenario.cloud.template_host.requests.of(published.name),
        at_least,
    )


def test_all_transports_give_the_same_tree(scenario: Scenario, seo: Template) -> None:
    published = scenario.publish(seo)
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


@pytest.mark.parametrize("whither", ["another host", "a file", "instance metadata"])
def test_a_redirect_takes_no_credential_elsewhere(
    scenario: Scenario, minimal: Template, transport: str, whither: str
) -> None:
    published = scenario.publish(minimal)
    runtime = scenario.cloud.runtime
    with OtherHost(bind_host=runtime.bind_host, advertise_host=runtime.advertise_host) as other:
        locations = {
            "another host": f"{other.url}/{published.name}.git/info/refs?service=git-upload-pack",
            "a file": "file:///etc/passwd",
            "instance metadata": METADATA,
        }
        redirect = Redirect(locations[whither], only=with_a_credential)
        with scenario.cloud.template_host.intercept(published.name, redirect):
            workspace = scenario.tenant(published).create(published, transport=transport)
            with workspace.expecting_trouble():
                seen = workspace.booted("provision")

        scenario.proven(f"a request with a credential was redirected to {whither}", redirect.hits)
        scenario.judge(boundary.bnd_6_the_credential_goes_to_the_template_host_alone, seen, other.requests)


def breach(
    scenario: Scenario, published: Published, transport: str, make: Fault, bound: tuple[str, ...]
) -> None:
    """A first boot over a transport, if it is claimed, against a fault that no bounded fetch lives through."""
    if transport not in scenario.cloud.implementation.capabilities.transports:
        pytest.skip(f"the implementation does not claim the transport {transport}")
    fault = make(published)
    with scenario.cloud.template_host.intercept(published.name, fault):
        workspace = scenario.tenant(published).create(published, transport=transport)
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
    name = type(fault).__name__
    scenario.proven(f"the template host: {name}", fault.hits)
    scenario.judge(channel.chn_8_a_breach_is_an_error_that_names_the_bound, seen, name, bound)
