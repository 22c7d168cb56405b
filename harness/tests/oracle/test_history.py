"""What a volume has to hold follows from what happened to it."""

from __future__ import annotations

from harness.oracle.history import History
from harness.oracle.seen import Contest
from harness.templates.model import Template, TemplateFile

PROMPT, OWN = "prompts/a.md", "prompts/mine.md"


def template(**files: bytes) -> Template:
    return Template({f"prompts/{name}.md": TemplateFile(content) for name, content in files.items()})


def delivered(first: Template) -> History:
    return History().booted(first, lambda _: None)


def test_an_edit_stays_as_long_as_the_template_leaves_it_alone() -> None:
    history = delivered(template(a=b"1")).edited(PROMPT, b"mine")

    assert history.kept(template(a=b"1", b=b"new")) == {PROMPT: b"mine"}
    assert not history.contests(template(a=b"1", b=b"new"))


def test_an_edit_that_the_template_changes_too_is_a_contest_and_its_outcome_an_edit() -> None:
    history = delivered(template(a=b"1")).edited(PROMPT, b"mine")
    second = template(a=b"2")

    assert history.contests(second) == {PROMPT: Contest(b"1", b"mine", b"2")}
    settled = history.booted(second, {PROMPT: b"mine and 2"}.get)
    assert settled.kept(second) == {PROMPT: b"mine and 2"}
    assert not settled.contests(second)
    assert settled.contests(template(a=b"3")) == {PROMPT: Contest(b"2", b"mine and 2", b"3")}


def test_an_edit_that_the_template_comes_to_agree_with_is_none() -> None:
    history = delivered(template(a=b"1")).edited(PROMPT, b"2")
    second = template(a=b"2")

    assert not history.kept(second)
    assert not history.contests(second)
    assert not history.booted(second, lambda _: None).edits


def test_an_edited_file_that_is_removed_upstream_is_the_users_alone() -> None:
    history = delivered(template(a=b"1", b=b"1")).edited(PROMPT, b"mine")

    assert history.removed(template()) == (["prompts/b.md"], [PROMPT])
    after = history.booted(template(), lambda _: None)
    assert after.kept(template()) == {PROMPT: b"mine"}
    assert after.added() == [PROMPT]
    assert after.contests(template(a=b"3")) == {PROMPT: Contest(None, b"mine", b"3")}


def test_what_is_damaged_or_lost_is_no_edit_any_more() -> None:
    history = delivered(template(a=b"12")).edited(PROMPT, b"mine").edited(OWN, b"mine")

    assert not history.damaged(PROMPT, b"1").kept(template(a=b"12")).get(PROMPT)
    assert history.damaged(PROMPT, b"1").to_repair(template(a=b"12")) == {PROMPT: b"1"}
    assert not history.damaged(PROMPT, b"1").to_repair(template())
    assert history.lost("prompts").edits == {}
    assert history.lost(OWN).kept(template(a=b"12")) == {PROMPT: b"mine"}


def test_a_boot_that_took_nothing_in_repairs_and_forgets_nothing() -> None:
    history = delivered(template(a=b"12")).edited(OWN, b"mine").damaged(PROMPT, b"1").forgotten()

    tried = history.tried()

    assert not tried.damage
    assert tried.kept(template(a=b"12")) == {OWN: b"mine"}
    assert not tried.base_is_known
    assert tried.booted(template(a=b"12"), lambda _: None).base_is_known
