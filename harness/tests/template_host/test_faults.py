"""Each fault does to an answer what it says, as a client of the host sees it."""

from __future__ import annotations

import gzip
import io
import socket
import tarfile
import time
from collections.abc import Callable

import httpx
import pytest

from harness.templates import Template, TemplateFile
from harness.world.template_host import Misbehaviour, Repository, TemplateHost
from harness.world.template_host.elsewhere import OtherHost
from harness.world.template_host.faults import (
    GARBAGE,
    LOGIN_PAGE,
    AlteredTar,
    Bursts,
    CloseDelimited,
    Endless,
    FlippedByte,
    Instead,
    Redirect,
    Reset,
    ShortBody,
    TrailingGarbage,
    Watched,
    cut_between_members,
    flipped_in_a_file,
    flipped_in_a_header,
    for_the_archive,
    holds_a_pack,
    padded,
    with_a_credential,
    with_a_length_that_is_no_number,
    with_a_size_below_zero,
    with_a_size_that_is_no_number,
    without_the_last_member,
)

from .conftest import Git

RAW = "/acme/agent/raw/config.yaml"
ARCHIVE = "/acme/agent/archive/main.tar.gz"


@pytest.fixture
def repository(host: TemplateHost, agent: Template) -> Repository:
    repository = host.create_repository("acme/agent", private=False)
    repository.publish(agent)
    return repository


@pytest.fixture
def whole(repository: Repository) -> bytes:
    return repository.archive("main")


def names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return archive.getnames()


def differing(one: bytes, other: bytes) -> int:
    assert len(one) == len(other)
    return sum(left != right for left, right in zip(one, other, strict=True))


def test_content_that_goes_out_is_counted_and_not_altered(
    host: TemplateHost, api: httpx.Client, whole: bytes
) -> None:
    with host.intercept("acme/agent", Watched()) as watched:
        assert api.get(ARCHIVE.replace("/archive/", "/commits/")).status_code != 200
        assert watched.hits == 0
        assert api.get(ARCHIVE).content == whole
        assert watched.hits == 1


def test_garbage_is_behind_the_end(host: TemplateHost, api: httpx.Client, whole: bytes) -> None:
    with host.intercept("acme/agent", TrailingGarbage(only=for_the_archive)) as fault:
        answer = api.get(ARCHIVE)
    assert answer.content == whole + GARBAGE
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert fault.hits == 1


def test_one_byte_is_flipped(host: TemplateHost, api: httpx.Client, whole: bytes) -> None:
    with host.intercept("acme/agent", FlippedByte()):
        assert differing(api.get(ARCHIVE).content, whole) == 1


@pytest.mark.usefixtures("repository")
def test_an_answer_that_is_an_error_already_is_passed_on_and_not_counted(
    host: TemplateHost, api: httpx.Client
) -> None:
    with host.intercept("acme/agent", FlippedByte(times=1)) as fault:
        assert api.get("/acme/agent/raw/no-such-file").status_code == 404
        assert fault.hits == 0
        assert api.get(RAW).content != b"name: a\n"
        assert fault.hits == 1
        assert api.get(RAW).content == b"name: a\n"


@pytest.mark.usefixtures("repository")
def test_a_short_body_is_announced_whole(host: TemplateHost, api: httpx.Client) -> None:
    with (
        host.intercept("acme/agent", ShortBody()),
        pytest.raises(httpx.RemoteProtocolError, match=r"received 4 bytes, expected 8"),
    ):
        api.get(RAW)


def test_bursts_bring_the_whole_and_take_their_time(
    host: TemplateHost, api: httpx.Client, whole: bytes
) -> None:
    with host.intercept("acme/agent", Bursts(2, 0.1, only=for_the_archive)) as fault:
        began = time.monotonic()
        assert api.get(ARCHIVE).content == whole
        assert time.monotonic() - began >= 0.2
    assert fault.hits == 1


@pytest.mark.usefixtures("repository")
def test_a_reset_is_no_orderly_end(host: TemplateHost, api: httpx.Client) -> None:
    with host.intercept("acme/agent", Reset(times=1)), pytest.raises(httpx.ReadError):
        api.get(RAW)
    assert api.get(RAW).content == b"name: a\n"


def test_half_of_a_close_delimited_body_is_taken_for_the_whole(
    host: TemplateHost, api: httpx.Client, whole: bytes
) -> None:
    with host.intercept("acme/agent", CloseDelimited(only=for_the_archive)):
        answer = api.get(ARCHIVE)
    assert answer.content == whole[: len(whole) // 2]
    assert not answer.headers.keys() & {"content-length", "transfer-encoding"}


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("fault", "complaint"), [(ShortBody, "transfer closed"), (Reset, "reset by peer"), (FlippedByte, "")]
)
def test_the_pack_alone_is_damaged(
    host: TemplateHost, git: Git, fault: Callable[..., Misbehaviour], complaint: str
) -> None:
    with host.intercept("acme/agent", fault(concerns=holds_a_pack)) as damaged:
        assert git("ls-remote", host.clone_url("acme/agent")).returncode == 0
        assert damaged.hits == 0
        cloned = git("clone", host.clone_url("acme/agent"), "clone")
    assert cloned.returncode != 0
    assert complaint in cloned.stderr
    assert damaged.hits == 1


def test_an_archive_is_cut_between_two_members(host: TemplateHost, api: httpx.Client, whole: bytes) -> None:
    with host.intercept("acme/agent", AlteredTar(cut_between_members)):
        cut = gzip.decompress(api.get(ARCHIVE).content)
    assert gzip.decompress(whole).startswith(cut)
    assert names(gzip.compress(cut)) == names(whole)[:-1]
    assert cut[-512:] != bytes(512)


def test_an_archive_lacks_its_last_member_and_is_sound(
    host: TemplateHost, api: httpx.Client, whole: bytes
) -> None:
    with host.intercept("acme/agent", AlteredTar(without_the_last_member)):
        lacking = api.get(ARCHIVE).content
    assert names(lacking) == names(whole)[:-1]
    assert gzip.decompress(lacking)[-1024:] == bytes(1024)


@pytest.mark.parametrize("flip", [flipped_in_a_header, flipped_in_a_file])
def test_one_byte_is_flipped_inside_sound_packing(
    host: TemplateHost, api: httpx.Client, whole: bytes, flip: Callable[[bytes], bytes]
) -> None:
    with host.intercept("acme/agent", AlteredTar(flip)):
        plain = gzip.decompress(api.get(ARCHIVE).content)
    assert differing(plain, gzip.decompress(whole)) == 1
    # A reader of archives takes a broken header for the end, and a broken body for what was meant.
    expected = names(whole)[:-1] if flip is flipped_in_a_header else names(whole)
    assert names(gzip.compress(plain)) == expected


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (with_a_size_that_is_no_number, b"13 size=many\n"),
        (with_a_length_that_is_no_number, b"xx size=many\n"),
        (with_a_size_below_zero, b"\xff" * 12),
    ],
)
def test_the_last_members_header_lies_inside_sound_packing(
    host: TemplateHost, api: httpx.Client, whole: bytes, lie: Callable[[bytes], bytes], said: bytes
) -> None:
    with host.intercept("acme/agent", AlteredTar(lie)):
        plain = gzip.decompress(api.get(ARCHIVE).content)
    sound = gzip.decompress(whole)
    before = cut_between_members(sound)
    assert plain.startswith(before)
    assert plain.endswith(sound[len(before) + 512 :])
    assert plain.count(said) == 1


def test_a_bomb_is_the_archive_with_a_thousand_times_its_size_behind_it(whole: bytes) -> None:
    zeros = 64 << 20
    bomb = padded(whole, zeros)
    assert len(bomb) < zeros // 900
    assert gzip.decompress(bomb) == gzip.decompress(whole) + bytes(zeros)
    assert names(bomb) == names(whole)


@pytest.mark.usefixtures("repository")
def test_a_login_page_comes_with_status_200(host: TemplateHost, api: httpx.Client) -> None:
    with host.intercept("acme/agent", Instead.a_login_page()):
        answer = api.get(ARCHIVE)
    assert (answer.status_code, answer.content) == (200, LOGIN_PAGE)
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.usefixtures("repository")
def test_an_endless_answer_ends_with_the_client_alone(host: TemplateHost, api: httpx.Client) -> None:
    received = 0
    with host.intercept("acme/agent", Endless()), api.stream("GET", RAW) as answer:
        for piece in answer.iter_raw():
            received += len(piece)
            if received > 20 << 20:
                break
    assert received > 20 << 20


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("location", [None, "file:///etc/passwd", "http://198.51.100.1/elsewhere"])
def test_a_redirect_leads_where_it_says_or_round_in_a_circle(
    host: TemplateHost, api: httpx.Client, location: str | None
) -> None:
    with host.intercept("acme/agent", Redirect(location)):
        answer = api.get(RAW)
    assert answer.status_code == 302
    assert answer.headers["Location"] == (location or str(answer.request.url))


@pytest.mark.usefixtures("repository")
def test_a_fault_may_wait_for_a_credential(host: TemplateHost, api: httpx.Client) -> None:
    token = host.issue_token("acme")
    with host.intercept("acme/agent", Redirect(only=with_a_credential)):
        assert api.get(RAW).status_code == 200
        assert api.get(RAW, headers={"Authorization": f"token {token}"}).status_code == 302


def test_another_host_asks_for_a_credential_and_remembers_what_was_brought() -> None:
    with OtherHost() as other, httpx.Client(trust_env=False, verify=False) as client:
        answer = client.get(f"{other.url}/a/path?q=1", headers={"Authorization": "token secret"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        (request,) = other.requests
        port = int(other.url.rpartition(":")[2])
    assert (request.path, request.query, request.authorization) == ("/a/path", "q=1", "token secret")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_paths_that_git_refuses_are_published_literally(host: TemplateHost, agent: Template) -> None:
    repository = host.create_repository("acme/hostile", private=False)
    parent = repository.publish(agent)
    paths = ["prompts/../../x", "/etc/x", "a/.git/hooks/x", "twice", "twice"]
    commit = repository.publish_literally(
        [(path, TemplateFile(b"%d" % n, "755")) for n, path in enumerate(paths)]
    )
    listed = repository.tree(repository.find_tree(commit) or "", recursive=True)
    assert sorted(entry.path for entry in listed if entry.kind == "blob") == sorted(paths)
    assert {entry.mode for entry in listed if entry.kind == "blob"} == {"100755"}
    assert repository.commit("main") == commit != parent
