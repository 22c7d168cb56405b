"""The object transport: what the boot agent makes of a bucket that errs, and what it asks of one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.templates import TemplateFile
from harness.world.aws import AwsGateway
from harness.world.template_host import Fail

from .conftest import BUCKET, World, template

GET = "s3:GetObject"
ERROR = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
HTML = b"<html>please log in</html>"


@pytest.fixture
def world(world: World) -> World:
    world.orders = {"transport": "object", "fetch_limits": {"retries": 1}}
    return world


def fetches(world: World) -> list[str | None]:
    """The ranges that the machine asked for."""
    return [call.parameters.get("Range") for call in world.aws.calls.find(GET, principal="assumed-role/*")]


@pytest.mark.parametrize(
    ("fault", "code", "tries"),
    [
        (lambda aws: aws.faults.fail(GET, "NoSuchKey", status=404), "artifact-missing", 1),
        (lambda aws: aws.faults.deny(GET), "artifact-denied", 1),
        (lambda aws: aws.faults.fail(GET, "PreconditionFailed", status=412), "artifact-replaced", 1),
        (lambda aws: aws.faults.fail(GET, "InvalidRequest"), "object-store-error", 1),
        (lambda aws: aws.faults.throttle(GET), "object-store-unavailable", 2),
        (lambda aws: aws.faults.alter(GET, lambda _: ERROR), "object-store-unavailable", 2),
        (lambda aws: aws.faults.alter(GET, lambda _: HTML), "object-store-error", 1),
        (lambda aws: aws.faults.alter(GET, lambda body: body + b"!"), "artifact-overlong", 1),
        (lambda aws: aws.faults.alter(GET, lambda body: body[:-1] + b"!"), "digest-mismatch", 1),
        (lambda aws: aws.faults.alter(GET, lambda body: b"[" + body[1:]), "digest-mismatch", 1),
        (lambda aws: aws.faults.break_off(GET, "short"), "answer-cut-short", 2),
        (lambda aws: aws.faults.break_off(GET, "reset"), "connection-reset", 2),
    ],
)
def test_a_bucket_that_errs_is_an_error_of_its_own_and_leaves_nothing(
    world: World, fault: Callable[[AwsGateway], Any], code: str, tries: int
) -> None:
    world.publish(template())
    with fault(world.aws) as injected, world.machine() as machine:
        assert machine.wait() == 1
    assert injected.hits == tries
    assert world.report()["error"]["code"] == code, world.report()["error"]
    assert list(world.configs.iterdir()) == []


def test_a_bucket_that_does_not_answer_in_time_is_given_up(world: World) -> None:
    # A bound of its own: so tight a one trips over any busy moment of this computer where the bucket does answer.
    world.orders["fetch_limits"] = {"retries": 1, "stall": 1}
    world.publish(template())
    with world.aws.faults.delay(GET, 3) as late, world.machine() as machine:
        assert machine.wait() == 1
    assert late.hits == 1
    assert world.report()["error"]["code"] == "fetch-limit-throughput"
    assert list(world.configs.iterdir()) == []


def test_a_stream_that_breaks_off_goes_on_where_it_was(world: World) -> None:
    big = template().with_entries({"prompts/big.bin": TemplateFile(bytes(range(256)) * 8192)})
    world.publish(big)
    with world.aws.faults.break_off(
        GET, "short", times=1
    ) as fault:  # a reset may take what came before it along
        report = world.boot()
    assert fault.hits == 1
    assert report["outcome"] == "ready", report["error"]
    assert report["delivered"]["digest"] == big.digest()
    first, second = fetches(world)
    assert first is None
    assert second is not None
    assert second.startswith("bytes=")
    assert second != "bytes=0-"
    (size,) = (
        world.aws.client("s3").head_object(Bucket=BUCKET, Key=each["Key"])["ContentLength"]
        for each in world.aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    )
    assert report["fetched"] == {"bytes": size, "requests": 2}


def test_a_boot_with_nothing_new_asks_the_bucket_for_nothing(world: World) -> None:
    world.publish(template())
    world.boot()
    asked = len(fetches(world))
    report = world.boot()
    assert (report["outcome"], report["fetched"]) == ("ready", {"bytes": 0, "requests": 0})
    assert len(fetches(world)) == asked == 1


def test_what_kept_the_template_from_being_published_is_the_boots_own_trouble(world: World) -> None:
    world.publish(template())
    delivered = world.boot()["delivered"]
    with world.templates.intercept("acme/helper", Fail(403)):
        report = world.boot()
    assert (report["outcome"], report["error"]["code"]) == ("degraded", "template-host-forbidden")
    assert report["delivered"] == delivered


def test_a_pinned_commit_that_is_not_what_was_published_is_refused(world: World) -> None:
    commit = world.publish(template())
    world.orders["object"] = world.published() | {"commit": "1" * 40}
    world.identity = f"acme/helper@{commit}"
    with world.machine() as machine:
        assert machine.wait() == 1
    assert world.report()["error"]["code"] == "wrong-commit"


def test_an_artifact_whose_index_is_beyond_its_bound_is_not_asked_for(world: World) -> None:
    world.publish(template())
    world.orders["object"] = world.published()
    world.orders["fetch_limits"] = {"answer": 500}
    with world.machine() as machine:
        assert machine.wait() == 1
    assert world.report()["error"]["code"] == "fetch-limit-answer"
    assert fetches(world) == []
