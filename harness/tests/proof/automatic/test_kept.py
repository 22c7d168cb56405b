"""The kept list explains mutants one by one, and outlives none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.proof.automatic.command import KEPT
from harness.proof.automatic.kept import KeptProblem, load_kept
from harness.proof.automatic.mutation import draw, modules
from harness.session import REFERENCE

from .invented import LIMITS, NAMES, module, mutation, package

JOINED = {
    "module": "invented.only",
    "within": "shout",
    "was": 'return name + "!"',
    "becomes": ['return name * "!"'],
    "reason": "Nobody shouts.",
}
WHISPER = """\

    def whisper(name):
        if name:
            return name + "."
        return name
"""


def written(folder: Path, **changes: object) -> Path:
    path = folder / "equivalents.toml"
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in {**JOINED, **changes}.items() if value is not None
    ]
    path.write_text("\n".join(["[[equivalent]]", *lines, ""]))
    return path


def test_an_entry_explains_that_change_and_no_other(tmp_path: Path) -> None:
    of = module(tmp_path, NAMES)

    (entry,) = load_kept(written(tmp_path), [of]).equivalent

    assert entry.explains(mutation(of, 'return name + "!"', 'return name * "!"'))
    assert not entry.explains(mutation(of, 'return name + "!"', 'return name - "!"'))
    assert not entry.explains(mutation(of, "if name:", "if not name:"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"was": 'return name + "?"'}, "stale: no mutant makes"),
        ({"becomes": ['return name * "!"', 'return name @ "?"']}, "'return name @ \"?\"' of"),
        ({"module": "invented.gone"}, "in invented.gone, shout any more; remove it"),
        ({"within": "whisper"}, "stale"),
        ({"reason": " "}, "reason"),
        ({"reason": None}, "reason"),
        ({"because": "no"}, "because"),
        ({"becomes": []}, "becomes"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_an_entry_that_explains_nothing_is_refused(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    path = written(tmp_path, **changes)

    with pytest.raises(KeptProblem) as refused:
        load_kept(path, [module(tmp_path, NAMES)])

    assert str(refused.value).startswith(str(path))
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("within", "left"),
    [("shout", ["limits", "names"]), ("", ["limits"])],
    ids=["a function", "a module"],
)
def test_what_the_contract_leaves_open_is_not_drawn_and_changes_nothing_of_the_rest(
    tmp_path: Path, within: str, left: list[str]
) -> None:
    of = modules(package(tmp_path, names=NAMES + WHISPER, limits=LIMITS))
    path = tmp_path / "equivalents.toml"
    path.write_text(f'[[open]]\nmodule = "invented.names"\nwithin = "{within}"\nreason = "Nobody shouts."\n')
    kept = load_kept(path, of)

    everything = draw(of, 1_000, 1)
    drawn = draw(of, 1_000, 1, leaving_out=kept.leaves_open)

    assert not kept.equivalent
    assert sorted({each.module.rpartition(".")[2] for each in drawn}) == left
    for module_ in of:
        rest = [each for each in everything if each.module == module_.name]
        if module_.name == "invented.names":
            rest = [each for each in rest if within and each.statement.within == "whisper"]
        assert [each for each in drawn if each.module == module_.name] == rest


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('module = "invented.only"\nwithin = "whisper"\nreason = "No."', "nothing to mutate in invented.only, whisper"),
        ('module = "invented.gone"\nreason = "No."', "nothing to mutate in invented.gone any more"),
        ('module = "invented.only"\nreason = " "', "reason"),
        ('module = "invented.only"', "reason"),
    ],
    ids=["no such function", "no such module", "an empty reason", "no reason"],
)  # fmt: skip
def test_a_place_that_is_not_there_or_not_explained_is_refused(
    tmp_path: Path, entry: str, problem: str
) -> None:
    path = tmp_path / "equivalents.toml"
    path.write_text(f"[[open]]\n{entry}\n")

    with pytest.raises(KeptProblem) as refused:
        load_kept(path, [module(tmp_path, NAMES)])

    assert str(refused.value).startswith(str(path))
    assert problem in str(refused.value)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeptProblem, match="no such file"):
        load_kept(tmp_path / "equivalents.toml", [])


def test_every_entry_that_is_kept_explains_a_mutant_of_the_reference() -> None:
    assert load_kept(KEPT, modules(REFERENCE.parent)).equivalent
