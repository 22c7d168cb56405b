"""The universal oracle: what must hold of any settled workspace, whatever was done to it."""

from __future__ import annotations

from harness.templates.model import CONFIG

from . import allowlist, boundary, channel, edits, heal, migration, observability, reconcile, skills
from .check import Judge
from .seen import Document, Seen


def judge_ready(judge: Judge, seen: Seen, previous: Document | None) -> None:
    """All that must hold after a boot that had every reason to succeed."""
    with judge.universally():
        _judge_ready(judge, seen, previous)
        _judge_always(judge, seen)


def judge_always(judge: Judge, seen: Seen) -> None:
    """All that must hold of a workspace in any state, failed ones too."""
    with judge.universally():
        _judge_always(judge, seen)


def judge_without_a_boot(judge: Judge, seen: Seen) -> None:
    """The same where no machine could be launched, so that there was no boot to report of."""
    with judge.universally():
        _judge_unbooted(judge, seen)


def _judge_ready(judge: Judge, seen: Seen, previous: Document | None) -> None:
    judge(reconcile.rec_1_the_boot_reconciled, seen, previous)
    judge(reconcile.rec_5_a_good_boot_makes_the_workspace_ready, seen)
    judge(channel.chn_1_the_identity_is_recorded_and_shown, seen)
    judge(channel.chn_5_delivered_files_equal_the_templates_byte_for_byte, seen)
    judge(channel.chn_6_the_executable_bit_survives, seen)
    judge(allowlist.alw_1_only_allowlisted_paths_are_delivered, seen)
    judge(skills.skl_1_every_skill_is_complete_on_the_volume, seen)
    judge(skills.skl_2_every_named_skill_is_in_the_agent_card, seen)
    judge(skills.skl_3_every_path_left_out_is_reported_with_a_reason, seen, previous)
    judge(skills.skl_7_count_and_digest_were_compared_with_the_templates, seen)
    judge(skills.skl_9_every_command_is_on_the_volume_and_in_the_report, seen)
    judge(boundary.bnd_5_the_credential_is_gone_after_boot, seen)
    if seen.expected.edits:
        judge(edits.edit_1_user_edits_are_unchanged, seen)
    if CONFIG in seen.expected.contests:
        judge(edits.edit_2_changes_to_different_keys_are_both_there, seen)
    if seen.expected.contests:
        judge(edits.edit_3_where_both_changed_the_same_the_users_wins, seen)
    if seen.expected.added:
        judge(edits.edit_4_what_the_user_added_survives, seen)
    if seen.expected.damaged:
        judge(heal.heal_8_what_a_repair_replaces_is_kept_aside, seen)


def _judge_always(judge: Judge, seen: Seen) -> None:
    _judge_unbooted(judge, seen)
    judge(observability.obs_1_every_boot_leaves_a_report, seen)
    judge(observability.obs_2_what_is_degraded_runs, seen)


def _judge_unbooted(judge: Judge, seen: Seen) -> None:
    judge(boundary.bnd_1_only_bootstrap_secrets_are_written, seen)
    judge(boundary.bnd_2_no_asset_bytes_outside_the_asset_channel, seen)
    judge(boundary.bnd_3_no_secret_on_the_volume, seen)
    judge(boundary.bnd_4_no_secret_in_what_is_said, seen)
    judge(boundary.bnd_5_the_fetch_needs_one_credential_at_most, seen)
    judge(migration.mig_2_no_config_secret_is_written, seen)
    judge(observability.obs_2_the_lifecycle_api_answers_as_specified, seen.violations)
