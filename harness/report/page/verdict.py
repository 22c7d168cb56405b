"""What a run came to as a whole, in the words of the page's head."""

from __future__ import annotations

from dataclasses import dataclass

from harness.contract.requirements import Contract

from .. import conclusion
from ..conclusion import Outcome
from ..ledger import Ledger

_HEADS = {
    Outcome.FAILS: ("fail", "Does not conform"),
    Outcome.BROKEN: ("could-not-run", "The harness broke"),
    Outcome.NOTHING_RAN: ("could-not-run", "Nothing ran"),
    Outcome.INCOMPLETE: ("partial", "Incomplete"),
    Outcome.CONFORMS: ("pass", "Conforms"),
}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A verdict on the run, why it is no better, and what must be seen all the same."""

    outcome: str
    """The name of its look: `pass`, `partial`, `could-not-run` or `fail`."""
    headline: str
    reasons: tuple[str, ...]


def conclude(ledger: Ledger, contract: Contract) -> Conclusion:
    """What the page says first. Raises LedgerProblem where the run was judged by other words than the contract's."""
    concluded = conclusion.conclude(ledger, contract)
    look, headline = _HEADS[concluded.outcome]
    return Conclusion(look, headline, (*concluded.reasons, *concluded.notes))
