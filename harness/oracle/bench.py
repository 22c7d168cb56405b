"""How fast the secret search is: `python -m harness.oracle.bench` prints a table.

Each row is one stream, searched as a file of a volume is: raw, squeezed, and what is packed in it. The first column is
of one tenant's secrets, the second of eight tenants'. Medians of several rounds, of processor time, which what else
runs on the computer changes least. The last row is what every scenario pays once, before its first boot is looked at.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import process_time

from .canaries import Brood, Canary
from .patterns import patterns
from .search import Search

_TENANTS = (1, 8)
_SIZE = 4 << 20
"""Bytes of each stream."""
_ROUNDS = 5
_KEY = b"a key for measurements"
_WORDS = (
    b"the agent reads a note of the last meeting and writes down what was decided in it, then it goes on "
)


def corpora() -> Mapping[str, bytes]:
    """By name, bytes in which no secret is."""
    some = random.Random(1)  # noqa: S311 - noise, not a secret
    words = _WORDS.split()
    text = b" ".join(some.choices(words, k=_SIZE // 4))
    rows = [
        {"path": f"skills/{number}.md", "sha256": f"{some.getrandbits(256):064x}", "size": number}
        for number in range(_SIZE // 100)
    ]
    noise = some.randbytes(_SIZE)
    return {
        "text": text[:_SIZE],
        "JSON with digests": json.dumps(rows).encode()[:_SIZE],
        "noise": noise,
        "noise in base64, lines": base64.encodebytes(noise)[:_SIZE],
        "text in gzip": gzip.compress(text[:_SIZE]),
    }


def measure(act: Callable[[], object]) -> float:
    """The median of its seconds."""
    times = []
    for _ in range(_ROUNDS):
        began = process_time()
        act()
        times.append(process_time() - began)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    secrets = [
        [each for number in range(tenants) for each in Brood(f"tenant-{number}").canaries(_KEY).values()]
        for tenants in _TENANTS
    ]
    searches = [Search(some) for some in secrets]
    rows: dict[str, list[float]] = {}
    for name, content in corpora().items():
        rows[name] = [
            _SIZE / 1e6 / measure(partial(search.sightings, content, "here")) for search in searches
        ]
    rows["patterns"] = [sum(1 for each in some for _ in patterns(each.core, each.value)) for some in secrets]
    rows["ms to make the automata"] = [1000 * measure(partial(_ready, some)) for some in secrets]
    head = "".join(f"{f'tenants: {tenants}':>12}" for tenants in _TENANTS)
    lines = [f"{'secret search, MB/s':<26}{head}"]
    lines += [
        f"  {name:<24}" + "".join(f"{value:12.0f}" for value in values) for name, values in rows.items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _ready(secrets: Iterable[Canary]) -> Search:
    search = Search(secrets)
    search.sightings(b"#", "here")
    return search


if __name__ == "__main__":
    main()
