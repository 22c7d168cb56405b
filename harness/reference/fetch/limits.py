"""The bounds of a fetch (CHN-8). Passing one is an error that names it, never a truncation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from time import monotonic

from ..errors import BootError


@dataclass(frozen=True, slots=True)
class Limits:
    bytes: int = 2 << 30
    """Of the asset set, and of what is received for it."""
    answer: int = 16 << 20
    """Bytes of one answer of the forge's API, files and archives apart; of the index of an artifact, too."""
    entries: int = 100_000
    """Of the template's whole tree."""
    path_length: int = 1024
    """Bytes of UTF-8 of a whole path."""
    depth: int = 32
    """Parts of a path."""
    ratio: float = 1000.0
    """Bytes unpacked for each byte received."""
    time: float = 900.0
    """Seconds, from the first request to the last byte, waits between tries included."""
    throughput: int = 1024
    """Bytes a second, over each `stall`."""
    stall: float = 30.0
    """Seconds."""
    redirects: int = 3
    retries: int = 4
    """Tries after the first."""

    @classmethod
    def with_overrides(cls, overrides: Mapping[str, object]) -> Limits:
        """Raises ValueError for an unknown name and for what is not a positive number (0 redirects or retries do)."""
        whole = {field.name: isinstance(field.default, int) for field in fields(cls)}
        checked: dict[str, object] = {}
        for name, value in overrides.items():
            if name not in whole:
                raise ValueError(f"fetch_limits has no bound {name!r}; it has {', '.join(whole)}")
            least = 0 if name in ("redirects", "retries") else 1e-3
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ValueError(f"fetch_limits.{name} is not a number of at least {least:g}")
            checked[name] = int(value) if whole[name] else float(value)
        return replace(cls(), **checked)  # type: ignore[arg-type]  # each was made the field's own type above


_RATIO_FLOOR = 64 << 10
"""Bytes received that are always taken for granted: tiny trees compress beyond any sensible ratio."""


def breach(bound: str, what: str) -> BootError:
    return BootError(
        f"fetch-limit-{bound.replace('_', '-')}",
        f"the fetch passed its bound {bound!r}: {what}",
        f"make the template smaller, or raise fetch_limits.{bound}",
    )


class Budget:
    """Counts one fetch against its limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.received = 0
        self.requests = 0
        self._deadline = monotonic() + limits.time

    def remaining(self) -> float:
        """Seconds until the bound `time`. Raises BootError when there are none."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise breach("time", f"it took longer than {self.limits.time:g} s")
        return left

    def receive(self, count: int) -> None:
        self.received += count
        if self.received > self.limits.bytes:
            raise breach("bytes", f"more than {self.limits.bytes} bytes were received")

    def check_expansion(self, unpacked: int) -> None:
        if unpacked > self.limits.ratio * max(self.received, _RATIO_FLOOR):
            raise breach(
                "ratio", f"{unpacked} bytes out of {self.received} received (limit {self.limits.ratio:g}:1)"
            )

    def paced(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces as they are received, counted, and no slower than the bound."""
        limits = self.limits
        window, count = monotonic(), 0
        for piece in pieces:
            self.remaining()
            self.receive(len(piece))
            count += len(piece)
            if (passed := monotonic() - window) >= limits.stall:
                if count < limits.throughput * passed:
                    raise breach(
                        "throughput", f"less than {limits.throughput} bytes a second over {limits.stall:g} s"
                    )
                window, count = monotonic(), 0
            yield piece
