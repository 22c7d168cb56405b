"""The one kind of failure that a boot reports."""

from __future__ import annotations


class BootError(Exception):
    """`code` is for programs, the message names the thing and the rule, `hint` is the way out, never empty (OBS-2)."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class TransientError(BootError):
    """A failure that may pass by itself: worth another try within the bounds (CHN-10)."""

    def __init__(self, code: str, message: str, hint: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds, as the other side asked for."""
        super().__init__(code, message, hint)
        self.retry_after = retry_after
