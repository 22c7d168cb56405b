"""How this computer and the engine's machines reach each other, which depends on where the engine is."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from .base import RuntimeUnavailable

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reach:
    """The ways between this computer and the machines of one network."""

    bind_host: str
    """Where servers of this computer listen, for machines to reach them."""
    advertise_host: str
    """How machines call this computer."""
    host_entry: str
    """What `host.docker.internal` stands for in a machine: an address, or a word of the engine's."""
    published_host: str | None
    """Where the engine publishes ports. None if machines are reached at their own addresses, so that it need not."""

    @property
    def binding(self) -> tuple[str] | None:
        """The address to publish at; None is every address. What can stay on this computer does."""
        return (_LOOPBACK,) if self.published_host == _LOOPBACK else None


def find_reach(gateway: str, published_host: str, advertise_host: str | None) -> Reach:
    """`gateway` is that of the machines' network, `advertise_host` what the user says. Raises RuntimeUnavailable."""
    ours = {address.address for interface in psutil.net_if_addrs().values() for address in interface}
    if gateway in ours:
        return Reach(gateway, advertise_host or gateway, gateway, None)
    if advertise_host is not None:
        # Machines come in from outside, by whichever interface leads there.
        return Reach("0.0.0.0", advertise_host, "host-gateway", published_host)  # noqa: S104
    if published_host != _LOOPBACK:
        raise RuntimeUnavailable(
            f"the container engine runs on {published_host}; "
            "say by which address its machines reach this computer (--advertise-host)"
        )
    # Docker Desktop: its own name for this computer leads to the loopback interface.
    return Reach(_LOOPBACK, "host.docker.internal", "host-gateway", published_host)
