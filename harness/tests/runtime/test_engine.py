"""No engine, or one out of reach, is said in a sentence and at once."""

from __future__ import annotations

import time

import pytest

from harness.runtime import engine
from harness.runtime.base import RuntimeUnavailable
from harness.runtime.reach import Reach, find_reach
from harness.runtime.sweep import sweep

REFUSED = [
    ("unix:///no/such/socket", "No such file"),
    ("tcp://127.0.0.1:9", "Connection refused"),
    ("tcp://host.invalid:2375", "host.invalid"),
]


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_an_engine_that_does_not_answer_is_named_with_the_ways_out(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)

    began = time.monotonic()
    said = engine.engine_available()

    assert said is not None
    assert time.monotonic() - began < 2
    assert address.partition("://")[2] in said
    assert reason in said
    assert "process runtime" in said
    assert "\n" not in said


def test_an_engine_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "nonsense://nowhere")

    assert "nonsense" in str(engine.engine_available())


def test_a_sweep_works_without_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")

    assert sweep(run="nosuchrun") == []


def test_where_the_network_ends_here_machines_and_harness_reach_each_other_directly() -> None:
    assert find_reach("127.0.0.1", "127.0.0.1", None) == Reach("127.0.0.1", "127.0.0.1", "127.0.0.1", None)


def test_behind_docker_desktop_ports_are_published_on_this_computer_only() -> None:
    reach = find_reach("203.0.113.1", "127.0.0.1", None)

    assert reach == Reach("127.0.0.1", "host.docker.internal", "host-gateway", "127.0.0.1")
    assert reach.binding == ("127.0.0.1",)


def test_an_engine_elsewhere_needs_to_be_told_the_way_back() -> None:
    with pytest.raises(RuntimeUnavailable, match="--advertise-host"):
        find_reach("203.0.113.1", "engine.example", None)

    reach = find_reach("203.0.113.1", "engine.example", "198.51.100.7")

    assert reach.advertise_host == "198.51.100.7"
    assert reach.binding is None
