from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.tests.aws.stranger import Stranger
from harness.world.aws import AwsGateway


@pytest.fixture(scope="module")
def gateway() -> Iterator[AwsGateway]:
    with AwsGateway(account="123456789012") as gateway:
        yield gateway
        assert gateway.defects == []


@pytest.fixture(scope="module")
def stranger(gateway: AwsGateway) -> Stranger:
    return Stranger(gateway)
