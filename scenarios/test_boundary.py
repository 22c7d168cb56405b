"""Secrets stay on their side and assets on theirs: the credential of a fetch, and templates that hold secrets."""

from __future__ import annotations

from contextlib import ExitStack

from harness.oracle import boundary
from harness.oracle.canaries import CREDENTIAL_FIELD
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


def test_a_public_template_needs_no_credential(scenario: Scenario, minimal: Template, transport: str) -> None:
    published = scenario.publish(minimal, private=False)
    workspace = scenario.tenant().provision(published, transport=transport)

    scenario.judge(boundary.bnd_7_without_a_token_no_credential_is_sent, workspace.look("provision"))


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
