"""The keeper serves who knows the token, its own run's volumes, and many requests on one connection."""

from __future__ import annotations

import errno
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.runtime.keeper import Keeper, Tree
from harness.runtime.volume import KeeperClient, KeptVolume

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "secret"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    for name in ("cf-run-mine", "cf-other-theirs"):
        (tmp_path / name / "_data").mkdir(parents=True)
        (tmp_path / name / "_data" / "file").write_text(name)
    with Keeper(("127.0.0.1", 0), str(tmp_path), "cf-run-", TOKEN) as keeper:
        thread = Thread(target=keeper.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ("127.0.0.1", keeper.server_port)
        keeper.shutdown()
        thread.join()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[KeeperClient]:
    made = KeeperClient(f"http://{address[0]}:{address[1]}", TOKEN)
    yield made
    made.close()


def test_without_the_token_nothing_is_served(address: tuple[str, int]) -> None:
    stranger = KeeperClient(f"http://{address[0]}:{address[1]}", "guess")

    with pytest.raises(httpx.HTTPStatusError, match="401"):
        KeptVolume(stranger, "cf-run-mine").read("file")

    stranger.close()


@pytest.mark.parametrize(
    "name", ["cf-other-theirs", "cf-run-mine/../../cf-other-theirs", "cf-run-/../cf-other-theirs"]
)
def test_no_volume_of_another_run_is_served(client: KeeperClient, name: str) -> None:
    volume = KeptVolume(client, name)

    with pytest.raises(PermissionError, match="not a volume of this run"):
        volume.read("file")
    with pytest.raises(PermissionError, match="not a volume of this run"):
        list(volume.files())


def test_nothing_is_copied_into_a_volume_of_another_run(client: KeeperClient, tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        client.copy("cf-run-mine", "cf-other-theirs")

    assert (tmp_path / "cf-other-theirs" / "_data" / "file").read_text() == "cf-other-theirs"


def test_only_the_verbs_of_a_volume_are_served(client: KeeperClient) -> None:
    with pytest.raises(OSError, match="no such verb"):
        client.call("_remove", "cf-run-mine", {"directory": 0, "name": "file"})


def test_a_refusal_after_a_stream_on_the_same_connection_is_told(client: KeeperClient) -> None:
    volume = KeptVolume(client, "cf-run-mine")

    assert dict(volume.files()) == {"file": b"cf-run-mine"}
    with pytest.raises(FileNotFoundError, match="absent"):
        volume.read("absent")
    assert volume.read("file") == b"cf-run-mine"


def test_a_stream_that_breaks_off_is_not_taken_for_a_whole_one(
    client: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(self: Tree, under: str) -> Iterator[tuple[str, bytes]]:
        yield "file", b"content"
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(Tree, "files", files)

    with pytest.raises(OSError, match="broke off"):
        list(KeptVolume(client, "cf-run-mine").files())
