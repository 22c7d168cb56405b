"""Ports for machines that are processes, which share those of this computer with all other workers and runs."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Self
from urllib.parse import urlsplit

from .base import MachineError

_EVERYWHERE = ""
"""A machine may listen at all addresses of the computer, so that its port has to be free at each."""
_RANGE = range(20000, 32000)
"""Below what the system takes for outgoing connections."""
_ORDER = cycle(random.SystemRandom().sample(_RANGE, len(_RANGE)))
"""A port serves another machine as late as possible, so that none is taken for the one before it. In another order
than by other processes, even by those whose `random` was given the same seed, as that of all workers of a run is."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port that no other machine of this computer is given until it is released, or this process ends.

    A machine may listen long after it was given its port, so that looking whether somebody listens would not do. What
    keeps the others away is a socket by the port's number in the abstract namespace, which ports and it have in common.
    """

    number: int
    _claim: socket.socket

    @classmethod
    def any_free(cls) -> Self:
        for number in _ORDER:
            with suppress(OSError):
                return cls._claimed(number, reuse=False)
        raise AssertionError("a cycle has no end")

    @classmethod
    def of(cls, url: str) -> Self:
        """That of a removed machine, whose connections may linger, as servers expect. Raises MachineError."""
        try:
            return cls._claimed(urlsplit(url).port or 0, reuse=True)
        except OSError as error:
            raise MachineError(f"no machine can be at {url}: {error.strerror or error}") from error

    @classmethod
    def _claimed(cls, number: int, *, reuse: bool) -> Self:
        """Raises OSError where it is in use."""
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0workspace-conformance/machine-port/{number}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
                probe.bind((_EVERYWHERE, number))
        except OSError:
            claim.close()
            raise
        return cls(number, claim)

    def release(self) -> None:
        self._claim.close()
