"""Lives that nobody thought of: whatever happened to a workspace, its next boots converge to what the contract says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.oracle import reconcile
from harness.oracle.check import ContractBroken
from harness.scenario.life import Life, StepNotPossible
from harness.scenario.scenario import Scenario
from harness.scenario.shortened import shortened
from harness.templates.model import Template
from harness.templates.profiles import ClassNeverMet, Profile
from harness.templates.strategies import templates_to_live_with

BOOTS = ("restart", "start", "kill the machine", "restore", "restore onto a blank volume")


@pytest.mark.long
def test_a_workspace_converges_whatever_happened_to_it(
    scenario: Scenario, seo: Template, examples: Profile
) -> None:
    scenario.needs("snapshots")
    met: set[str] = set()

    with made_small(scenario, examples):
        run_state_machine_as_test(
            partial(Lives, scenario, met),  # type: ignore[arg-type]  # any factory will do
            settings=examples.lives,
        )
        for kind in Life.kinds() if examples.meets_all else ():
            if kind not in met:
                with scenario.example() as example:
                    live_through(
                        kind, Life(example, seo, scenario.cloud.implementation.capabilities.transports[0])
                    )


@pytest.mark.long
@pytest.mark.each_choice("boot", BOOTS)
def test_all_that_is_written_at_once_outlives_a_boot_of_each_kind(
    scenario: Scenario, seo: Template, examples: Profile, boot: str, transport: str
) -> None:
    """By the user, and on the template's side."""
    scenario.needs("snapshots")
    with made_small(scenario, examples):
        life = Life(scenario, seo, transport)
        for kind in Life.kinds_of("edit"):
            life.take_any(kind)
        if (before := life.VERBS[boot].after) is not None:
            life.take(life.possible(before)[0])
        for kind in Life.kinds_of("push"):
            life.take_any(kind)
        life.take_any(boot)
        life.end()


def live_through(kind: str, life: Life) -> None:
    """The shortest life with a step of this kind. Raises ClassNeverMet where there is none."""
    if (before := life.VERBS[Life.verb(kind)].after) is not None:
        life.take(life.possible(before)[0])
    try:
        life.take_any(kind)
    except StepNotPossible as none:
        raise ClassNeverMet(f"no step was {kind}") from none
    life.end()


@contextmanager
def made_small(scenario: Scenario, examples: Profile) -> Iterator[None]:
    """Of a life that breaks the contract in this block, no more is shown than it takes."""
    try:
        yield
    except ContractBroken as broken:
        life = scenario.counterexample
        if life is None or not examples.shortens:
            raise
        raise shortened(scenario, life, broken) from None


def step(verb: str) -> Callable[[Lives, st.DataObject], None]:
    """A rule by which any step of the verb may come next that is possible then."""

    @precondition(lambda lives: bool(lives.life.possible(verb)))
    @rule(data=st.data())
    def take(lives: Lives, data: st.DataObject) -> None:
        taken = data.draw(st.sampled_from(lives.life.possible(verb)))
        lives.met.add(Life.kind(taken))
        lives.go_on(lambda: lives.life.take(taken))

    take.__name__ = verb.replace(" ", "_")
    return take


class Lives(RuleBasedStateMachine):
    """One life after another, each a machine of its own, in the same scenario."""

    life: Life

    def __init__(self, scenario: Scenario, met: set[str]) -> None:
        super().__init__()
        self.met = met
        self._scenario = scenario
        self._example = ExitStack()
        self._broke: BaseException | None = None

    @initialize(data=st.data())
    def be_provisioned(self, data: st.DataObject) -> None:
        template = data.draw(templates_to_live_with())
        transport = data.draw(st.sampled_from(self._scenario.cloud.implementation.capabilities.transports))
        self.go_on(partial(self._begin, template, transport))

    edit = step("edit")
    damage = step("damage")
    damage_the_state = step("damage the state")
    push = step("push")
    move_the_branch_back = step("move the branch back")
    rotate_the_secrets = step("rotate the secrets")
    restart = step("restart")
    stop = step("stop")
    start = step("start")
    kill_the_machine = step("kill the machine")
    snapshot = step("snapshot")
    restore = step("restore")
    restore_onto_a_blank_volume = step("restore onto a blank volume")
    restart_without_the_host = step("restart without the host")

    def go_on(self, live: Callable[[], None]) -> None:
        """Of a life that broke, no more is judged."""
        try:
            live()
        except BaseException as broke:
            self._broke = broke
            raise

    def teardown(self) -> None:
        """The last boots, and the end of all that was made."""
        if self._broke is not None:
            self._example.__exit__(type(self._broke), self._broke, self._broke.__traceback__)
            return
        with self._example:
            if hasattr(self, "life"):
                self.life.end()

    def _begin(self, template: Template, transport: str) -> None:
        self.life = Life(self._example.enter_context(self._scenario.example()), template, transport)


def test_an_update_arrives_by_a_token_that_was_rotated_meanwhile(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    """The operator names the new token alone; what else the tenant's secret holds stays."""
    published = scenario.publish(minimal)
    tenant = scenario.tenant(published)
    workspace = tenant.provision(published, transport=transport)
    added = "prompts/added-upstream.md"
    published.publish(minimal.with_file(added, b"Behind the new token.\n"))

    tenant.rotate_token()

    seen = workspace.restart()
    scenario.judge(reconcile.rec_9_a_template_update_arrives_at_the_next_boot, seen, [added])
