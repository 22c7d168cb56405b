"""The moments between an operation's calls at which a provisioner is killed."""

from __future__ import annotations

from harness.scenario.interruption import gaps
from harness.tests.oracle.test_universal import call


def moments(*operations: str) -> list[str]:
    return [str(gap) for gap in gaps([call(f"ec2:{operation}") for operation in operations])]


def test_there_is_one_between_any_two_calls_up_to_the_last_change() -> None:
    assert moments(
        "DescribeVolumes", "RunInstances", "DescribeInstances", "AttachVolume", "DescribeInstances"
    ) == [
        "before ec2:DescribeVolumes 1",
        "before ec2:RunInstances 1",
        "after ec2:RunInstances 1",
        "before ec2:AttachVolume 1",
        "after ec2:AttachVolume 1",
    ]


def test_calls_of_one_kind_are_told_apart() -> None:
    assert moments("CreateVolume", "CreateVolume") == [
        "before ec2:CreateVolume 1",
        "after ec2:CreateVolume 1",
        "after ec2:CreateVolume 2",
    ]


def test_an_operation_that_changes_nothing_has_none() -> None:
    assert moments("DescribeVolumes") == []
