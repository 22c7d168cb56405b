"""Text from elsewhere is shown bounded, and with no secret in it; what helps its reader stays."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import pytest

from harness.reference.provisioner.problems import MAX_TEXT, bounded
from harness.reference.provisioner.redaction import blank


@pytest.mark.parametrize(
    "text",
    [
        "fatal: could not read from https://oauth2:hunter2hunter2@templates.example/a/b.git",
        "Authorization: Bearer hunter2hunter2abcdef",
        "Authorization: token hunter2hunter2abcdef",
        "GET /?X-Amz-Security-Token=hunter2hunter2&x=1",
        '{"db_password": "hunter2hunter2"}',
        "password=hunter2hunter2",
        "using ghp_hunter2hunter2",
        "key sk-ant-api03-hunter2hunter2",
    ],
)
def test_what_looks_like_a_credential_is_blanked(text: str) -> None:
    assert "hunter2" not in bounded(text)
    assert "[redacted]" in bounded(text)


@pytest.mark.parametrize(
    "text",
    [
        "the secret molecule/tenant/acme/bootstrap does not exist",
        "secret: molecule/tenant/acme/bootstrap",
        "the token authorised another tenant",
        "template acme/helper@main: ref not found on http://templates.example",
        "field template_repo_token is missing",
    ],
)
def test_what_names_the_cause_stays(text: str) -> None:
    assert bounded(text) == text


def test_long_text_is_cut_with_a_mark_and_control_characters_are_spaces() -> None:
    assert bounded("a\x1b[31m\nb\x00") == "a [31m b "
    assert len(bounded("x" * 10_000)) == MAX_TEXT
    assert bounded("x" * 10_000).endswith("…")


@pytest.mark.parametrize("lead", ["", "a", "ab", "abc"])
def test_a_known_value_is_blanked_in_every_form_it_is_printed_in(lead: str) -> None:
    value = 'päss"word+of/acme'
    forms = [
        value,
        quote(value, safe=""),
        value.encode().hex(),
        b64encode(f"{lead}{value}".encode()).decode(),
        b64encode(f"{lead}{value} and more".encode()).decode(),
        repr(value),
    ]
    for form in forms:
        blanked = blank(f"before {form} after", [value])
        assert "[redacted]" in blanked
        assert value not in blanked
        assert form not in blanked
