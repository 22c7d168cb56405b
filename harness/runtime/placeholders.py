"""Places in commands and environments that others fill in: `{data}`, `{aws_endpoint_url}` and so on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def fill(text: str, places: Mapping[str, str]) -> str:
    """Put the places in. Braces around anything else stay, so that JSON passes unharmed."""
    return PLACEHOLDER.sub(lambda found: places.get(found[1], found[0]), text)
