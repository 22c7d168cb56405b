"""What is packed is found: in every format, damaged, cut, joined, in each other, and wherever in a stream it begins."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import random
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.oracle import unpack
from harness.oracle.unpack import MAX_DEPTH, base64_runs, streams

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SECRET = b"the secret that must be found"
NOISE = random.Random(3).randbytes(20_000)
Packer = Callable[[bytes], bytes]


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "inner.txt") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("first.txt", b"what comes first")
        archive.writestr(name, content)
    return packed.getvalue()


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("inner.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def pdf(content: bytes) -> bytes:
    stream = zlib.compress(content)
    return (
        b"%%PDF-1.4\n1 0 obj\n<< /Length 3 >>\nstream\nabc\nendstream\nendobj\n"
        b"2 0 obj\n<< /Filter /FlateDecode /Length %d >>\nstream\r\n%s\nendstream\nendobj\n%%%%EOF\n"
    ) % (len(stream), stream)


def loose_object(content: bytes) -> bytes:
    return zlib.compress(b"blob %d\0" % len(content) + content, 1)


PACKERS: dict[str, Packer] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zlib": zlib.compress,
    "zip": zipped,
    "zip, stored": lambda content: zipped(content, zipfile.ZIP_STORED),
    "zip, bzip2": lambda content: zipped(content, zipfile.ZIP_BZIP2),
    "zip, lzma": lambda content: zipped(content, zipfile.ZIP_LZMA),
    "tar": tarred,
    "PDF": pdf,
    "a loose git object": loose_object,
    "base64": base64.b64encode,
    "URL-safe base64": base64.urlsafe_b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 in the lines of a JSON text": lambda content: base64.encodebytes(content).replace(b"\n", b"\\n"),
}
ANYWHERE = [name for name in PACKERS if name not in ("zlib", "tar", "PDF", "a loose git object")]


def unpacked(content: bytes) -> str | None:
    """Where the secret is, if it is anywhere."""
    return next((where for stream, where in streams(content, "here") if SECRET in stream), None)


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", PACKERS)
def test_a_secret_is_found_in(inner: str, outer: str) -> None:
    content = PACKERS[outer](PACKERS[inner](NOISE[:100] + SECRET + NOISE[:100]))

    assert unpacked(content) is not None


@pytest.mark.parametrize("packer", ANYWHERE)
def test_it_is_found_behind_other_content(packer: str) -> None:
    assert (
        unpacked(b"#!/bin/sh\nexec unpack <<.\n" + PACKERS[packer](SECRET + NOISE[:300]) + b"\n.\n")
        is not None
    )


@pytest.mark.parametrize("packer", PACKERS)
def test_what_was_cut_gives_its_beginning(packer: str) -> None:
    # bzip2 gives a block of 900 kB only when all of it is there.
    content = PACKERS[packer](SECRET + random.Random(4).randbytes(1_500_000))

    assert unpacked(content[: len(content) * 2 // 3]) is not None


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd", "zlib", "zip", "PDF"])
def test_what_is_damaged_gives_what_is_before(packer: str) -> None:
    content = bytearray(PACKERS[packer](SECRET + random.Random(4).randbytes(1_500_000)))
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)

    assert unpacked(bytes(content)) is not None


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd"])
def test_streams_on_end_are_all_read(packer: str) -> None:
    pack = PACKERS[packer]

    assert unpacked(pack(NOISE) + pack(b"between") + pack(SECRET)) is not None


def test_a_secret_over_two_streams_on_end_is_found() -> None:
    assert unpacked(gzip.compress(SECRET[:9]) + gzip.compress(SECRET[9:])) is not None


def test_the_names_of_a_zips_members_are_searched() -> None:
    assert unpacked(zipped(b"", name=f"logs/{SECRET.decode()}.txt")) is not None


def test_a_zip_behind_a_zip_is_found_by_its_member() -> None:
    assert unpacked(zipped(NOISE) + zipped(SECRET)) == "here > zip:inner.txt"


def git(repository: Path, *words: str, given: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
        input=given, capture_output=True, check=True,
    ).stdout  # fmt: skip


def test_a_secret_in_the_history_of_a_repository_is_found(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    file = tmp_path / "config.yaml"
    common = "".join(f"line {number} of a long file that hardly changes\n" for number in range(200))
    for text in (common, common + SECRET.decode(), common + "nothing\n"):
        file.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "A change")
    loose = [path.read_bytes() for path in tmp_path.glob(".git/objects/??/*")]
    git(tmp_path, "repack", "-qadf")
    (pack,) = (path.read_bytes() for path in tmp_path.glob(".git/objects/pack/*.pack"))
    thin = git(tmp_path, "pack-objects", "--stdout", "--thin", "--revs", given=b"HEAD~1\n^HEAD~2\n")
    git(tmp_path, "bundle", "create", "-q", "all", "HEAD")

    assert any(unpacked(each) for each in loose)
    assert unpacked(pack) == "here > git pack"
    assert unpacked(thin) == "here > git pack"
    assert unpacked((tmp_path / "all").read_bytes()) == "here > git pack"


def test_it_goes_so_deep_and_no_deeper() -> None:
    content = SECRET
    for _ in range(MAX_DEPTH):
        content = gzip.compress(content)

    assert unpacked(content) is not None
    assert unpacked(gzip.compress(content)) is None


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd", "zip", "zlib"])
def test_a_bomb_is_unpacked_as_far_as_the_budget_goes(packer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = 1 << 20
    monkeypatch.setattr(unpack, "MEMBER_BUDGET", budget)
    bomb = PACKERS[packer](bytes(20 * budget))

    assert sum(len(stream) for stream, _ in streams(bomb, "here")) == len(bomb) + budget


def test_the_place_names_every_layer() -> None:
    assert (
        unpacked(gzip.compress(zipped(base64.b64encode(SECRET * 2))))
        == "here > gzip > zip:inner.txt > base64 run"
    )


def test_noise_has_hardly_anything_in_it() -> None:
    noise = random.Random(7).randbytes(3_000_000)

    assert sum(len(stream) for stream, _ in streams(noise, "here")) < len(noise) * 1.01


def test_every_run_of_base64_is_found_wherever_it_begins_and_ends() -> None:
    whole = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
    some = random.Random(5)
    for _ in range(300):
        content = b"".join(
            bytes(some.choices(b"AZaz09+/_-", k=some.choice((3, 38, 39, 40, 41, 57))))
            + bytes(some.choices(b"=.", k=some.randrange(4)))
            for _ in range(some.randrange(1, 8))
        )
        assert list(base64_runs(content)) == whole.findall(content), content


@pytest.mark.parametrize("fold", ["\n", "\r\n", "\n    ", "\\n", "\\r\\n"])
def test_a_run_in_lines_is_one(fold: str) -> None:
    text = base64.b64encode(NOISE[:1000]).decode()
    lines = fold.join(text[at : at + 76] for at in range(0, len(text), 76))

    (run,) = base64_runs(f'"{lines}"'.encode())
    assert run == text.rstrip("=").encode()
