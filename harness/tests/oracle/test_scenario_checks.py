"""The checks that scenarios make of themselves pass where all is well, and each can fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.contract.lifecycle import Refused
from harness.oracle import (
    allowlist,
    boundary,
    channel,
    failing,
    heal,
    isolation,
    observability,
    reconcile,
    skills,
)
from harness.oracle.failing import Aftermath
from harness.oracle.seen import CONFIGS, CREDENTIAL_FILE, Seen

from .cases import Case, assert_fails, assert_passes, look
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


def error(message: str) -> dict[str, Any]:
    return {"status": "failed", "error": {"code": "upstream", "message": message, "hint": "ask them"}}


def seen_with(entries: dict[str, Any]) -> Seen:
    return replace(good(), entries={**good().entries, **entries})


def aftermath(status: str = "online", **changes: Any) -> Aftermath:
    """Of a workspace whose trouble is over, with all that it should have, and nothing else."""
    document = {
        "status": status,
        "machine": "i-2",
        "volume": "vol-1",
        "boot": {"sequence": 2, "reason": "restart"},
        "error": NAMED if status == "failed" else None,
        **changes.pop("document", {}),
    }
    alive = status not in {"failed", "deleted"}
    settings = {
        "trouble": None,
        "machines": ["i-2"] * alive,
        "volumes": ["vol-1"],
        "answers": alive,
        **changes,
    }
    return Aftermath(document, **settings)


def refused_secret(said: str, **changes: Any) -> Seen:
    error = {"code": "secret-malformed", "message": said, "hint": "write it anew"}
    return good(**{"card": None, "workspace": {"status": "failed", "error": error}, **changes})


NAMED = {"code": "launch-capacity", "message": "EC2 has no room", "hint": "restart the workspace later"}
PREVIOUS = {"volume": "vol-1", "boot": {"sequence": 1, "reason": "provision"}}
GONE = Aftermath(None, None, [], [], answers=False)


def updated(**changes: Any) -> dict[str, Any]:
    """The status of a workspace that took an update in."""
    delivered = {"files": 3, "digest": "d" * 64}
    boot = {"report": {"commit": "c" * 40, "delivered": delivered}}
    return {"id": "ws-1", "status": "online", "boot": boot, "error": None, **changes}


BEFORE = {**good().entries, MEMORY: entry(MEMORY, b"mine")}
STATE = ".platform/state"
STATED = seen_with({STATE: entry(STATE, b"two")})
DOUBTED = {"status": "online", "machine": "i-1", "boot": {"sequence": 1}}
LATE, EARLY = (good(report=changed(started_at=f"{NOW + timedelta(days)}")) for days in (1, -1))
stopped = good(workspace={"status": "stopped"}, report=changed(started_at=f"{NOW + timedelta(1)}"))
resumed = replace(LATE, expected=replace(LATE.expected, reason="resume"))
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
EDITIONS = (good().expected.template, UPDATED.template.with_file("prompts/new.md", b"# New\n"))
NO_SPACE = {"code": "volume-full", "message": "No space left on device", "hint": "enlarge the volume"}
FULL = good(workspace={"status": "degraded", "error": NO_SPACE})


def edited(path: str, content: bytes, **changes: Any) -> Seen:
    """With a user's edit that the snapshot held."""
    files = {path: content, **changes.pop("files", {})}
    seen = good(files=files, **changes)
    return replace(seen, expected=replace(seen.expected, edits={path.removeprefix(f"{CONFIGS}/"): content}))


RESTORED = edited(SKILL_PATH, b"mine")
WORKSPACE = {"id": "ws-1", "status": "online", "machine": "i-1"}
MALFORMED = {"template": refusal(422, "template: no string")}
NOT_REFUSED: list[tuple[Any, ...]] = [
    ("snap-1", None, {"status": "online"}, {"status": "online"}),
    ("snap-1", refusal(403, "no snapshot snap-1"), {"status": "online"}, {"status": "online"}),
    ("snap-1", refusal(404, "no such thing"), {"status": "online"}, {"status": "online"}),
    ("snap-1", refusal(404, "no snapshot snap-1"), {"status": "online"}, {"status": "restoring"}),
]
CASES: dict[str, Case] = {
    "alw_5": (
        allowlist.alw_5_agent_owned_files_are_untouched,
        (seen_with({MEMORY: BEFORE[MEMORY]}), BEFORE),
        [
            (good(), BEFORE),
            (seen_with({MEMORY: entry(MEMORY, b"yours")}), BEFORE),
            (seen_with({MEMORY: entry(MEMORY, b"mine", 0o600)}), BEFORE),
            (seen_with({MEMORY: replace(BEFORE[MEMORY], mtime_ns=2)}), BEFORE),
            (STATED, {STATE: entry(STATE, b"one")}),
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
            (failed(workspace={"status": "failed", "error": {"code": "x", "message": "", "hint": "z"}}),),
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
    "fail_3": (
        failing.fail_3_a_failing_volume_keeps_its_tree_and_is_reported,
        (FULL, "full", ["space"], *EDITIONS),
        [
            (good(workspace={"error": NO_SPACE}), "full", ["space"], *EDITIONS),
            (good(workspace={"status": "degraded"}), "full", ["space"], *EDITIONS),
            (FULL, "full", ["read-only"], *EDITIONS),
            (
                replace(FULL, entries=good(files={CONFIG_PATH: CONFIG[:9]}).entries),
                "full",
                ["space"],
                *EDITIONS,
            ),
            (replace(FULL, entries=good(files={SKILL_PATH: None}).entries), "full", ["space"], *EDITIONS),
        ],
    ),
    "fail_6_a_restore": (
        failing.fail_6_a_restore_leaks_no_volume,
        ("vol-1", False),
        [("vol-1", True)],
    ),
    "fail_4_a_secret": (
        failing.fail_4_a_secret_that_cannot_be_had_is_named_and_no_agent_starts,
        (refused_secret("the secret is not JSON"), "cut short", ["json"]),
        [
            (good(), "cut short", ["json"]),
            (refused_secret("the secret is odd"), "cut short", ["json"]),
            (refused_secret("the secret is not JSON", card={"name": "half"}), "cut short", ["json"]),
            (
                refused_secret(
                    "", workspace={"status": "failed", "error": {"message": "a secret is not JSON"}}
                ),
                "cut short",
                ["json"],
            ),
            (
                good(card=None, workspace={"error": refused_secret("the secret is not JSON").error}),
                "cut short",
                ["json"],
            ),
        ],
    ),
    "fail_4_a_transient": (
        failing.fail_4_a_transient_fault_is_retried,
        (good(), "throttled", 2, 2),
        [(good(), "throttled", 1, 2), (failed(), "throttled", 2, 2)],
    ),
    "fail_5_the_provisioner": (
        failing.fail_5_the_provisioner_comes_up_again,
        (None,),
        [("it does not answer /healthz",)],
    ),
    "fail_5_what_was_begun": (
        failing.fail_5_what_was_begun_is_finished_or_failed,
        (aftermath(), PREVIOUS, "online", "restart"),
        [
            (GONE, PREVIOUS, "online", "restart"),
            (aftermath(trouble="still restarting"), PREVIOUS, "online", "restart"),
            (aftermath("stopped"), PREVIOUS, "online", "restart"),
            (aftermath("failed", document={"error": {"code": "x"}}), PREVIOUS, "online", "restart"),
            (aftermath(), PREVIOUS, "online", "resume"),
            (aftermath(document={"boot": PREVIOUS["boot"]}), PREVIOUS, "online", "provision"),
            (aftermath(answers=False), PREVIOUS, "online", "restart"),
            (aftermath(), PREVIOUS, "deleted", None),
        ],
    ),
    "fail_5_nothing": (
        failing.fail_5_nothing_is_orphaned,
        (aftermath(), PREVIOUS, False),
        [
            (aftermath(machines=["i-1", "i-2"]), PREVIOUS, False),
            (aftermath(machines=[]), PREVIOUS, False),
            (aftermath(volumes=["vol-1", "vol-2"]), PREVIOUS, False),
            (aftermath(document={"volume": "vol-2"}, volumes=["vol-2"]), PREVIOUS, False),
            (replace(GONE, machines=["i-2"]), {}, False),
        ],
    ),
    "fail_5_nothing_is": (
        failing.fail_5_nothing_is_orphaned,
        (aftermath(document={"volume": "vol-2"}, volumes=["vol-2"]), PREVIOUS, True),
        [
            (aftermath(document={"volume": "vol-2"}, volumes=["vol-1", "vol-2"]), PREVIOUS, True),
            (aftermath(document={"volume": "vol-2"}, volumes=[]), PREVIOUS, True),
            (aftermath(), PREVIOUS, True),
        ],
    ),
    "fail_6_a_launch_that_is_refused_is_reported": (
        failing.fail_6_a_launch_that_is_refused_is_reported_meanwhile,
        ({"status": "provisioning", "error": NAMED}, "no capacity"),
        [
            ({"status": "provisioning", "error": None}, "no capacity"),
            ({"status": "provisioning", "error": {**NAMED, "message": ""}}, "no capacity"),
            ({"status": "failed", "error": NAMED}, "no capacity"),
        ],
    ),
    "fail_6_a_launch_that_is_refused_for_a_while": (
        failing.fail_6_a_launch_that_is_refused_for_a_while_is_made_in_the_end,
        (good(), "no capacity", 3),
        [(failed(), "no capacity", 3), (good(workspace={"error": NAMED}), "no capacity", 3)],
    ),
    "fail_6_a_launch_that_is_never": (
        failing.fail_6_a_launch_that_is_never_possible_fails_and_leaves_nothing,
        (aftermath("failed"), "no capacity", 3, "vol-1"),
        [
            (aftermath("failed"), "no capacity", 1, "vol-1"),
            (aftermath("failed", machines=["i-2"]), "no capacity", 3, None),
            (aftermath("failed", document={"volume": None}), "no capacity", 3, None),
            (aftermath("failed", volumes=[]), "no capacity", 3, "vol-1"),
            (aftermath("failed", document={"error": None}), "no capacity", 3, None),
            (aftermath("failed", trouble="still provisioning"), "no capacity", 3, None),
            (aftermath("online"), "no capacity", 3, None),
        ],
    ),
    "fail_7_a_deletion": (
        failing.fail_7_a_deletion_is_final,
        (aftermath("deleted"), "a restart", "vol-1"),
        [
            (aftermath("deleted", machines=["i-2"]), "a restart", "vol-1"),
            (aftermath("deleted", volumes=[]), "a restart", "vol-1"),
            (aftermath("deleted"), "a restart", None),
            (aftermath("stopped"), "a restart", "vol-1"),
            (aftermath("deleted", trouble="still deleting"), "a restart", "vol-1"),
        ],
    ),
    "fail_7_a_deleted": (
        failing.fail_7_a_deleted_workspace_takes_no_requests,
        ("ws-1", {"restart": refusal(409, "workspace ws-1 is deleted")}),
        [
            ("ws-1", {"restart": None}),
            ("ws-1", {"restart": refusal(500, "workspace ws-1")}),
            ("ws-1", {"restart": refusal(409, "no")}),
        ],
    ),
    "fail_7": (
        failing.fail_7_delete_leaves_nothing_behind,
        ([], [], []),
        [
            (["i-1"], [], []),
            ([], ["vol-1"], []),
            ([], [], ["molecule-tenant-acme"]),
            ([], [], [], ["snap-1"]),
        ],
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
    "heal_8": (
        heal.heal_8_what_is_in_a_directory_in_a_files_place_is_not_destroyed,
        (good(files={".boot/aside/1/note.txt": b"mine"}), "config.yaml", b"mine"),
        [(good(), "config.yaml", b"mine")],
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
    "heal_7_it": (
        heal.heal_7_it_is_replaced_once,
        ("it freezes", "i-2", 1, ["i-2"]),
        [
            ("it freezes", "i-2", 2, ["i-2"]),
            ("it freezes", "i-2", 0, ["i-2"]),
            ("it freezes", "i-2", 1, ["i-1", "i-2"]),
        ],
    ),
    "heal_7_a_transient": (
        heal.heal_7_a_transient_doubt_replaces_nothing,
        (DOUBTED, DOUBTED, 3.0, 0),
        [
            (DOUBTED, {**DOUBTED, "machine": "i-2"}, 3.0, 0),
            (DOUBTED, {**DOUBTED, "boot": {"sequence": 2}}, 3.0, 0),
            (DOUBTED, {**DOUBTED, "status": "healing"}, 3.0, 0),
            (DOUBTED, DOUBTED, 3.0, 1),
        ],
    ),
    "heal_7_a_healthy": (
        heal.heal_7_a_healthy_machine_is_not_replaced,
        (DOUBTED, DOUBTED, True),
        [
            (DOUBTED, {**DOUBTED, "machine": "i-2"}, True),
            (DOUBTED, {**DOUBTED, "boot": {"sequence": 2}}, True),
            (DOUBTED, {**DOUBTED, "status": "healing"}, True),
            (DOUBTED, DOUBTED, False),
        ],
    ),
    "heal_7_one": (
        heal.heal_7_one_that_dies_again_and_again_fails_without_a_storm,
        (aftermath("failed"), 3),
        [
            (aftermath("online"), 3),
            (aftermath("failed", machines=["i-3"]), 3),
            (aftermath("failed", document={"error": None}), 3),
            (aftermath("failed", trouble="still healing"), 3),
            (aftermath("failed"), 11),
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
    "obs_1_each_path": (
        observability.obs_1_each_path_is_reported_with_what_became_of_it,
        (repaired(), {"config.yaml": ("repaired",), "README.md": ("skipped", "rejected")}),
        [
            (good(), {"config.yaml": ("repaired",)}),
            (repaired(), {"config.yaml": ("preserved",)}),
            (
                good(report=changed(paths=[{"path": "a", "action": "removed", "reason": "", "aside": None}])),
                {"a": ("removed",)},
            ),
        ],
    ),
    "obs_2_an_error": (
        observability.obs_2_an_error_is_bounded_and_names_the_cause,
        (failed(), ("ref",), "a long text"),
        [
            (
                failed(workspace={"status": "failed", "error": {"message": "ref"}}),
                ("ref",),
                "x y",
            ),
            (failed(), ("capacity",), "a long text"),
            (failed(), ("ref",), "there is no ref 'nope' in acme/taker"),
            (failed(workspace=error("ref " * 600)), ("ref",), "a long text"),
        ],
    ),
    "obs_2_what_aws": (
        observability.obs_2_what_aws_refuses_is_answered_with_its_cause,
        ("secrets", refusal(502, "AWS denied it"), ("denied",), ("a long text",)),
        [
            ("secrets", None, ("denied",), ("a long text",)),
            ("secrets", refusal(400, "AWS denied it"), ("denied",), ("a long text",)),
            ("secrets", refusal(502, "it failed"), ("denied",), ("a long text",)),
            ("secrets", refusal(502, "denied: a long text"), ("denied",), ("a long  text",)),
            ("secrets", refusal(502, "denied " * 600), ("denied",), ("a long text",)),
        ],
    ),
    "obs_2_a_wait": (
        observability.obs_2_a_wait_ends_with_its_time,
        (1.0, 1.2, "provisioning"),
        [(1.0, 9.0, "provisioning"), (1.0, 9.0, "online")],
    ),
    "obs_2_all_who_wait": (
        observability.obs_2_all_who_wait_hear_of_the_end,
        ({"one": 0.0, "other": 0.1},),
        [({"one": 9.5, "other": 0.0},)],
    ),
    "obs_2_a_malformed_request": (
        observability.obs_2_a_malformed_request_is_refused_by_name_and_changes_nothing,
        (MALFORMED, WORKSPACE, WORKSPACE, ["ws-1"]),
        [
            ({"template": None}, WORKSPACE, WORKSPACE, ["ws-1"]),
            ({"template": refusal(500, "template: no string")}, WORKSPACE, WORKSPACE, ["ws-1"]),
            ({"template": refusal(422, "no")}, WORKSPACE, WORKSPACE, ["ws-1"]),
            (MALFORMED, WORKSPACE, {**WORKSPACE, "machine": "i-2"}, ["ws-1"]),
            (MALFORMED, WORKSPACE, WORKSPACE, ["ws-1", "ws-2"]),
        ],
    ),
    "obs_2_a_refusal": (
        observability.obs_2_a_refusal_names_what_is_wrong,
        ("list", refusal(401, "the token is not known"), 401, "token"),
        [
            ("list", None, 401, "token"),
            ("list", refusal(403, "the token is not known"), 401, "token"),
            ("list", refusal(401, "no"), 401, "token"),
        ],
    ),
    "iso_1_another_tenants_snapshot": (
        isolation.iso_1_another_tenants_snapshot_is_unknown,
        ("snap-1", refusal(404, "no snapshot snap-1"), {"status": "online"}, {"status": "online"}),
        NOT_REFUSED,
    ),
    "obs_2_an_unknown_snapshot": (
        isolation.obs_2_an_unknown_snapshot_is_named,
        ("snap-1", refusal(404, "no snapshot snap-1"), {"status": "online"}, {"status": "online"}),
        NOT_REFUSED,
    ),
    "iso_1_what_was_published": (
        isolation.iso_1_what_was_published_for_a_former_tenant_nobody_reads,
        ({"artifacts/a": "AccessDenied", "artifacts/b": "NoSuchKey"},),
        [({"artifacts/a": "AccessDenied", "artifacts/b": "allowed"},), ({},)],
    ),
    "iso_1_what_is_published": (
        isolation.iso_1_what_is_published_for_one_tenant_no_other_reads,
        ({"artifacts/a": "AccessDenied"},),
        [({"artifacts/a": "allowed"},), ({"artifacts/a": "NoSuchKey"},), ({},)],
    ),
    "rec_9_an_update": (
        reconcile.rec_9_an_update_arrives_everywhere,
        ([updated()], "c" * 40, "d" * 64),
        [
            ([updated(), updated(status="degraded")], "c" * 40, "d" * 64),
            ([updated()], "0" * 40, "d" * 64),
            ([updated()], "c" * 40, "0" * 64),
            ([updated(boot=None)], "c" * 40, "d" * 64),
        ],
    ),
    "chn_8_a_version": (
        channel.chn_8_a_version_is_fetched_no_more_often_than_it_must_be,
        (3, 3),
        [(4, 3), (0, 3)],
    ),
    "obs_2": (
        observability.obs_2_an_unknown_workspace_is_named,
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
    "rec_3_requests": (
        reconcile.rec_3_requests_of_all_kinds_end_as_the_last_one_asks,
        (["stop", "restart"], NOW, {"boot": {"sequence": 0}}, LATE, ["i-1"]),
        [
            (["stop", "restart"], NOW, {"boot": {"sequence": 0}}, stopped, ["i-1"]),
            (["start", "restart"], NOW, {"boot": {"sequence": 0}}, EARLY, ["i-1"]),
            (["stop", "start"], NOW, {"boot": {"sequence": 0}}, resumed, ["i-1"]),
            (["stop", "restart"], NOW, {"boot": {"sequence": 0}}, LATE, ["i-1", "i-2"]),
        ],
    ),
    "rec_4_a": (
        reconcile.rec_4_a_kill_leaves_each_file_old_or_new,
        ("here", good().entries, *EDITIONS),
        [
            ("here", good(files={CONFIG_PATH: CONFIG[:9]}).entries, *EDITIONS),
            ("here", good(files={CONFIG_PATH: None}).entries, *EDITIONS),
            ("here", good(files={SKILL_PATH: None}).entries, *EDITIONS),
            ("here", good(modes={SKILL_PATH: 0o755}).entries, *EDITIONS),
            ("here", good(files={f"{CONFIGS}/prompts/new.md": b"# N"}).entries, *EDITIONS),
        ],
    ),
    "rec_4_the": (
        reconcile.rec_4_the_next_boot_converges,
        ("here", good(), good().expected.template),
        [
            ("here", good(files={CONFIG_PATH: CONFIG[:9]}), good().expected.template),
            ("here", good(files={SKILL_PATH: None}), good().expected.template),
            ("here", good(modes={SKILL_PATH: 0o755}), good().expected.template),
            ("here", good(files={f"{CONFIGS}/prompts/old.md": b"old"}), good().expected.template),
            ("here", replace(good(), expected=UPDATED), good().expected.template),
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
    "rec_7": (
        reconcile.rec_7_a_restored_snapshot_converges_and_keeps_its_edits,
        (RESTORED, {"USER.md": b"written later"}),
        [
            (replace(RESTORED, expected=UPDATED), {}),
            (edited(SKILL_PATH, b"mine", files={SKILL_PATH: b"not mine"}), {}),
            (edited(SKILL_PATH, b"mine", files={f"{CONFIGS}/config.yaml": b"name: older"}), {}),
            (RESTORED, {SKILL_PATH.removeprefix(f"{CONFIGS}/"): b"mine"}),
            (edited(SKILL_PATH, b"mine", report=changed(commit="d" * 40)), {}),
        ],
    ),
    "rec_8": (
        reconcile.rec_8_a_blank_volume_gets_the_whole_tree,
        (good(workspace={"volume": "vol-2"}), "vol-1", [MEMORY]),
        [
            (good(workspace={"volume": "vol-1"}), "vol-1", [MEMORY]),
            (good(workspace={"volume": "vol-2"}, files={MEMORY: b"mine"}), "vol-1", [MEMORY]),
            (good(workspace={"volume": "vol-2"}, files={SKILL_PATH: None}), "vol-1", [MEMORY]),
        ],
    ),
    "rec_10": (
        reconcile.rec_10_a_repair_does_not_flap,
        (repaired(), [good()] * 3),
        [
            (repaired(), [good()] * 2),
            (repaired(), [good(), repaired(), good()]),
            (repaired(), [good(), good(), seen_with({SKILL_PATH: replace(BEFORE[SKILL_PATH], ctime_ns=2)})]),
        ],
    ),
    "rec_11_a_loss": (
        reconcile.rec_11_a_loss_that_the_caller_means_is_taken_in,
        (good(files={SKILL_PATH: None}), [SKILL_PATH.removeprefix(f"{CONFIGS}/")]),
        [(good(), [SKILL_PATH.removeprefix(f"{CONFIGS}/")])],
    ),
    "rec_9": (
        reconcile.rec_9_a_template_update_arrives_at_the_next_boot,
        (good(), ["config.yaml"]),
        [
            (replace(good(), expected=UPDATED), ["config.yaml"]),
            (good(files={CONFIG_PATH: None}), ["config.yaml"]),
        ],
    ),
    "skl_8": (
        skills.skl_8_a_machine_of_little_memory_boots_a_large_asset_set,
        (good(workspace={"machine": "i-1"}), "i-1", 1 << 28),
        [
            (good(workspace={"machine": "i-1"}, files={SKILL_PATH: b"---\n"}), "i-1", 1 << 28),
            (good(workspace={"machine": "i-1"}, files={SKILL_PATH: None}), "i-1", 1 << 28),
            (good(workspace={"machine": "i-1", "status": "degraded"}), "i-1", 1 << 28),
            (good(workspace={"machine": "i-2"}), "i-1", 1 << 28),
        ],
    ),
    "skl_6": (
        skills.skl_6_a_large_asset_set_is_delivered_whole,
        (good(),),
        [(good(files={SKILL_PATH: b"---\n"}),), (good(files={SKILL_PATH: None}),)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_passes_where_all_is_well(name: str) -> None:
    assert_passes(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_it_fails_for_each_thing_that_can_be_wrong(name: str) -> None:
    assert_fails(name, CASES[name])


def test_what_a_manifest_calls_the_implementations_own_is_not_the_agents() -> None:
    stated = replace(STATED, own_directories=(".platform",))

    saw = look(allowlist.alw_5_agent_owned_files_are_untouched, (stated, {STATE: entry(STATE, b"one")}))

    assert saw.problems == ()
