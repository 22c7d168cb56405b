"""Which names of templates are well formed, and which part of the others is blamed (CHN-2)."""

from __future__ import annotations

import pytest

from harness.reference.identity import Identity, IdentityError


@pytest.mark.parametrize(
    "text",
    [
        "acme/helper@main",
        "a/b@v1.2.3",
        "Acme_1/my.template-2@feature/some-thing",
        "acme/helper@" + "0" * 40,
        "acme/helper@ünï",
    ],
)
def test_a_well_formed_identity_reads_and_prints_the_same(text: str) -> None:
    assert str(Identity.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "owner"),
        ("/helper@main", "owner"),
        ("../helper@main", "owner"),
        ("-acme/helper@main", "owner"),
        ("ac me/helper@main", "owner"),
        ("ac\nme/helper@main", "owner"),
        (".acme/helper@main", "owner"),
        ("a" * 101 + "/helper@main", "owner"),
        ("helper@main", "repository"),
        ("acme/@main", "repository"),
        ("acme/..@main", "repository"),
        ("acme/-helper@main", "repository"),
        ("acme/help/er@main", "repository"),
        ("acme/helper.lock@main", "repository"),
        ("acme/helper.git@main", "repository"),
        ("acme/hel\x00per@main", "repository"),
        ("https://host/acme/helper@main", "owner"),
        ("acme/helper", "ref"),
        ("acme/helper@", "ref"),
        ("acme/helper@main@other", "ref"),
        ("acme/helper@-main", "ref"),
        ("acme/helper@--upload-pack=x", "ref"),
        ("acme/helper@a..b", "ref"),
        ("acme/helper@../main", "ref"),
        ("acme/helper@ma in", "ref"),
        ("acme/helper@main\n", "ref"),
        ("acme/helper@ma\x7fin", "ref"),
        ("acme/helper@\ud800", "ref"),
        ("acme/helper@a.lock", "ref"),
        ("acme/helper@a.lock/b", "ref"),
        ("acme/helper@.hidden", "ref"),
        ("acme/helper@a/.hidden", "ref"),
        ("acme/helper@/main", "ref"),
        ("acme/helper@main/", "ref"),
        ("acme/helper@a//b", "ref"),
        ("acme/helper@main.", "ref"),
        ("acme/helper@a~1", "ref"),
        ("acme/helper@a^", "ref"),
        ("acme/helper@a:b", "ref"),
        ("acme/helper@a?", "ref"),
        ("acme/helper@a*", "ref"),
        ("acme/helper@a[b", "ref"),
        ("acme/helper@a\\b", "ref"),
        ("acme/helper@" + "r" * 256, "ref"),
    ],
)
def test_a_malformed_identity_is_refused_and_the_part_is_named(text: str, part: str) -> None:
    with pytest.raises(IdentityError) as refused:
        Identity.parse(text)
    assert refused.value.part == part
    assert part in str(refused.value)


def test_only_a_full_commit_id_is_pinned() -> None:
    assert Identity.parse("acme/helper@" + "a" * 40).pinned
    assert not Identity.parse("acme/helper@" + "a" * 39).pinned
    assert not Identity.parse("acme/helper@main").pinned
