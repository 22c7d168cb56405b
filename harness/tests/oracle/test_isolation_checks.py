"""The checks of tenants and look-alikes pass where all is well, and each can fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.contract.lifecycle import Refused
from harness.oracle import isolation
from harness.oracle.boundary import bnd_5_the_fetch_needs_one_credential_at_most
from harness.oracle.canaries import credential_canary
from harness.oracle.migration import SecretState
from harness.oracle.seen import CONFIGS, CREDENTIAL_FILE, Seen

from .cases import Case, assert_fails, assert_passes, look
from .test_scenario_checks import failed, refusal
from .test_universal import SKILL, good, request

MINE = f"{CONFIGS}/prompts/mine.md"
BEFORE: dict[str, Any] = {
    "id": "ws-2",
    "status": "online",
    "machine": "i-2",
    "volume": "vol-2",
    "boot": {"sequence": 1},
}

SECRET = SecretState("old", {"1": ("AWSCURRENT",)}, in_deletion=False)
SECRETS = {"secret of ws-2": SECRET}


def one(**changes: Any) -> Seen:
    return good(
        workspace={"id": "ws-1", "machine": "i-1", "volume": "vol-1", "agent_url": "http://a", **changes},
        files={MINE: b"mine", CREDENTIAL_FILE: b"token of 1"},
        expected=replace(good().expected, edits={"prompts/mine.md": b"mine"}),
    )


def other(files: dict[str, bytes] | None = None, **changes: Any) -> Seen:
    return good(
        workspace={"id": "ws-2", "machine": "i-2", "volume": "vol-2", "agent_url": "http://b", **changes},
        files={CREDENTIAL_FILE: b"token of 2", **(files or {})},
    )


CASES: dict[str, Case] = {
    "iso_1_the_operators": (
        isolation.iso_1_the_operators_part_is_closed_to_others,
        ({"put": refusal(403)}, 403, SECRETS, SECRETS),
        [
            ({"put": None}, 403, SECRETS, SECRETS),
            ({"put": refusal(401)}, 403, SECRETS, SECRETS),
            ({"put": refusal(403)}, 403, SECRETS, {"secret of ws-2": replace(SECRET, value="new")}),
            ({"put": refusal(403)}, 403, SECRETS, {"secret of ws-2": None}),
            ({"put": refusal(403)}, 403, SECRETS, {"secret of ws-2": replace(SECRET, in_deletion=True)}),
        ],
    ),
    "iso_1_a_list": (
        isolation.iso_1_a_list_shows_ones_own_workspaces_alone,
        (["ws-1"], ["ws-1"], ["ws-2"]),
        [(["ws-1", "ws-2"], ["ws-1"], ["ws-2"]), ([], ["ws-1"], ["ws-2"])],
    ),
    "iso_1_a_private": (
        isolation.iso_1_a_private_template_is_delivered_to_nobody_else,
        (failed(),),
        [
            (good(),),
            (failed(card={"name": "generic"}),),
            (failed(workspace={"status": "failed", "error": {"code": "", "message": "no"}}),),
            (failed(files={".boot/cache": b"x" + SKILL}),),
        ],
    ),
    "iso_1_an_adoption": (
        isolation.iso_1_an_adoption_takes_nothing_of_another,
        ({"its volume": refusal(409)}, BEFORE, BEFORE),
        [
            ({"its volume": None}, BEFORE, BEFORE),
            ({"its volume": refusal(500)}, BEFORE, BEFORE),
            ({"its volume": refusal(409)}, BEFORE, {**BEFORE, "volume": None}),
        ],
    ),
    "iso_2_nothing": (
        isolation.iso_2_nothing_is_shared,
        (one(), other()),
        [
            (one(), other(machine="i-1")),
            (one(), other(volume="vol-1")),
            (one(), other(agent_url="http://a")),
            (one(), other({CREDENTIAL_FILE: b"token of 1"})),
            (one(), other({MINE: b"mine"})),
            (other({MINE: b"mine"}), one()),
        ],
    ),
    "iso_2_the_end": (
        isolation.iso_2_the_end_of_one_leaves_the_other,
        (BEFORE, BEFORE, True),
        [
            (BEFORE, BEFORE, False),
            (BEFORE, {**BEFORE, "status": "deleted"}, True),
            (BEFORE, {**BEFORE, "volume": None}, True),
            (BEFORE, {**BEFORE, "boot": {"sequence": 2}}, True),
            (BEFORE, Refused("GET /workspaces/ws-1", 401, {"code": "token-invalid"}), True),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_passes_where_all_is_well(name: str) -> None:
    assert_passes(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_it_fails_for_each_thing_that_can_be_wrong(name: str) -> None:
    assert_fails(name, CASES[name])


def test_the_token_of_a_tenant_beside_is_no_strange_credential() -> None:
    beside = credential_canary(b"a key of this test", "rival")
    seen = good(requests=[request(), request(token=beside.value)])

    assert look(bnd_5_the_fetch_needs_one_credential_at_most, (seen,)).problems
    known = replace(seen, template_tokens=[*seen.template_tokens, beside])
    assert look(bnd_5_the_fetch_needs_one_credential_at_most, (known,)).problems == ()
