"""How many generated examples a run looks at, and which."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import FailedHealthCheck, Unsatisfiable
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.strategies import SearchStrategy

Example = TypeVar("Example")


class ClassNeverMet(Exception):
    """Of a class of examples there was none, so that what was found of the others says nothing of it."""


class SameEverywhere(HypothesisProvider):
    """Draws no constants out of the modules that happen to be loaded: they differ from process to process."""

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        return None


AVAILABLE_PROVIDERS["same-everywhere"] = SameEverywhere


@dataclass(frozen=True)
class Profile:
    every: settings
    """For a property that has all the examples to itself."""
    lives: settings
    """For lives of workspaces, each of which is many boots. Hypothesis does not shrink them: see `shortened`."""
    meets_all: bool
    """Whether an example is sought for each class that luck did not bring."""
    shortens: bool
    """Whether what breaks is made as small as it can be, and not told as it was drawn."""

    def one_in(self, kinds: int) -> settings:
        """For each of so many properties that share the examples between them."""
        return settings(self.every, max_examples=max(1, self.every.max_examples // kinds))

    def each(
        self,
        examples: SearchStrategy[Example],
        holds: Callable[[Example], None],
        classes_of: Callable[[Example], Iterable[str]],
        classes: Iterable[str],
    ) -> None:
        """Hold a property against generated examples, and then against one of each class that none of them was in.

        Raises what the property raises, for the simplest example by which it does, and ClassNeverMet.
        """
        met: set[str] = set()

        def holds_for(example: Example) -> None:
            met.update(classes_of(example))
            holds(example)

        self.every(given(examples)(holds_for))()
        for name in classes if self.meets_all else ():
            if name not in met:
                of_the_class = examples.filter(partial(_is_in, name, classes_of))
                try:
                    settings(self.every, max_examples=1)(given(of_the_class)(holds_for))()
                except (Unsatisfiable, FailedHealthCheck) as error:
                    raise ClassNeverMet(f"no example was {name}") from error


def _is_in(name: str, classes_of: Callable[[Example], Iterable[str]], example: Example) -> bool:
    return name in classes_of(example)


# An example takes as long as its boots. All share one scenario, in which each has tenants of its own.
_BOOTS = settings(
    phases=tuple(phase for phase in Phase if phase is not Phase.explain),
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
_DEV = settings(_BOOTS, max_examples=5, database=None)
_CI = settings(_BOOTS, max_examples=20, database=None, derandomize=True, backend="same-everywhere")
_NIGHTLY = settings(
    _BOOTS, max_examples=2_000, database=DirectoryBasedExampleDatabase(".hypothesis/examples")
)


def _unshrunk(of: settings, **changes: Any) -> settings:
    return settings(of, phases=[phase for phase in of.phases if phase is not Phase.shrink], **changes)


_CI_LIVES = _unshrunk(_CI, max_examples=6, stateful_step_count=10)
PROFILES = {
    "dev": Profile(
        _DEV,
        _unshrunk(_DEV, max_examples=2, stateful_step_count=6),
        meets_all=False,
        shortens=True,
    ),
    "ci": Profile(_CI, _CI_LIVES, meets_all=True, shortens=True),
    "proof": Profile(_unshrunk(_CI), _CI_LIVES, meets_all=True, shortens=False),
    "nightly": Profile(
        _NIGHTLY,
        _unshrunk(_NIGHTLY, max_examples=400, stateful_step_count=30),
        meets_all=True,
        shortens=True,
    ),
}
"""`dev`: seconds, other examples each time. `ci`: the same examples each time. `proof`: those of `ci`, for known-bad
implementations, of which only that they are caught matters. `nightly`: hours, and what once failed first."""
