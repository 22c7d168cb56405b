"""What a signed statement covers, in words for the one who decides whether to ship."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.requirements import Contract

from .ledger import Verdict

if TYPE_CHECKING:
    from .signing import Verified


def covered(verified: Verified, contract: Contract, ledger: Path | None) -> Iterator[str]:
    """Lines. `contract` is the installed one; `ledger` the one that was held against the statement, if any."""
    result = verified.result
    run = result.workspace_conformance
    yield f"{result.result}: {run.implementation} {run.implementation_version} conforms to contract {run.contract}"
    for name, digest in verified.subjects.items():
        yield f"  subject       {name} sha256:{digest}"
    yield f"  requirements  {_counted(Counter(run.requirements.values()))}"
    in_order = [*contract.requirements, *sorted(run.requirements.keys() - contract.requirements.keys())]
    not_proven = [name for name in in_order if run.requirements.get(name, Verdict.PASS) != Verdict.PASS]
    if not_proven:
        yield f"  not proven    {', '.join(f'{name} ({run.requirements[name]})' for name in not_proven)}"
    yield (
        f"  scenarios     {len(result.passed_tests)} passed, {len(result.warned_tests)} warned, "
        f"{len(run.not_applicable_tests)} not applicable"
    )
    for note in run.notes:
        yield f"  note          {note}"
    for each in result.configuration:
        if each.name.startswith("template "):
            digests = " ".join(f"{kind}:{digest}" for kind, digest in sorted(each.digest.items()))
            yield f"  {each.name}  {digests}"
    yield f"  judged by     harness {run.harness_version}, commit {run.harness_commit}"
    merged = f", merged from {', '.join(run.shards)}" if run.shards else ""
    yield f"  run           {run.run}, {run.started} to {run.finished}{merged}"
    held = "it is the one that was given" if ledger is not None else "not looked at; give it with --ledger"
    yield f"  ledger        sha256:{result.ledger_digest} ({held})"
    if run.contract_digest != contract.digest:
        yield (
            f"warning: the installed contract is another: {contract.revision} (sha256:{contract.digest[:16]}…), "
            f"and the run was judged by {run.contract} (sha256:{run.contract_digest[:16]}…)"
        )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(Verdict) if counts[verdict])
