"""The credential formats are loaded strictly, and their vectors are the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.credentials import ALPHABETS, expand, load_formats
from harness.contract.requirements import ContractProblem

GOOD = """\
[formats.acme-token]
title = "Acme token"
shape = "`acme_` and 8 letters"
words = ["acme"]
live = ['acme_{letters:8}']
harmless = ['acme_...']
"""


def test_every_format_of_the_first_revision_is_there() -> None:
    assert set(load_formats()) == {
        "github-token", "github-fine-grained-token", "gitlab-token", "anthropic-key", "openai-key", "slack-token",
        "aws-access-key", "google-api-key", "npm-token", "pypi-token", "huggingface-token", "sendgrid-key",
        "vercel-token", "perplexity-key", "stripe-key", "private-key", "database-url",
    }  # fmt: skip


def test_no_vector_is_there_twice() -> None:
    vectors = [vector for each in load_formats().values() for vector in (*each.live, *each.harmless)]

    assert len(set(vectors)) == len(vectors)


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("title", "name", "name"),
        ("words = ", "words = []\n#", "at least 1 item"),
        ("acme_...", "acme_{runes:8}", "no alphabet is called 'runes'"),
        ("acme_...", "", "at least 1 character"),
        ("acme-token", "Acme", "pattern"),
        ("[formats", "[formats", "Invalid|Expected|TOML"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    path = tmp_path / "credentials.toml"
    path.write_text(GOOD.replace(line, instead) if line != instead else GOOD + "[")

    with pytest.raises(ContractProblem, match=complaint):
        load_formats(path)


def test_a_template_gives_the_same_text_each_time_and_other_ones_other_texts() -> None:
    first, second = expand("a_{alnum:40}"), expand("b_{alnum:40}")

    assert first == expand("a_{alnum:40}")
    assert first.text == f"a_{first.drawn[0]}"
    assert first.drawn != second.drawn
    assert expand("a_{alnum:40}").text == "a_PnIMzfklVbG7flxPaTQIB7sRIFw1MOgg1LIFmbnI"


@pytest.mark.parametrize(("name", "alphabet"), ALPHABETS.items())
def test_each_character_of_an_alphabet_is_drawn(name: str, alphabet: str) -> None:
    (drawn,) = expand(f"{{{name}:2000}}").drawn

    assert len(drawn) == 2000
    assert set(drawn) == set(alphabet)


def test_a_character_stands_for_itself_and_other_braces_stay() -> None:
    assert expand("{x:3}{-:2} ${TOKEN} {} {alnum} {{ x }}") == ("xxx-- ${TOKEN} {} {alnum} {{ x }}", ())
