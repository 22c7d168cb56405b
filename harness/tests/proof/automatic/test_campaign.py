"""Mutants of the reference meet real scenarios, one after another, in forks of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.contract.manifest import load_implementation
from harness.contract.requirements import load_contract
from harness.proof.automatic.campaign import Campaign
from harness.proof.automatic.edit import Edit
from harness.proof.automatic.kept import Kept
from harness.proof.automatic.measure import measure
from harness.proof.automatic.mutation import Module, Mutation
from harness.proof.automatic.outcome import Outcome
from harness.proof.automatic.pool import Pool
from harness.proof.automatic.reach import Reach
from harness.proof.automatic.servers import Answer, Server
from harness.runtime.process import MACHINE_VARIABLE
from harness.session import REFERENCE

SOURCE = REFERENCE.parent
ONE = "test_a_fresh_workspace"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(tmp_path_factory.mktemp("pool"), 1) as pool:
        yield pool


@pytest.fixture(scope="module")
def quick(pool: Pool) -> str:
    return next(each for each in pool.scenarios if ONE in each and "minimal" in each)


@pytest.fixture(scope="module")
def reach(pool: Pool, quick: str) -> Reach:
    return measure(pool, [quick], SOURCE, lambda _: None)


def inserted(name: str, line: str, *, before: str | None) -> Mutation:
    """A mutant that runs one line more before the first that begins so; with None at the module's end."""
    of = Module(SOURCE, SOURCE / name)
    lines = of.text.splitlines()
    at = next((n for n, each in enumerate(lines) if before and each.strip().startswith(before)), len(lines))
    indent = lines[at][: -len(lines[at].lstrip())] if before else ""
    statement = of.statements.at(at + 1) if before else of.statements.at(len(lines))
    return Mutation(of.name, of.path, "by hand", statement, Edit(at + 1, (), (indent + line,)))


def test_a_measured_scenario_reaches_some_lines_and_not_others(reach: Reach, quick: str) -> None:
    (reached,) = reach.scenarios
    assert reached.scenario == quick
    merging = Module(SOURCE, SOURCE / "boot" / "merge.py")
    merge = next(n for n, line in enumerate(merging.text.splitlines(), 1) if line.startswith("    return "))

    assert len(reached.lines("reference.boot.reconcile")) > 50
    assert len(reached.lines("reference.provisioner.api")) > 50
    assert merge not in reached.lines("reference.boot.merge"), "nothing was merged"


def test_a_measured_scenario_is_about_what_it_judges_itself(pool: Pool, reach: Reach) -> None:
    names = next(each for each in pool.scenarios if "test_names_of_credentials_and_placeholders" in each)
    (own,) = measure(pool, [names], SOURCE, lambda _: None).scenarios
    (universal,) = reach.scenarios

    assert own.judged == {"BND-9"}
    assert universal.judged == set(), "what is judged everywhere is no scenario's own"


def test_each_mutant_comes_to_what_it_deserves(pool: Pool, reach: Reach, quick: str, tmp_path: Path) -> None:
    contract = load_contract()
    mutants = {
        inserted("boot/card.py", "raise ValueError('wrong')", before="return {"): Outcome.KILLED,
        inserted("boot/card.py", "raise ValueError('wrong')", before=None): Outcome.BROKEN,
        inserted("boot/card.py", "wrong = 1", before="return {"): Outcome.SURVIVED,
        inserted("boot/merge.py", "raise ValueError('wrong')", before="return "): Outcome.NOT_REACHED,
        inserted("boot/card.py", "wrong = 2", before="return {"): Outcome.EQUIVALENT,
        inserted("boot/card.py", "raise ValueError('kept')", before="return {"): Outcome.DISPROVED,
    }
    campaign = Campaign(
        folder=tmp_path,
        contract=contract,
        implementation=load_implementation(REFERENCE, revision=contract.revision),
        modules=[Module(SOURCE, SOURCE / "boot" / name) for name in ("card.py", "merge.py")],
        reach=reach,
        kept=[
            Kept(
                module="reference.boot.card",
                within="agent_card",
                was="",
                becomes=(line,),
                reason="So it is said.",
            )
            for line in ("wrong = 2", "raise ValueError('kept')")
        ],
        bound=4,
    )

    rows = {row.mutation: row for row in campaign.run(pool, list(mutants))}

    assert {mutation: rows[mutation].outcome for mutation in mutants} == mutants
    killed = next(row for row in rows.values() if row.outcome is Outcome.KILLED)
    assert killed.scenarios == (quick,)
    assert "+    raise ValueError('wrong')" in killed.diff
    assert killed.again.startswith(f"pytest '{quick}' --runtime process")
    assert (tmp_path / "mutants" / killed.mutation.id / "overlay.py").is_file()


def test_a_scenario_beyond_its_limit_is_ended_with_all_that_it_started(pool: Pool, quick: str) -> None:
    def asked(server: Server, limit: float) -> Answer:
        return server.run([(quick, limit)])

    (answer,) = pool.each(asked, [1.5])

    assert (answer.beyond_its_limit, answer.done) == (quick, ())
    assert not machines_of(answer.folder.name)


def machines_of(run: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found.append(process.environ().get(MACHINE_VARIABLE, ""))
    return [machine for machine in found if machine.startswith(f"cf-{run}-")]
