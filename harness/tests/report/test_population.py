"""Whatever leaves scenarios out is told as it was typed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.report.population import NARROWING, population, selection

OPTIONS: dict[str, Any] = {
    "keyword": "", "markexpr": "", "deselect": None, "ignore": None, "ignore_glob": None, "lf": False,
    "template": [], "skills": [], "replay": None,
}  # fmt: skip


def config(root: Path, *paths: str, directory: str = ".", **options: Any) -> pytest.Config:
    """Of a run in the repository at `root`, or in a directory of it."""
    for name in ("test_a.py", "test_b.py"):
        (root / "scenarios").mkdir(exist_ok=True)
        (root / "scenarios" / name).touch()
    invocation = SimpleNamespace(dir=root / directory)
    return cast(
        pytest.Config,
        SimpleNamespace(
            option=SimpleNamespace(**{**OPTIONS, **options}),
            args=list(paths), rootpath=root, invocation_params=invocation,
        ),
    )  # fmt: skip


def test_every_option_that_narrows_is_one_of_pytests_or_of_this_plugins(pytestconfig: pytest.Config) -> None:
    lf = {"lf"} - vars(pytestconfig.option).keys()  # of a plugin that may be switched off
    assert NARROWING.keys() - lf <= vars(pytestconfig.option).keys()
    assert OPTIONS.keys() == NARROWING.keys()


@pytest.mark.parametrize(
    "paths",
    [
        ["scenarios"],
        ["scenarios", "harness/tests"],
        ["."],
        ["scenarios/test_a.py", "scenarios/test_b.py"],
        ["scenarios/../scenarios"],
    ],
)
def test_a_run_of_all_scenarios_is_not_narrowed(tmp_path: Path, paths: list[str]) -> None:
    assert selection(config(tmp_path, *paths)) == ""


def test_paths_are_taken_from_where_the_run_was_started(tmp_path: Path) -> None:
    assert selection(config(tmp_path, ".", directory="scenarios")) == ""
    assert selection(config(tmp_path, "../harness", directory="scenarios")) == "../harness"


@pytest.mark.parametrize(
    "paths",
    [
        ["scenarios/test_a.py"],
        ["scenarios/test_a.py::test_it", "scenarios/test_b.py"],
        ["scenarios/test_a.py::test_it[a-b]"],
        ["harness/tests"],
    ],
)
def test_paths_that_leave_scenarios_out_are_told(tmp_path: Path, paths: list[str]) -> None:
    assert selection(config(tmp_path, *paths)).replace("'", "").split() == paths


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keyword": "not it"}, "-k 'not it'"),
        ({"markexpr": "long"}, "-m long"),
        ({"deselect": ["a::b", "c"]}, "--deselect a::b --deselect c"),
        ({"ignore": ["scenarios/test_a.py"]}, "--ignore scenarios/test_a.py"),
        ({"ignore_glob": ["*a.py"]}, "--ignore-glob '*a.py'"),
        ({"lf": True}, "--last-failed"),
        ({"template": ["~/a"], "skills": ["~/b"]}, "--template '~/a' --skills '~/b'"),
        ({"replay": Path("counterexample")}, "--replay counterexample"),
    ],
)
def test_options_that_leave_scenarios_out_are_told(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    assert selection(config(tmp_path, "scenarios", **options)) == told


def test_of_what_was_collected_only_scenarios_count_and_each_once() -> None:
    items = [
        SimpleNamespace(nodeid="a", fixturenames=["scenario", "template"]),
        SimpleNamespace(nodeid="a", fixturenames=["scenario", "template"]),
        SimpleNamespace(nodeid="b", fixturenames=["tmp_path"]),
        SimpleNamespace(nodeid="c"),
    ]

    assert population(cast(list[pytest.Item], items)) == 1
