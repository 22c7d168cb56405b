"""The template's branch moves while a boot is under way, is rewritten, or is gone."""

from __future__ import annotations

from functools import partial

from harness.oracle import channel
from harness.scenario.scenario import Scenario
from harness.templates.model import Template
from harness.world.template_host.faults import Meanwhile

MOMENTS = range(1, 6)
"""Numbers of requests at which the branch moves: a boot makes about so many."""
PROMPT = "system-prompt.md"


def test_a_branch_that_moves_during_a_boot_gives_one_commit(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    moved = minimal.with_file(PROMPT, b"Somebody pushed this meanwhile.\n")
    published = {moment: scenario.publish(minimal) for moment in MOMENTS}
    tenant = scenario.tenant(*published.values())
    candidates = {moment: {each.commit("main"): minimal} for moment, each in published.items()}
    moves = {}
    workspaces = {}
    for moment, each in published.items():
        moves[moment] = Meanwhile(partial(each.publish, moved), at=moment)
        scenario.cloud.template_host.intercept(each.name, moves[moment])
        workspaces[moment] = tenant.create(each, transport=transport)
    for moment, workspace in workspaces.items():
        with workspace.expecting_trouble():
            seen = workspace.booted("provision")
        candidates[moment][published[moment].commit("main")] = published[moment].template("main")
        scenario.judge(channel.chn_4_one_commit_is_delivered_or_none, seen, candidates[moment])

    scenario.proven("the branch moved during a boot", sum(move.hits for move in moves.values()))
    workspaces[1].restart()


def test_a_branch_rewritten_to_an_older_commit_is_followed(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    older = published.commit("main")
    published.publish(minimal.with_file(PROMPT, b"The second edition.\n").with_file("prompts/two.md", b"2\n"))
    workspace = scenario.tenant(published).provision(published, transport=transport)
    published.repository.branch("main", older)

    seen = workspace.restart()

    scenario.judge(channel.chn_4_the_ref_resolves_to_its_commit, seen)


def test_a_branch_that_is_gone_leaves_the_tree_and_is_named(
    scenario: Scenario, minimal: Template, transport: str
) -> None:
    published = scenario.publish(minimal)
    published.repository.branch("release", published.commit("main"))
    workspace = scenario.tenant(published).provision(published, ref="release", transport=transport)
    before = workspace.files
    published.repository.delete_ref("release")
    with workspace.expecting_trouble():
        seen = workspace.restart()

    scenario.judge(channel.chn_3_a_lost_ref_is_an_error_that_names_it, seen, "release", before)

    published.repository.branch("release", published.commit("main"))
    workspace.restart()
