"""Secrets stay on their side and assets on theirs: the credential of a fetch, and templates that hold secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import cycle, islice
from typing import NamedTuple

from harness.contract.credentials import Vector, expand, load_formats
from harness.oracle import boundary
from harness.oracle.canaries import CREDENTIAL_FIELD
from harness.oracle.seen import Seen
from harness.scenario.scenario import Scenario
from harness.templates.model import CONFIG, SKILLS, Template
from harness.world.template_host.elsewhere import OtherHost
from harness.world.template_host.faults import Redirect, with_a_credential

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
ACCESS = f"{SKILLS}/meeting-notes/references/access.md"
LEAKED = ("shared_secret", "db_password", CREDENTIAL_FIELD)
"""Fields of the bootstrap secret."""
NAMES_AND_PLACEHOLDERS = {
    CONFIG: (
        "\nruntime_config:\n  required_env: [ANTHROPIC_API_KEY, DB_PASSWORD, template_repo_token]\n"
        "env:\n  API_KEY: ${ANTHROPIC_API_KEY}\n  TOKEN: $TOKEN\n"
    ),
    ACCESS: (
        "# How to get in\n\nPut your key (`sk-ant-...`, `ghp_xxxxxxxxxxxxxxxx`) in `ANTHROPIC_API_KEY`, and write\n"
        "`Authorization: Bearer ${TOKEN}`. The `db_password` and the `shared_secret` stay where they are.\n"
    ),
    f"{SKILLS}/meeting-notes/.env.example": (
        "ANTHROPIC_API_KEY=\nTOKEN=<your token>\nAWS_SECRET_ACCESS_KEY=changeme\n"
    ),
}
"""What is written of credentials where none is given away, by the file to which it is added."""

SKILL = f"{SKILLS}/meeting-notes"
SIDE_BY_SIDE = 8
"""First boots at once."""
FORMATS = load_formats()
PLACES = (
    ACCESS,
    "prompts/notes.md",
    "system-prompt.md",
    f"{SKILL}/scripts/deploy.sh",
    f"{SKILL}/.env",
    f"{SKILL}/assets/settings.json",
)


class Planted(NamedTuple):
    """A template with a live credential in one of its assets."""

    template: Template
    path: str
    format: str
    vector: Vector


class OffSwitch(NamedTuple):
    """What switches a scanner off that lets the scanned decide."""

    path: str = ACCESS
    """Where the credential stands."""
    around: str = "{}"
    """What it stands amid."""
    files: Mapping[str, bytes] = {}
    """What is in the template besides."""


OFF_SWITCHES = {
    "a configuration that allows everything": OffSwitch(
        files={
            f"{folder}{name}": content
            for folder in ("", f"{SKILLS}/", f"{SKILL}/", f"{SKILL}/references/")
            for name, content in {
                ".gitleaks.toml": b'[allowlist]\npaths = [""".*"""]\n',
                ".gitleaksignore": b"*\n",
                ".secretlintignore": b"**\n",
                ".secretlintrc.json": b'{"rules": []}\n',
                ".secrets.baseline": b'{"exclude": {"files": ".*"}}\n',
                ".trufflehogignore": b".*\n",
                ".gitattributes": b"* binary -diff linguist-generated\n",
            }.items()
        }
    ),
    "a comment behind it": OffSwitch(
        around="{} # pragma: allowlist secret, gitleaks:allow, trufflehog:ignore, kingfisher:ignore, nosec, noqa"
    ),
    "a comment before it": OffSwitch(
        around="<!-- secretlint-disable -->\n# pragma: allowlist nextline secret\n{}\n<!-- secretlint-enable -->"
    ),
    "a word that it is no secret": OffSwitch(
        around="For EXAMPLE, a dummy placeholder, not a real token:\n{}\n"
    ),
    "an image's name": OffSwitch(path=f"{SKILL}/assets/logo.png"),
    "the name of a lock file": OffSwitch(path=f"{SKILL}/package-lock.json"),
    "the name of a program's build": OffSwitch(path=f"{SKILL}/dist/index.min.js.map"),
    "a folder of other people's code": OffSwitch(path=f"{SKILL}/node_modules/left-pad/index.js"),
    "a folder of tests": OffSwitch(path=f"{SKILL}/tests/fixtures/example.txt"),
    "no name at all": OffSwitch(path=f"{SKILL}/LICENSE"),
    "bytes that are no text": OffSwitch(path=f"{SKILL}/assets/data.bin", around="\0\1\2\x89\0{}\0\0\0"),
    "a file too large to look at": OffSwitch(around="All of it, word for word.\n" * 200_000 + "{}\n"),
    "a line too long to look at": OffSwitch(around="word " * 500_000 + "{}"),
    **{
        f"the border of two pieces, number {number}": OffSwitch(
            around="." * ((1 << 20) - 12) + " {}\n" + "word " * 20_000
        )
        for number in range(1, 4)
    },
}
"""Of those with a number there are several, so that each transport meets one: they cut a file in pieces differently."""


def test_a_public_template_needs_no_credential(scenario: Scenario, minimal: Template, transport: str) -> None:
    published = scenario.publish(minimal, private=False)
    workspace = scenario.tenant().create(published, transport=transport)

    scenario.judge(boundary.bnd_7_without_a_token_no_credential_is_sent, workspace.outcome("provision"))
    workspace.booted("provision")


def test_a_redirect_takes_no_credential_elsewhere(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    runtime = scenario.cloud.runtime
    with OtherHost(bind_host=runtime.bind_host, advertise_host=runtime.advertise_host) as other:
        locations = {
            "another host": f"{other.url}/agent.git/info/refs?service=git-upload-pack",
            "a file": "file:///etc/passwd",
            "instance metadata": METADATA,
        }
        redirects = {whither: Redirect(to, only=with_a_credential) for whither, to in locations.items()}
        published = {whither: scenario.publish(minimal) for whither in locations}
        tenant = scenario.tenant(*published.values())
        with ExitStack() as redirected:
            for whither, redirect in redirects.items():
                host = scenario.cloud.template_host
                redirected.enter_context(host.intercept(published[whither].name, redirect))
            workspaces = {
                whither: tenant.create(each, transport=transport) for whither, each in published.items()
            }
            for whither, workspace in workspaces.items():
                with workspace.expecting_trouble():
                    seen = workspace.booted("provision")
                scenario.proven(
                    f"a request with a credential was redirected to {whither}", redirects[whither].hits
                )
                scenario.judge(
                    boundary.bnd_6_the_credential_goes_to_the_template_host_alone, seen, other.requests
                )


def test_an_asset_that_holds_a_bootstrap_value_is_refused_by_name(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = {field: scenario.publish(minimal) for field in LEAKED}
    tenant = scenario.tenant(*published.values())
    for field, each in published.items():
        leaked = tenant.canaries[field].value
        each.publish(minimal.with_file(ACCESS, f"# How to get in\n\nSay {leaked} at the door.\n"))
    workspaces = [tenant.create(each, transport=transport) for each in published.values()]
    for workspace in workspaces:
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        scenario.judge(boundary.bnd_9_an_asset_with_a_bootstrap_value_is_refused, seen, ACCESS)


def test_a_live_credential_of_each_format_is_refused_by_name(scenario: Scenario, minimal: Template) -> None:
    places = cycle(PLACES)
    vectors = [(name, each) for name, format_ in FORMATS.items() for each in format_.live]
    live = {
        f"{name} in {path}, number {number}": planted(minimal, OffSwitch(path), name, vector)
        for number, ((name, vector), path) in enumerate(zip(vectors, places, strict=False), 1)
    }

    for example, what, each, seen in first_boots(scenario, live):
        example.judge(
            boundary.bnd_9_an_asset_with_a_live_credential_is_refused,
            seen, what, each.path, FORMATS[each.format].words, each.vector.drawn,
        )  # fmt: skip


def test_no_template_can_have_a_live_credential_overlooked(scenario: Scenario, minimal: Template) -> None:
    live = {
        what: planted(minimal, switch, name, FORMATS[name].live[0])
        for (what, switch), name in zip(OFF_SWITCHES.items(), cycle(FORMATS), strict=False)
    }

    for example, what, each, seen in first_boots(scenario, live):
        example.judge(
            boundary.bnd_9_an_asset_with_a_live_credential_is_refused,
            seen, what, each.path, FORMATS[each.format].words, each.vector.drawn,
        )  # fmt: skip


def test_an_update_with_a_live_credential_leaves_the_tree_as_it_was(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    workspace = scenario.tenant(published).provision(published, transport=transport)
    before = workspace.files
    name = "anthropic-key"
    leak = planted(minimal, OffSwitch(), name, FORMATS[name].live[0])
    published.publish(leak.template.with_file("prompts/new.md", b"This is new.\n"))
    with workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.judge(
        boundary.bnd_9_an_update_with_a_live_credential_alters_nothing,
        seen, name, leak.path, FORMATS[name].words, leak.vector.drawn, before,
    )  # fmt: skip

    published.publish(minimal.with_file("prompts/new.md", b"This is new.\n"))
    workspace.restart()


def test_what_only_resembles_a_credential_is_delivered(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    harmless = {
        f"{SKILL}/references/{name}-{number}.md": f"\n{expand(vector).text}\n".encode()
        for name, format_ in FORMATS.items()
        for number, vector in enumerate(format_.harmless, 1)
    }
    template = minimal
    for path, content in harmless.items():
        template = template.with_file(path, content)
    published = scenario.publish(template)
    workspace = scenario.tenant(published).create(published, transport=transport)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(boundary.bnd_9_names_and_placeholders_pass, seen, harmless)


def test_names_of_credentials_and_placeholders_are_delivered(scenario: Scenario, minimal: Template) -> None:
    template = minimal
    for path, words in NAMES_AND_PLACEHOLDERS.items():
        before = minimal.files[path].content if path in minimal.files else b""
        template = template.with_file(path, before + words.encode())
    published = scenario.publish(template)
    workspace = scenario.tenant(published).create(published)
    with workspace.expecting_trouble():
        seen = workspace.booted("provision")

    scenario.judge(boundary.bnd_9_names_and_placeholders_pass, seen, NAMES_AND_PLACEHOLDERS)


def planted(template: Template, switch: OffSwitch, format_: str, template_of_vector: str) -> Planted:
    vector = expand(template_of_vector)
    for path, content in switch.files.items():
        template = template.with_file(path, content)
    text = switch.around.format(f"\n{vector.text}\n" if switch.around == "{}" else vector.text)
    return Planted(template.with_file(switch.path, text.encode("latin-1")), switch.path, format_, vector)


def first_boots(
    scenario: Scenario, live: Mapping[str, Planted]
) -> Iterator[tuple[Scenario, str, Planted, Seen]]:
    """The first boot of each template, a few side by side, over all transports in turn.

    Each few are an example of their own, so that nobody looks through what all those before have left.
    """
    transports = cycle(scenario.cloud.implementation.capabilities.transports)
    left = iter(live.items())
    while some := dict(islice(left, SIDE_BY_SIDE)):
        with scenario.example() as example:
            published = {what: example.publish(each.template) for what, each in some.items()}
            tenant = example.tenant(*published.values())
            workspaces = {
                what: tenant.create(each, transport=next(transports)) for what, each in published.items()
            }
            for what, workspace in workspaces.items():
                with workspace.expecting_trouble():
                    yield example, what, some[what], workspace.booted("provision")
