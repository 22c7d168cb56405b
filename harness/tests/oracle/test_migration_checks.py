"""The checks of migration pass where all is well, and each can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.oracle import migration
from harness.oracle.migration import SecretState
from harness.oracle.seen import CONFIGS

from .cases import Case, assert_fails, assert_passes, look
from .test_universal import CONFIG, good

CONFIG_PATH = f"{CONFIGS}/config.yaml"
MINE = CONFIG + b"env:\n  LEVEL: debug\n"
VALUES = {"name": "taker", "env.LEVEL": "debug"}
OURS, THEIRS, TENANT = (
    "molecule/workspace/ws-1/config",
    "molecule/workspace/ws-2/config",
    "molecule/tenant/acme/bootstrap",
)
STATE = SecretState("name: x\n", {"v1": ("AWSCURRENT",)}, in_deletion=False)
SECRETS = dict.fromkeys((OURS, THEIRS, TENANT), STATE)
KEPT = {"secret": THEIRS, "reason": "delivery-unverified"}
SWEPT = {"dry_run": False, "swept": [OURS], "kept": [KEPT]}
ALTERED = [
    replace(STATE, value="name: y\n"),
    replace(STATE, versions={"v2": ("AWSCURRENT",), "v1": ("AWSPREVIOUS",)}),
    replace(STATE, in_deletion=True),
]

CASES: dict[str, Case] = {
    "mig_1_the_edited": (
        migration.mig_1_the_edited_values_are_kept,
        (good(files={CONFIG_PATH: MINE}), VALUES),
        [
            (good(), VALUES),
            (good(files={CONFIG_PATH: MINE.replace(b"debug", b"info")}), VALUES),
            (good(files={CONFIG_PATH: MINE.replace(b"taker", b"agent")}), VALUES),
            (good(files={CONFIG_PATH: b"name: ["}), VALUES),
            (good(files={CONFIG_PATH: b"- name\n"}), VALUES),
            (good(files={CONFIG_PATH: None}), VALUES),
            (good(files={CONFIG_PATH: MINE}, workspace={"status": "degraded"}), VALUES),
        ],
    ),
    "mig_1_what": (
        migration.mig_1_what_no_user_wrote_is_not_carried_over,
        (good(),),
        [
            (good(files={CONFIG_PATH: b"name: agent\nskills: []\n"}),),
            (good(files={CONFIG_PATH: None}),),
            (good(workspace={"status": "failed"}),),
        ],
    ),
    "mig_3_the_sweep": (
        migration.mig_3_the_sweep_says_what_goes_and_why_the_rest_stays,
        (SWEPT, False, [OURS], [THEIRS]),
        [
            ({**SWEPT, "swept": []}, False, [OURS], [THEIRS]),
            ({**SWEPT, "swept": [OURS, OURS]}, False, [OURS], [THEIRS]),
            ({**SWEPT, "swept": [OURS, TENANT]}, False, [OURS], [THEIRS]),
            ({**SWEPT, "swept": [OURS, THEIRS]}, False, [OURS], [THEIRS]),
            ({**SWEPT, "kept": []}, False, [OURS], [THEIRS]),
            ({**SWEPT, "kept": [{**KEPT, "reason": ""}]}, False, [OURS], [THEIRS]),
            ({**SWEPT, "kept": [KEPT, {**KEPT, "secret": TENANT}]}, False, [OURS], [THEIRS]),
            (SWEPT, True, [OURS], [THEIRS]),
        ],
    ),
    "mig_3_only": (
        migration.mig_3_only_what_is_due_was_deleted,
        (SECRETS, {**SECRETS, OURS: replace(STATE, in_deletion=True)}, [OURS]),
        [
            (SECRETS, SECRETS, [OURS]),
            (SECRETS, {THEIRS: STATE}, [OURS]),
            (SECRETS, {TENANT: STATE}, [OURS]),
            *((SECRETS, {THEIRS: STATE, TENANT: now}, [OURS]) for now in ALTERED),
        ],
    ),
    "mig_4": (
        migration.mig_4_a_rollback_finds_the_secret_as_it_was,
        (SECRETS, SECRETS),
        [(SECRETS, {**SECRETS, OURS: now}) for now in ALTERED] + [(SECRETS, {THEIRS: STATE, TENANT: STATE})],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_passes_where_all_is_well(name: str) -> None:
    assert_passes(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_it_fails_for_each_thing_that_can_be_wrong(name: str) -> None:
    assert_fails(name, CASES[name])


def test_no_secrets_value_is_in_what_is_said() -> None:
    saw = look(migration.mig_4_a_rollback_finds_the_secret_as_it_was, (SECRETS, {OURS: ALTERED[0]}))

    assert "name: " not in f"{saw} {STATE}"
