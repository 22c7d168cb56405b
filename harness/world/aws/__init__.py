"""The AWS endpoint of the disposable cloud."""

from __future__ import annotations

from .calls import Call, CallLog
from .errors import AwsError
from .faults import Fault, Faults
from .gateway import HARNESS, AwsGateway
from .principals import Credentials, Principal

__all__ = [
    "HARNESS",
    "AwsError",
    "AwsGateway",
    "Call",
    "CallLog",
    "Credentials",
    "Fault",
    "Faults",
    "Principal",
]
