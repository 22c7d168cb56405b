"""An implementation whose API differs brings an adapter, which is found before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.adapter import lifecycle_of
from harness.contract.lifecycle import HttpLifecycle
from harness.contract.manifest import Implementation, ManifestProblem, load_implementation

MANIFEST = """\
contract = "1.0"
name = "other"
version = "3"
adapter = "{adapter}"
[capabilities]
transports = ["git"]
[provisioner.process]
command = ["serve"]
[machine.process]
command = ["boot"]
"""


def implementation(folder: Path, adapter: str) -> Implementation:
    path = folder / "implementation.toml"
    path.write_text(MANIFEST.replace("{adapter}", adapter))
    return load_implementation(path, revision="1.0")


def test_an_adapter_beside_the_manifest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_adapter.py").write_text(
        "class Theirs:\n    def __init__(self, url, token):\n        self.url = url\n"
    )

    made = lifecycle_of(implementation(tmp_path, "their_adapter:Theirs"))("http://here", "token")

    assert type(made).__name__ == "Theirs"
    assert vars(made) == {"url": "http://here"}


@pytest.mark.parametrize("adapter", ["no_such_module:Theirs", "json:Theirs"])
def test_an_adapter_that_cannot_be_had_is_named(tmp_path: Path, adapter: str) -> None:
    with pytest.raises(ManifestProblem, match=f"adapter = '{adapter}'"):
        lifecycle_of(implementation(tmp_path, adapter))


def test_without_one_the_api_is_lifecycle_yamls(tmp_path: Path) -> None:
    loaded = implementation(tmp_path, "json:loads").model_copy(update={"adapter": None})

    assert lifecycle_of(loaded) is HttpLifecycle
