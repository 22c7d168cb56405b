"""The config of the design before this one: what of it lands on a volume, what does not, and what is said of it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from harness.reference.boot.legacy import LegacyConfig
from harness.reference.errors import BootError

from .conftest import BOOTSTRAP, CONFIG, World, template
from .volumes import contents, deliver, stamps

PASSWORD = BOOTSTRAP["db_password"]
EDITED = CONFIG.replace(b"name: Helper", b"name: Mine  # ours") + b"env:\n  LEVEL: debug\n"
STUB = b"name: agent\ndescription: ''\nversion: 0.1.0\nruntime: default\nskills: []\n"


def legacy(text: bytes, *, tainted: bool = False) -> LegacyConfig:
    return LegacyConfig(text, "molecule/workspace/ws-1/config", tainted, tainted)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "configs").mkdir(parents=True)
    return tmp_path / "data"


def live(data: Path) -> bytes:
    return (data / "configs" / "config.yaml").read_bytes()


@pytest.mark.parametrize("on_the_volume", [None, b"", STUB, b"a: [", b'{"message": "Not Found"}'], ids=repr)
def test_it_counts_as_the_users_edit_where_the_volume_has_no_config_of_its_own(
    data: Path, on_the_volume: bytes | None
) -> None:
    if on_the_volume is not None:
        (data / "configs" / "config.yaml").write_bytes(on_the_volume)
    old = b"name: Mine\nenv:\n  LEVEL: debug\n"

    done = deliver(data, template(), legacy=legacy(old))

    assert yaml.safe_load(live(data)) == yaml.safe_load(CONFIG) | yaml.safe_load(old)
    aside, merged = (note for note in done.notes if note.path == "config.yaml")
    assert (aside.action, aside.reason) == ("laid-aside", "legacy-config: name")
    assert aside.aside is not None
    assert (data / aside.aside).read_bytes() == CONFIG
    assert merged.action == "merged"
    assert merged.reason.startswith("legacy-config")
    if on_the_volume:
        assert merged.aside is not None
        assert (data / merged.aside).read_bytes() == on_the_volume
    before = stamps(data)
    for again in (legacy(old), None):
        (note,) = deliver(data, template(), legacy=again).notes
        assert (note.action, note.reason) == ("preserved", "user-edit")
        assert stamps(data) == before


def test_a_boot_that_lost_it_before_it_was_verified_takes_it_over_again(data: Path) -> None:
    deliver(data, template(), legacy=legacy(EDITED))
    (data / "configs" / "config.yaml").unlink()

    deliver(data, template(), legacy=legacy(EDITED))

    assert live(data) == EDITED


def test_a_config_on_the_volume_wins_and_the_old_one_is_kept_aside_and_named_once(data: Path) -> None:
    (data / "configs" / "config.yaml").write_bytes(EDITED)
    old = EDITED.replace(b"debug", b"info")

    done = deliver(data, template(), legacy=legacy(old))

    assert live(data) == EDITED
    note = done.notes[0]
    assert (note.path, note.action) == ("config.yaml", "skipped")
    assert note.aside is not None
    assert (data / note.aside).read_bytes() == old
    assert all(note.action != "skipped" for note in deliver(data, template(), legacy=legacy(old)).notes)


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (STUB, "stub"),
        (b'{"message": "Not Found"}', "error-body"),
        (b"a: [", "unparsable"),
        (b"name: x\nname: y\nenv: {}\n", "unparsable"),
        (b"", "empty"),
        (CONFIG[:30], "truncated"),
    ],
)
def test_what_no_user_wrote_is_not_taken_over_but_named_and_kept_aside(
    data: Path, old: bytes, why: str
) -> None:
    done = deliver(data, template(), legacy=legacy(old))

    assert live(data) == CONFIG
    rejected, delivered = (note for note in done.notes if note.path == "config.yaml")
    assert (rejected.action, rejected.reason) == ("rejected", f"legacy-config: {why}")
    assert rejected.aside is not None
    assert (data / rejected.aside).read_bytes() == old
    assert delivered.action == "delivered"


@pytest.mark.parametrize("empty", [b"skills: []\n", b"skills:\n"])
def test_an_empty_list_of_skills_is_no_choice_of_the_users(data: Path, empty: bytes) -> None:
    deliver(data, template(), legacy=legacy(b"name: Mine\nenv: {}\n" + empty))

    assert yaml.safe_load(live(data))["skills"] == ["audit", "review"]


def test_the_templates_own_config_is_delivered_as_ever(data: Path) -> None:
    done = deliver(data, template(), legacy=legacy(CONFIG))

    assert live(data) == CONFIG
    assert {note.action for note in done.notes} == {"delivered"}


def test_a_bootstrap_value_in_it_is_refused_by_name_before_anything_is_written(data: Path) -> None:
    with pytest.raises(BootError) as refused:
        deliver(data, template(), legacy=legacy(EDITED, tainted=True))

    assert refused.value.code == "credential-in-legacy-config"
    assert "molecule/workspace/ws-1/config" in str(refused.value)
    assert contents(data) == {}


def test_one_that_is_not_needed_is_not_kept_with_a_bootstrap_value_in_it(data: Path) -> None:
    (data / "configs" / "config.yaml").write_bytes(EDITED)

    done = deliver(data, template(), legacy=legacy(EDITED + b"key: value\n", tainted=True))

    assert live(data) == EDITED
    assert (done.notes[0].action, done.notes[0].aside) == ("skipped", None)
    assert not list((data / ".boot" / "aside").rglob("*.legacy"))


def test_a_machine_asks_for_it_only_where_it_is_told_to(world: World) -> None:
    world.publish(template())
    world.provisioner.legacy_config = EDITED.decode()
    report = world.boot()
    assert world.provisioner.asked == []
    assert (world.configs / "config.yaml").read_bytes() == CONFIG

    (world.configs / "config.yaml").unlink()
    world.orders = {"legacy_config": True}
    report = world.boot()

    (asked,) = world.provisioner.asked
    assert asked.keys() == {"workspace", "boot_sequence", "identity_proof"}
    assert (report["outcome"], report["delivered"]) == ("ready", report["expected"])
    assert (world.configs / "config.yaml").read_bytes() == EDITED


def test_without_an_answer_there_is_no_boot(world: World) -> None:
    world.publish(template())
    world.orders = {"legacy_config": True}
    world.provisioner.legacy_config = 17

    report = world.boot()

    assert (report["outcome"], report["error"]["code"]) == ("failed", "legacy-config-unavailable")
    assert list(world.configs.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"db: {PASSWORD}\n", "credential-in-legacy-config"),
        (
            'db: "' + "".join(f"\\x{ord(each):02x}" for each in PASSWORD) + '"\n',
            "credential-in-legacy-config",
        ),
        (f"db: [{b64encode(PASSWORD.encode()).decode()}]\n", "credential-in-legacy-config"),
        (f"db: [{PASSWORD[:20]}\n", None),
    ],
    ids=["as it is", "escaped", "in base64", "in part, in what does not parse"],
)
def test_a_bootstrap_value_does_not_land_on_the_volume_and_is_shown_nowhere(
    world: World, line: str, code: str | None
) -> None:
    world.publish(template())
    world.orders = {"legacy_config": True}
    world.provisioner.legacy_config = EDITED.decode() + line

    report = world.boot()

    assert (report["error"] or {}).get("code") == code
    everything = [path.read_bytes() for path in world.data.rglob("*") if path.is_file()]
    console = (world.directory / f"console-{world.sequence}").read_bytes()
    assert all(line.strip().encode() not in text for text in (*everything, console))
    assert (world.configs / "config.yaml").exists() == (code is None)
