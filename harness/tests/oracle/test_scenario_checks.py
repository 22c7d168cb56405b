"""The checks that scenarios make of themselves pass where all is well, and each can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.contract.lifecycle import Refused
from harness.oracle import allowlist, boundary, channel, failing, heal, isolation, reconcile, skills
from harness.oracle.check import Check, Saw
from harness.oracle.seen import CONFIGS, CREDENTIAL_FILE, Seen

from .test_universal import CONFIG, SKILL_PATH, call, changed, entry, good, report, request

NOW = datetime.now(UTC)
MEMORY = f"{CONFIGS}/MEMORY.md"
CONFIG_PATH = f"{CONFIGS}/config.yaml"


def repaired(path: str = "config.yaml") -> Seen:
    row = {"path": path, "action": "repaired", "reason": "absent", "aside": None}
    return good(report=changed(paths=[*report()["paths"], row]))


def refusal(status: int, detail: str = "") -> Refused:
    return Refused("GET /", status, {"code": "no", "detail": detail})


def failed(**changes: Any) -> Seen:
    """A workspace that failed at its first boot, as one should."""
    error = {
        "code": "ref-not-found",
        "message": "there is no ref 'nope' in acme/taker",
        "hint": "mend the ref",
    }
    left = {
        path: None for path in good().entries if path.startswith(f"{CONFIGS}/") and path != CREDENTIAL_FILE
    }
    settings = {"card": None, "workspace": {"status": "failed", "error": error}, "files": left, **changes}
    return good(**settings)


def seen_with(entries: dict[str, Any]) -> Seen:
    return replace(good(), entries={**good().entries, **entries})


BEFORE = {**good().entries, MEMORY: entry(MEMORY, b"mine")}
UNTOUCHED = BEFORE
TOUCHED = {**BEFORE, CONFIG_PATH: replace(BEFORE[CONFIG_PATH], inode=2)}
SECRETS = {
    "read its own": "allowed",
    **dict.fromkeys(
        ("read another's", "write its own", "write another's", "create one"), "AccessDeniedException"
    ),
}
UPDATED = replace(
    good().expected, template=good().expected.template.with_file("config.yaml", CONFIG + b"# new\n")
)
Case = tuple[Check[...], tuple[Any, ...], list[tuple[Any, ...]]]

CASES: dict[str, Case] = {
    "alw_5": (
        allowlist.alw_5_agent_owned_files_are_untouched,
        (BEFORE, UNTOUCHED),
        [
            (BEFORE, good().entries),
            (BEFORE, {**BEFORE, MEMORY: entry(MEMORY, b"yours")}),
            (BEFORE, {**BEFORE, MEMORY: entry(MEMORY, b"mine", 0o600)}),
            (BEFORE, {**BEFORE, MEMORY: replace(BEFORE[MEMORY], mtime_ns=2)}),
        ],
    ),
    "bnd_7": (
        boundary.bnd_7_without_a_token_no_credential_is_sent,
        (good(requests=[without_credential := replace(request(), headers=type(request().headers)())]),),
        [
            (good(),),
            (good(requests=[]),),
            (good(requests=[without_credential], workspace={"status": "failed"}),),
        ],
    ),
    "bnd_8": (
        boundary.bnd_8_a_machine_reads_its_own_bootstrap_secret_and_no_other,
        (SECRETS,),
        [
            ({**SECRETS, "read its own": "AccessDeniedException"},),
            ({**SECRETS, "read another's": "allowed"},),
            ({**SECRETS, "write its own": "allowed"},),
            ({**SECRETS, "create one": "ResourceExistsException"},),
        ],
    ),
    "chn_2": (
        channel.chn_2_a_malformed_identity_is_refused_before_any_request,
        ("acme/agent", ["ref"], refusal(422, "the ref is missing"), [], []),
        [
            ("acme/agent", ["ref"], {"id": "ws-1"}, [], []),
            ("acme/agent", ["ref"], refusal(400, "the ref is missing"), [], []),
            ("acme/agent", ["ref"], refusal(422, "that is wrong"), [], []),
            ("acme/agent", ["ref"], refusal(422, "the ref is missing"), [call("ec2:RunInstances")], []),
            ("acme/agent", ["ref"], refusal(422, "the ref is missing"), [], [request()]),
        ],
    ),
    "chn_3": (
        channel.chn_3_an_unknown_template_is_an_error_that_names_it,
        (failed(), "nope"),
        [
            (failed(), "another"),
            (failed(workspace={"status": "online", "error": {"message": "nope"}}), "nope"),
            (failed(files={}), "nope"),
            (failed(card={"name": "generic"}), "nope"),
        ],
    ),
    "chn_4": (
        channel.chn_4_the_ref_resolves_to_its_commit,
        (good(),),
        [(good(report=changed(commit="d" * 40)),), (good(report=changed(commit=None)),)],
    ),
    "fail_1": (
        failing.fail_1_a_failed_first_fetch_leaves_no_stub_and_no_agent,
        (failed(),),
        [
            (good(),),
            (failed(workspace={"status": "failed", "error": {"code": "x", "message": "y", "hint": ""}}),),
            (failed(workspace={"status": "online", "error": failed().workspace["error"]}),),
            (failed(files={}),),
            (failed(card={"name": "generic"}),),
        ],
    ),
    "fail_2": (
        failing.fail_2_a_failed_fetch_leaves_the_tree_and_says_so,
        (good(workspace={"status": "degraded", "error": failed().workspace["error"]}),),
        [
            (good(workspace={"error": failed().workspace["error"]}),),
            (good(workspace={"status": "degraded", "error": None}),),
            (
                good(
                    workspace={"status": "degraded", "error": failed().workspace["error"]},
                    files={SKILL_PATH: b""},
                ),
            ),
        ],
    ),
    "fail_7": (
        failing.fail_7_delete_leaves_nothing_behind,
        ([], [], []),
        [(["i-1"], [], []), ([], ["vol-1"], []), ([], [], ["molecule-tenant-acme"])],
    ),
    **{
        name: (
            each,
            (repaired(),),
            [
                (good(),),
                (replace(repaired(), entries=good(files={CONFIG_PATH: None}).entries),),
                (replace(repaired(), entries=good(files={CONFIG_PATH: CONFIG[:9]}).entries),),
                (replace(repaired(), entries=good(modes={CONFIG_PATH: 0o755}).entries),),
            ],
        )
        for name, each in (
            ("heal_1", heal.heal_1_a_missing_config_is_repaired),
            ("heal_2", heal.heal_2_a_broken_config_is_repaired),
            ("heal_3", heal.heal_3_a_stub_config_is_repaired),
        )
    },
    "heal_4": (
        heal.heal_4_a_genuine_config_is_not_taken_for_a_stub,
        (good(),),
        [(repaired(),), (good(files={CONFIG_PATH: b"name: x\n"}),), (good(files={CONFIG_PATH: None}),)],
    ),
    "heal_5": (
        heal.heal_5_damage_is_repaired_and_nothing_else_touched,
        (repaired(), ["config.yaml"], BEFORE),
        [
            (good(), ["config.yaml"], BEFORE),
            (replace(repaired(), entries=good(files={SKILL_PATH: None}).entries), ["config.yaml"], BEFORE),
            (seen_with({SKILL_PATH: replace(BEFORE[SKILL_PATH], inode=2)}), ["config.yaml"], BEFORE),
        ],
    ),
    "heal_6": (
        heal.heal_6_a_lost_volume_content_is_rebuilt,
        (good(),),
        [(good(files={SKILL_PATH: None}),), (good(files={CONFIG_PATH: b""}),)],
    ),
    "heal_7": (
        heal.heal_7_a_dead_machine_is_replaced,
        (good(workspace={"machine": "i-2"}), "i-1", 5.0, 20.0),
        [
            (good(workspace={"machine": "i-1"}), "i-1", 5.0, 20.0),
            (good(workspace={"machine": "i-2", "status": "failed"}), "i-1", 5.0, 20.0),
            (good(workspace={"machine": "i-2"}), "i-1", 21.0, 20.0),
        ],
    ),
    "iso_1": (
        isolation.iso_1_a_stranger_is_refused,
        ({"get": refusal(403)}, {"status": "online"}, {"status": "online"}),
        [
            ({"get": None}, {"status": "online"}, {"status": "online"}),
            ({"get": refusal(404)}, {"status": "online"}, {"status": "online"}),
            ({"get": refusal(403)}, {"status": "online"}, {"status": "stopping"}),
        ],
    ),
    "obs_2": (
        isolation.obs_2_an_unknown_workspace_is_named,
        ("ws-1", {"get": refusal(404, "there is no ws-1")}),
        [
            ("ws-1", {"get": refusal(404, "no such thing")}),
            ("ws-1", {"get": refusal(500)}),
            ("ws-1", {"get": None}),
        ],
    ),
    "rec_1": (
        reconcile.rec_1_the_request_settles,
        ("restart", None),
        [("restart", "still restarting after 60 s")],
    ),
    "rec_2": (
        reconcile.rec_2_nothing_was_written,
        (BEFORE, good()),
        [
            (TOUCHED, good()),
            ({**BEFORE, CONFIG_PATH: replace(BEFORE[CONFIG_PATH], ctime_ns=2)}, good()),
            (BEFORE, good(files={SKILL_PATH: None})),
            (BEFORE, repaired()),
        ],
    ),
    "rec_3": (
        reconcile.rec_3_no_request_was_lost,
        (1, NOW, {"boot": {"sequence": 0}}, good(), ["i-1"]),
        [
            (
                3,
                NOW,
                {"boot": {"sequence": 0}},
                good(report=changed(started_at=f"{NOW - timedelta(1)}")),
                ["i-1"],
            ),
            (1, NOW, {"boot": {"sequence": 0}}, good(), ["i-1", "i-2"]),
            (1, NOW, {"boot": {"sequence": 0}}, good(), []),
        ],
    ),
    "rec_5": (
        reconcile.rec_5_the_agent_waits_for_reconcile,
        ("provisioning", False, 0),
        [("online", False, 0), ("provisioning", True, 0)],
    ),
    "rec_6": (
        reconcile.rec_6_a_file_removed_upstream_is_removed,
        (
            good(
                report=changed(
                    paths=[
                        {
                            "path": "prompts/old.md",
                            "action": "removed",
                            "reason": "removed-upstream",
                            "aside": None,
                        }
                    ]
                )
            ),
            ["prompts/old.md"],
        ),
        [
            (good(), ["prompts/old.md"]),
            (good(files={f"{CONFIGS}/prompts/old.md": b"old"}), ["prompts/old.md"]),
        ],
    ),
    "rec_9": (
        reconcile.rec_9_a_template_update_arrives_at_the_next_boot,
        (good(), ["config.yaml"]),
        [
            (replace(good(), expected=UPDATED), ["config.yaml"]),
            (good(files={CONFIG_PATH: None}), ["config.yaml"]),
        ],
    ),
    "skl_6": (
        skills.skl_6_a_large_asset_set_is_delivered_whole,
        (good(),),
        [(good(files={SKILL_PATH: b"---\n"}),), (good(files={SKILL_PATH: None}),)],
    ),
}


def look(made: Check[...], arguments: tuple[Any, ...]) -> Saw:
    looked: Callable[..., Saw] = made.look
    return looked(*arguments)


@pytest.mark.parametrize("name", CASES)
def test_it_passes_where_all_is_well(name: str) -> None:
    made, arguments, _ = CASES[name]

    assert look(made, arguments).problems == ()


@pytest.mark.parametrize("name", CASES)
def test_it_fails_for_each_thing_that_can_be_wrong(name: str) -> None:
    made, _, wrong = CASES[name]

    assert made.name.startswith(f"{name}_")
    for arguments in wrong:
        assert look(made, arguments).problems, f"it saw nothing wrong with {arguments}"
