"""What this process trusts, read once: making a TLS context reads every certificate of the system."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from ssl import SSLContext


@cache
def trusted() -> SSLContext:
    """For every client of this process, most of which speak to a machine next door and need none."""
    return httpx.create_ssl_context()
