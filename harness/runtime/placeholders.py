"""The places in a machine's command and environment that only the runtime knows: `{data}`, `{port}` and so on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def fill(text: str, places: Mapping[str, str]) -> str:
    """Put the places in. Braces around anything else stay, so that JSON passes unharmed."""
    return re.sub(r"\{(\w+)\}", lambda found: places.get(found[1], found[0]), text)
