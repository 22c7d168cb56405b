"""Which client speaks to an implementation: lifecycle.yaml's own, or the adapter that its manifest names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from .lifecycle import HttpLifecycle, Lifecycle
from .manifest import Implementation, ManifestProblem

MakeLifecycle = Callable[[str, str], Lifecycle]
"""From the base URL and the operator's token."""


def lifecycle_of(implementation: Implementation) -> MakeLifecycle:
    """An adapter is looked for beside the manifest first. Raises ManifestProblem where it cannot be had."""
    if implementation.adapter is None:
        return HttpLifecycle
    module, _, name = implementation.adapter.partition(":")
    home = str(implementation.home)
    if home not in sys.path:
        sys.path.insert(0, home)
    try:
        made: MakeLifecycle = getattr(import_module(module), name)
    except (ImportError, AttributeError) as missing:
        raise ManifestProblem(
            f"adapter = {implementation.adapter!r}: {missing}; put the module beside the manifest, or install it"
        ) from missing
    return made
