"""A volume of the old world is what the contract says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.runtime.volume import DirectoryVolume
from harness.scenario.old_volume import AGENT_OWNED, STUBS, leave_as_before_this_design
from harness.templates.model import is_asset

FALLBACK = {"name", "description", "version", "tier", "runtime", "model", "runtime_config", "skills"}


@pytest.mark.parametrize("size", STUBS)
def test_a_stub_has_its_size_and_a_fallbacks_keys_only(size: str) -> None:
    stub = yaml.safe_load(STUBS[size])

    assert len(STUBS[size]) == int(size.split()[0])
    assert stub.keys() <= FALLBACK
    assert stub["skills"] == []
    assert stub.get("runtime_config", {}).keys() <= {"timeout"}


@pytest.mark.parametrize("config", [STUBS["59 bytes"], None])
def test_a_volume_of_the_old_world_holds_no_asset_but_a_stub_and_no_state(
    tmp_path: Path, config: bytes | None
) -> None:
    volume = DirectoryVolume("vol", tmp_path)
    volume.write(".boot/state.json", b"{}")
    volume.write("configs/agent-skills/notes/SKILL.md", b"---\n")

    leave_as_before_this_design(volume, config)

    there = dict(volume.files())
    assert there.pop("configs/config.yaml", None) == config
    assert there == AGENT_OWNED
    assert not [path for path in AGENT_OWNED if is_asset(path.removeprefix("configs/"))]
