"""What cosmic-ray can do to a module becomes mutants, evenly drawn; what nothing could ever notice does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from harness.proof.automatic.mutation import draw, modules, named

from .invented import LIMITS, NAMES, module, package


def changed_lines(folder: Path, text: str) -> set[str]:
    return {mutation.edit.words[0] for mutation in module(folder, text).mutations()}


def test_a_draw_takes_one_of_each_module_in_turn(tmp_path: Path) -> None:
    of = modules(package(tmp_path, long="x = a + b + c\n" * 20, short=NAMES, empty='"""Nothing."""\n'))

    drawn = draw(of, 8, seed=7)

    assert Counter(mutation.module for mutation in drawn) == {"invented.long": 4, "invented.short": 4}
    assert len({(mutation.edit, mutation.module) for mutation in drawn}) == 8, "none is drawn twice"


def test_a_draw_is_decided_by_its_seed(tmp_path: Path) -> None:
    of = modules(package(tmp_path))

    assert draw(of, 9, seed=1) == draw(of, 9, seed=1)
    assert draw(of, 9, seed=1) != draw(of, 9, seed=2)
    assert set(draw(of, 4, seed=1)) < set(draw(of, 9, seed=1)), "a larger draw takes more, and not others"


def test_an_edit_elsewhere_leaves_the_order_of_a_draw_as_it_is(tmp_path: Path) -> None:
    source = package(tmp_path, names=NAMES)
    before = draw(modules(source), 10_000, seed=1)
    text = (source / "names.py").read_text()
    (source / "names.py").write_text(f"def new(count):\n    return count + 1\n\n\n{text}")

    after = draw(modules(source), 10_000, seed=1)

    assert [each.id for each in after if each.statement.within != "new"] == [each.id for each in before]
    assert len(after) > len(before) > 5


def test_a_draw_ends_where_there_are_no_more(tmp_path: Path) -> None:
    of = modules(package(tmp_path))

    drawn = draw(of, 10_000, seed=1)

    assert {each.id for each in drawn} == {made.id for each in of for made in each.mutations()}


def test_what_no_behaviour_rests_on_is_left_alone(tmp_path: Path) -> None:
    assert changed_lines(tmp_path, LIMITS) == {
        "_MOST = 2",
        "if count is None:",
        "return False",
        "return count < _MOST",
        "\n\n@dataclass(frozen=True, slots=True)",  # the decorator as a whole, and neither of its guards
    }


def test_of_a_tables_column_what_is_unique_counts_and_neither_guard_nor_index(tmp_path: Path) -> None:
    (made,) = module(
        tmp_path, 'T = Table(Column("a", nullable=False, index=True, unique=True))\n'
    ).mutations()

    assert made.edit.words[1] == 'T = Table(Column("a", nullable=False, index=True, unique=False))'


def test_a_mutant_knows_where_it_is(tmp_path: Path) -> None:
    (of,) = modules(package(tmp_path, limits=LIMITS))
    places = {made.edit.words[0]: made.statement for made in of.mutations()}

    assert places["return False"].within == "within"
    assert not places["return False"].at_import
    assert places["_MOST = 2"].at_import
    assert places["_MOST = 2"].names == ("_MOST",)


def test_a_mutant_is_found_by_its_id_wherever_it_has_moved(tmp_path: Path) -> None:
    source = package(tmp_path, names=NAMES)
    before = draw(modules(source), 1, seed=1)[0]
    (source / "names.py").write_text("# new\n\n" + (source / "names.py").read_text())

    found = named(modules(source), [before.id])[before.id]

    assert found.edit.words == before.edit.words
    assert found.edit.line == before.edit.line + 2
    assert named(modules(source), ["names-00000000"]) == {}, "no mutant has that id"


def test_equal_lines_of_one_function_make_mutants_of_different_ids(tmp_path: Path) -> None:
    text = """\
    def of(a, b):
        if a:
            return b + 1
        # as before
        if b:
            return b + 1
        return a
    """
    (of,) = modules(package(tmp_path, names=text))
    made = list(of.mutations())
    assert {each.edit.line for each in made if each.edit.words[0] == "return b + 1"} == {3, 6}, (
        "there are twins"
    )

    assert len({each.id for each in made}) == len(made)
    for one in made:
        assert named([of], [one.id]) == {one.id: one}


def test_an_exception_of_a_module_is_passed_over_by_the_operator_that_cannot_name_it(tmp_path: Path) -> None:
    text = "try:\n    x = 1\nexcept (OSError, json.JSONDecodeError):\n    pass\n"

    assert "except (OSError, json.JSONDecodeError):" in changed_lines(tmp_path, text), (
        "OSError can be replaced"
    )
