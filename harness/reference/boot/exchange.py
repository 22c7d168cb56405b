"""A small JSON-over-HTTP exchange with the two services next door: instance metadata and the provisioner.

The standard library's client is loaded anyway (botocore needs it), follows no redirect and knows no proxy; a fuller
client would cost a boot with nothing to do a third of its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

_LONGEST_BODY = 4 << 20
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after: str | None = None


def exchange(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    timeout: float,
) -> Answer:
    """One request on a connection of its own; `timeout` (seconds) is for each step. Raises OSError.

    `url` has a path and no query.
    """
    address = urlsplit(url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    if address.hostname is None:
        raise ConnectionError(f"{url} names no host")
    connection = kind(address.hostname, address.port, timeout=timeout)
    try:
        connection.request(method, address.path, body, headers)
        response = connection.getresponse()
        content = response.read(_LONGEST_BODY + 1)
        if len(content) > _LONGEST_BODY:
            raise ConnectionError(f"the answer of {address.hostname} is longer than {_LONGEST_BODY} bytes")
        if response.length:  # http.client says nothing of it
            raise ConnectionError(f"the answer of {address.hostname} broke off")
        return Answer(response.status, content, response.getheader("Retry-After"))
    except HTTPException as broken:
        raise ConnectionError(f"{address.hostname} did not speak HTTP: {type(broken).__name__}") from broken
    finally:
        connection.close()
