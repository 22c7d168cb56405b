"""What all transports must carry, and refuse, alike; whole boots against the template host."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable

import pytest
from werkzeug import Request, Response

from harness.templates import Template, TemplateFile, TemplateLink, TemplateSubmodule
from harness.world.template_host import Misbehaviour

from .conftest import World, skill, template

TRANSPORTS = ("git", "archive", "object")


class Alter(Misbehaviour):
    """Answers with what a function makes of the whole body."""

    def __init__(self, change: Callable[[bytes], bytes], path: str) -> None:
        super().__init__(only=lambda request: path in request.path)
        self._change = change

    def misbehave(self, request: Request, proceed: Callable[[], Response]) -> Response:
        answer = proceed()
        body: Iterable[bytes] = answer.iter_encoded()
        changed = self._change(b"".join(body))
        answer.close()
        return Response(changed, 200, content_type=answer.content_type)


class Redirect(Misbehaviour):
    def __init__(self, location: str) -> None:
        super().__init__()
        self._location = location

    def misbehave(self, request: Request, proceed: Callable[[], Response]) -> Response:
        return Response("elsewhere", 302, headers={"Location": self._location or request.url})


@pytest.fixture(params=TRANSPORTS)
def any_transport(request: pytest.FixtureRequest, world: World) -> World:
    world.orders["transport"] = request.param
    return world


@pytest.fixture
def archived(world: World) -> World:
    world.orders["transport"] = "archive"
    return world


ODD = template().with_entries(
    {
        "prompts/bom.md": TemplateFile(b"\xef\xbb\xbfbom\r\n"),
        "prompts/é/ naïve 🙂.md": TemplateFile(b"unicode name"),
        "prompts/binary.bin": TemplateFile(bytes(range(256)) * 300),
        "prompts/" + "long/" * 12 + "x" * 150: TemplateFile(b"long path"),
        "agent-skills/audit/tool": TemplateFile(b"#!/bin/sh\n", "755"),
        **skill("unused"),
    }
)


def test_every_file_arrives_byte_for_byte_with_its_mode(any_transport: World) -> None:
    world = any_transport
    world.publish(ODD)
    report = world.boot()
    assert report["outcome"] == "ready", report
    assert report["delivered"] == {"files": len(ODD.asset_set()), "digest": ODD.digest()}
    assert report["fetched"]["bytes"] > 0
    for path, file in ODD.asset_set().items():
        assert (world.configs / path).read_bytes() == file.content, path


def test_attributes_of_the_template_alter_and_drop_nothing(any_transport: World) -> None:
    odd = template().with_entries(
        {
            ".gitattributes": TemplateFile(
                b"*.md text eol=crlf\nprompts/hidden.md export-ignore\nprompts/s.txt export-subst\n"
            ),
            "prompts/hidden.md": TemplateFile(b"hidden\n"),
            "prompts/s.txt": TemplateFile(b"$Format:%H$\n"),
        }
    )
    any_transport.publish(odd)
    report = any_transport.boot()
    assert (report["outcome"], report["delivered"]["digest"]) == ("ready", odd.digest())


@pytest.mark.parametrize(
    ("ref", "commit"), [("main", 1), ("v1", 0), ("annotated", 0), ("topic/one", 0), ("0", 0)]
)
def test_branches_tags_and_commit_ids_resolve(any_transport: World, ref: str, commit: int) -> None:
    world = any_transport
    first = world.publish(template())
    world.repository.tag("v1", first)
    world.repository.tag("annotated", first, message="one")
    world.repository.branch("topic/one", first)
    commits = (first, world.publish(template().with_file("prompts/second.md", "second")))
    world.identity = f"acme/helper@{ref if ref != '0' else first}"
    assert world.boot()["commit"] == commits[commit]


@pytest.mark.parametrize(
    ("entries", "code", "named"),
    [
        ({"prompts/link.md": TemplateLink("/etc/passwd")}, "entry-link", "prompts/link.md"),
        ({"agent-skills/sub": TemplateSubmodule("1" * 40)}, "entry-submodule", "agent-skills/sub"),
        (
            {
                "prompts/big.bin": TemplateFile(
                    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
                )
            },
            "entry-lfs-pointer",
            "prompts/big.bin",
        ),
        (
            {"prompts/A.md": TemplateFile(b"1"), "prompts/a.md": TemplateFile(b"2")},
            "path-collision",
            "prompts/",
        ),
        ({"prompts/new\nline.md": TemplateFile(b"1")}, "path-control-character", "line.md"),
        ({"prompts/back\\slash.md": TemplateFile(b"1")}, "path-backslash", "slash.md"),
        ({"prompts/" + "d/" * 40 + "x": TemplateFile(b"1")}, "fetch-limit-depth", "prompts/d/d"),
        ({"config.yaml": TemplateFile(b"a: [unclosed")}, "config-unparsable", "config.yaml"),
        ({"config.yaml": TemplateFile(b"name: x\nskills: null\n")}, "skills-null", "skills"),
    ],
)
def test_what_must_be_refused_is_refused_by_name(
    any_transport: World, entries: dict[str, TemplateFile], code: str, named: str
) -> None:
    world = any_transport
    world.publish(template().with_entries(entries))
    with world.machine() as machine:
        assert machine.wait() == 1
    error = world.report()["error"]
    assert error["code"] == code, error
    assert named in error["message"]
    if code != "skills-null":
        assert list(world.configs.iterdir()) == []


def test_a_template_without_a_config_is_refused(any_transport: World) -> None:
    any_transport.publish(template().without("config.yaml"))
    with any_transport.machine() as machine:
        assert machine.wait() == 1
    assert any_transport.report()["error"]["code"] == "config-missing"


def test_an_unknown_ref_and_an_unknown_template_are_told_apart(any_transport: World) -> None:
    world = any_transport
    world.set_token(world.templates.issue_token("acme"))
    world.publish(template())
    codes = []
    for identity in ("acme/helper@nowhere", "acme/nothing@main", f"acme/helper@{'0' * 39}1"):
        world.identity = identity
        with world.machine() as machine:
            assert machine.wait() == 1
        codes.append(world.report()["error"]["code"])
    assert codes == ["ref-not-found", "template-not-found", "ref-not-found"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"bytes": 1000}, "fetch-limit-bytes"),
        ({"entries": 5}, "fetch-limit-entries"),
        ({"path_length": 20}, "fetch-limit-path-length"),
        ({"depth": 2}, "fetch-limit-depth"),
    ],
)
def test_each_bound_is_an_error_that_names_it(
    any_transport: World, limits: dict[str, int], code: str
) -> None:
    any_transport.orders["fetch_limits"] = limits
    any_transport.publish(template().with_file("prompts/some.md", bytes(range(250)) * 10))
    with any_transport.machine() as machine:
        assert machine.wait() == 1
    assert any_transport.report()["error"]["code"] == code


def test_an_expansion_beyond_the_ratio_is_refused(archived: World) -> None:
    archived.orders["fetch_limits"] = {"ratio": 10}
    archived.publish(template().with_file("prompts/zeros.bin", bytes(10 << 20)))
    with archived.machine() as machine:
        assert machine.wait() == 1
    assert archived.report()["error"]["code"] == "fetch-limit-ratio"


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/", "file:///etc/passwd", ""])
def test_no_redirect_leads_away_or_round_in_circles(any_transport: World, location: str) -> None:
    world = any_transport
    world.publish(template())
    with world.templates.intercept("acme/helper", Redirect(location)), world.machine() as machine:
        assert machine.wait() == 1
    assert world.report()["error"]["code"] in ("fetch-limit-redirects", "template-host-error")


def test_html_in_an_answer_is_refused_by_name(any_transport: World) -> None:
    world = any_transport
    world.publish(template())
    html = Alter(lambda _: b"<html>please log in</html>", "/")
    with world.templates.intercept("acme/helper", html), world.machine() as machine:
        assert machine.wait() == 1
    assert world.report()["error"]["code"] == "template-host-error"


def _without_one_member(body: bytes) -> bytes:
    return _repacked(body, lambda name: not name.endswith("review/SKILL.md"))


def _repacked(body: bytes, keep: Callable[[str], bool]) -> bytes:
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(body)) as source,
        tarfile.open(fileobj=target, mode="w:gz", format=tarfile.PAX_FORMAT) as packed,
    ):
        for member in source:
            if keep(member.name):
                packed.addfile(member, source.extractfile(member))
    return target.getvalue()


def _cut_at_a_member(body: bytes) -> bytes:
    plain = gzip.decompress(body)
    return gzip.compress(plain[: plain.rindex(b"\x00ustar\x0000", 0, len(plain) * 3 // 4) - 256])


def _with_a_broken_header(body: bytes) -> bytes:
    plain = bytearray(gzip.decompress(body))
    plain[plain.rindex(b"ustar\x0000") - 100] ^= 1
    return gzip.compress(bytes(plain))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body[: len(body) // 2], "archive-corrupt"),
        (lambda body: body + b"trailing garbage", "archive-overlong"),
        (lambda body: body + body, "archive-overlong"),
        (lambda body: body[:-8] + bytes(8), "archive-corrupt"),
        (lambda body: b"<html>please log in</html>", "archive-corrupt"),
        (_cut_at_a_member, "archive-corrupt"),
        (_with_a_broken_header, "archive-corrupt"),
        (_without_one_member, "archive-corrupt"),
    ],
    ids=["cut", "garbage", "second", "checksum", "html", "cut-at-member", "header", "member-missing"],
)
def test_a_corrupt_archive_is_refused_and_no_skill_is_lost(
    archived: World, change: Callable[[bytes], bytes], code: str
) -> None:
    archived.publish(template())
    with (
        archived.templates.intercept("acme/helper", Alter(change, "/archive/")) as altered,
        archived.machine() as machine,
    ):
        assert machine.wait() == 1
    assert altered.hits == 1
    assert archived.report()["error"]["code"] == code
    assert list(archived.configs.iterdir()) == []


def test_a_listing_that_lacks_a_page_is_refused(archived: World) -> None:
    def shorter(body: bytes) -> bytes:
        answer = json.loads(body)
        answer["tree"].pop()
        answer["total_count"] -= 1
        return json.dumps(answer).encode()

    archived.publish(template())
    with (
        archived.templates.intercept("acme/helper", Alter(shorter, "/git/trees/")),
        archived.machine() as machine,
    ):
        assert machine.wait() == 1
    assert archived.report()["error"]["code"] == "digest-mismatch"


def test_a_listing_of_many_pages_is_read_whole(archived: World) -> None:
    many = Template(
        {**template().entries, **{f"prompts/{n:05}.md": TemplateFile(b"%d" % n) for n in range(2100)}}
    )
    archived.publish(many)
    assert archived.boot()["delivered"]["digest"] == many.digest()
