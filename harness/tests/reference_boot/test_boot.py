"""Whole boots, as processes, against the world that machines get."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.world.template_host import Fail, Unreachable

from .conftest import BOOTSTRAP, CONFIG, World, template


def test_a_first_boot_delivers_the_template_and_serves_its_agent_card(world: World) -> None:
    commit = world.publish(template())
    with world.machine() as machine:
        world.provisioner.await_heartbeats(2)
        card = machine.card()
    report = world.report()
    assert report["outcome"] == "ready", report
    assert report["commit"] == commit
    assert report["expected"]["digest"] == template().digest() == report["delivered"]["digest"]
    assert [each["id"] for each in card["skills"]] == ["audit", "review"]
    assert card == world.provisioner.registrations[0]["agent_card"]
    assert world.provisioner.heartbeats[0]["authorization"] == "Bearer token-of-the-agent"
    for path, file in template().asset_set().items():
        assert (world.configs / path).read_bytes() == file.content
        assert (world.configs / path).stat().st_mode & 0o777 == int(file.mode, 8)
    assert not (world.configs / "README.md").exists()


def test_a_boot_with_nothing_changed_fetches_nothing_and_touches_no_asset(world: World) -> None:
    world.publish(template())
    world.boot()
    before = stamps(world)
    for _ in range(2):
        report = world.boot()
        assert report["outcome"] == "ready"
        assert report["fetched"]["bytes"] == 0
        assert report["paths"] == []
        assert report["delivered"]["digest"] == template().digest()
        assert stamps(world) == before


def test_a_user_edit_survives_boots_with_and_without_the_memory_of_the_last_one(world: World) -> None:
    world.publish(template())
    world.boot()
    edited = world.configs / "agent-skills" / "audit" / "SKILL.md"
    edited.write_bytes(edited.read_bytes().replace(b"does the", b"carefully does the"))
    text, stamp = edited.read_bytes(), edited.stat()
    for forget in (False, False, True, False):
        if forget:
            (world.data / ".boot" / "state.json").write_text('{"torn')
        report = world.boot()
        assert edited.read_bytes() == text
        assert edited.stat().st_ctime_ns == stamp.st_ctime_ns
        assert report["outcome"] == "ready"
        assert noted(report)["agent-skills/audit/SKILL.md"] == ("preserved", "user-edit")
        assert {verb for verb, _ in noted(report).values()} <= {"preserved", "skipped"}


def test_a_corrupt_copy_of_the_version_before_stands_in_no_updates_way(world: World) -> None:
    world.publish(template())
    world.boot()
    edited = world.configs / "config.yaml"
    edited.write_bytes(CONFIG.replace(b"helps", b"helps me"))
    (bodies,) = world.data.glob(".boot/generations/*/bodies")
    bodies.write_bytes(bodies.read_bytes()[::-1])
    world.publish(template().with_file("config.yaml", CONFIG + b"model: opus\n"))
    report = world.boot()
    assert report["outcome"] == "ready"
    assert edited.read_bytes() == CONFIG.replace(b"helps", b"helps me") + b"model: opus\n"


def test_a_lost_config_is_healed_from_the_volume_while_the_template_host_is_away(world: World) -> None:
    world.publish(template())
    world.boot()
    (world.configs / "config.yaml").unlink()
    with world.templates.intercept("acme/helper", Unreachable()) as away:
        report = world.boot()
    assert away.hits
    assert (report["outcome"], report["error"]["code"]) == ("degraded", "template-host-unreachable")
    assert noted(report)["config.yaml"] == ("repaired", "absent")
    assert (world.configs / "config.yaml").read_bytes() == CONFIG


def test_a_first_boot_that_cannot_fetch_fails_by_name_and_leaves_no_asset(world: World) -> None:
    world.publish(template())
    world.identity = "acme/helper@no-such-branch"
    with world.machine() as machine:
        assert machine.wait() == 1
    report = world.report()
    assert (report["outcome"], report["error"]["code"]) == ("failed", "ref-not-found")
    assert "no-such-branch" in report["error"]["message"]
    assert world.provisioner.registrations[-1]["agent_card"] is None
    assert list(world.configs.iterdir()) == []


def test_an_unknown_template_is_named(world: World) -> None:
    world.identity = "acme/missing@main"
    with world.machine() as machine:
        assert machine.wait() == 1
    error = world.report()["error"]
    assert error["code"] in ("template-not-found", "template-host-denied")
    assert "acme/missing" in error["message"]


def test_a_private_template_is_read_with_the_token_which_is_nowhere_afterwards(world: World) -> None:
    private = world.templates.create_repository("acme/private")
    private.publish(template())
    token = world.templates.issue_token("acme")
    world.set_bootstrap(BOOTSTRAP | {"template_repo_token": token})
    world.identity = "acme/private@main"
    with world.machine() as machine:
        world.provisioner.await_heartbeats(1)
        argv = Path(f"/proc/{machine.process.pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{machine.process.pid}/environ").read_bytes()
    assert world.report()["outcome"] == "ready"
    everything = [path.read_bytes() for path in world.data.rglob("*") if path.is_file()]
    for text in (*everything, argv, environment, machine.console.read_bytes()):
        assert token.encode() not in text
        assert not any(value.encode() in text for value in BOOTSTRAP.values())
    assert b"AWS" not in environment


def test_without_a_token_no_authorization_header_is_sent(world: World) -> None:
    world.publish(template())
    world.boot()
    requests = world.templates.requests.of("acme/helper")
    assert requests
    assert all(request.authorization is None for request in requests)


def test_a_wrong_token_is_denied_by_name(world: World) -> None:
    world.templates.create_repository("acme/private").publish(template())
    world.set_bootstrap(BOOTSTRAP | {"template_repo_token": "nobody-gave-this-token"})
    world.identity = "acme/private@main"
    with world.machine() as machine:
        assert machine.wait() == 1
    assert world.report()["error"]["code"] == "template-host-denied"
    assert b"nobody-gave-this-token" not in machine.console.read_bytes()


@pytest.mark.parametrize("field", ["db_password", "tunnel_token"])
def test_half_a_bootstrap_secret_starts_no_agent(world: World, field: str) -> None:
    world.publish(template())
    world.set_bootstrap({name: value for name, value in BOOTSTRAP.items() if name != field})
    with world.machine() as machine:
        assert machine.wait() == 1
    error = world.report()["error"]
    assert error["code"] == "secret-malformed"
    assert field in error["message"]


def test_a_template_that_holds_a_bootstrap_value_is_refused_by_file_and_never_by_value(world: World) -> None:
    value = BOOTSTRAP["db_password"].encode()
    world.publish(template().with_file("prompts/leak.md", b"x" * 70_000 + value))
    with world.machine() as machine:
        assert machine.wait() == 1
    error = world.report()["error"]
    assert error["code"] == "credential-in-assets"
    assert "prompts/leak.md" in error["message"]
    assert not any(value in path.read_bytes() for path in world.data.rglob("*") if path.is_file())
    assert value not in machine.console.read_bytes()


def test_a_transient_fault_of_the_host_is_waited_out_as_long_as_it_asks(world: World) -> None:
    world.publish(template())
    with world.templates.intercept("acme/helper", Fail(429, times=2, retry_after=1)) as busy:
        report = world.boot()
    assert busy.hits == 2
    assert report["outcome"] == "ready"


def test_a_branch_is_followed_and_what_upstream_removed_goes(world: World) -> None:
    world.publish(template())
    world.boot()
    changed = (
        template().with_file("prompts/greeting.md", b"Hello\n").without("agent-skills/review/scripts/run.sh")
    )
    commit = world.publish(changed)
    report = world.boot()
    assert report["commit"] == commit
    assert noted(report) == {
        "README.md": ("skipped", "not-allowlisted"),
        "prompts/greeting.md": ("updated", "changed-upstream"),
        "agent-skills/review/scripts/run.sh": ("removed", "removed-upstream"),
    }
    assert not (world.configs / "agent-skills/review/scripts").exists()
    assert report["delivered"]["digest"] == changed.digest()


def test_a_template_that_loses_all_its_skills_wipes_no_working_volume(world: World) -> None:
    world.publish(template())
    world.boot()
    before = stamps(world)
    skills = [path for path in template().entries if path.startswith("agent-skills/")]
    world.publish(template().without(*skills))
    report = world.boot()
    assert (report["outcome"], report["error"]["code"]) == ("degraded", "skill-missing")
    assert stamps(world) == before
    world.orders["accept_loss"] = True
    report = world.boot()
    assert {row["path"] for row in report["paths"] if row["action"] == "removed"} == set(skills)
    assert not [path for path in (world.configs / "agent-skills").rglob("*") if path.is_file()]


def test_no_word_of_the_caller_boots_an_agent_without_a_config(world: World) -> None:
    world.publish(template())
    world.boot()
    before = stamps(world)
    world.publish(template().without("config.yaml"))
    world.orders["accept_loss"] = True
    report = world.boot()
    assert (report["outcome"], report["error"]["code"]) == ("degraded", "config-missing")
    assert "no agent runs without one" in report["error"]["message"]
    assert stamps(world) == before


def test_an_error_that_nobody_foresaw_is_reported_and_ends_the_boot_without_a_secret_in_its_words(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(template())
    secret = BOOTSTRAP["db_password"]
    _put_first_in_path(tmp_path / "bin", monkeypatch, git_that_lists_a_size_of=secret)
    with world.machine() as machine:
        assert machine.wait() == 1
    report = world.report()
    assert world.provisioner.registrations[-1]["report"] == report
    assert world.provisioner.registrations[-1]["agent_card"] is None
    error = report["error"]
    assert (report["outcome"], error["code"]) == ("failed", "boot-error")
    assert error["message"].startswith("ValueError: ")
    assert "[redacted]" in error["message"]
    assert "console" in error["hint"]
    console = machine.console.read_text()
    assert "Traceback" in console
    assert secret not in console
    assert secret not in str(report)


def _put_first_in_path(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *, git_that_lists_a_size_of: str
) -> None:
    """A git that is the real one until it is asked for a tree."""
    directory.mkdir()
    git = directory / "git"
    entry = f"100644 blob {'0' * 40} {git_that_lists_a_size_of}"
    git.write_text(
        "#!/bin/sh\n"
        f"case \"$*\" in *ls-tree*) printf '{entry}\\tconfig.yaml\\000' ;; "
        f'*) exec {shutil.which("git")} "$@" ;; esac\n'
    )
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_the_agent_ends_when_the_provisioner_dismisses_it(world: World) -> None:
    world.publish(template())
    world.provisioner.answer_to_heartbeat = 409
    with world.machine() as machine:
        assert machine.wait() == 3


def test_a_machine_that_was_replaced_while_it_booted_starts_no_agent(world: World) -> None:
    world.publish(template())
    world.provisioner.answers_to_register = [409]
    with world.machine() as machine:
        assert machine.wait() == 3


def test_a_provisioner_that_restarts_is_registered_with_once_it_answers(world: World) -> None:
    world.publish(template())
    world.provisioner.answers_to_register = [503, 502]
    assert world.boot()["outcome"] == "ready"


def test_the_agent_ends_cleanly_when_it_is_told_to(world: World) -> None:
    world.publish(template())
    with world.machine() as machine:
        world.provisioner.await_heartbeats(1)
        machine.process.terminate()
        assert machine.wait() == 0


def test_a_second_boot_on_a_volume_in_use_gives_up_by_name(world: World) -> None:
    world.publish(template())
    with world.machine():
        world.provisioner.await_heartbeats(1)
        with world.machine() as second:
            assert second.wait() == 1
        assert "another boot or agent is using this volume" in second.console.read_text()


def stamps(world: World) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in world.configs.rglob("*"):
        status = path.lstat()
        found[str(path)] = status.st_ino, status.st_mtime_ns, status.st_ctime_ns
    return found


def noted(report: Any) -> dict[str, tuple[str, str]]:
    return {note["path"]: (note["action"], note["reason"]) for note in report["paths"]}


@pytest.mark.parametrize("answer", [b"<html>please log in</html>", b"[]", b'"a text"', b"{}"])
def test_what_is_no_answer_of_a_secret_store_is_refused_by_name(world: World, answer: bytes) -> None:
    world.publish(template())
    with world.aws.faults.alter("secretsmanager:GetSecretValue", lambda _: answer) as altered:
        report = world.boot()
    assert altered.hits == 1
    assert report["error"]["code"] == "secret-unavailable"
    assert not world.configs.exists() or list(world.configs.iterdir()) == []
