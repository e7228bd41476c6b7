from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.report.differences import Config, Differences, differences, leaves, with_common


def written(*trees: object) -> Differences:
    return differences([Config(leaves(tree), None) for tree in trees])


def test_values_by_dotted_key() -> None:
    tree = {
        "lr": 0.1,
        "stages": [{"epochs": 3, "loss": None}, {"epochs": 4}],
        "shape": [320, 320, 3],
        "mixed": ["Fliplr", {"Affine": {"rotate": [-1, 1]}}],
        "nested": [[1, 2], [3]],
        "on": True,
        "nothing": {},
        "a.b": {"c.d": 1},
        "a": {"b": {"c": {"d": 2}}},
    }
    assert leaves(tree) == {
        "lr": "0.1",
        "stages.0.epochs": "3",
        "stages.0.loss": "null",
        "stages.1.epochs": "4",
        "shape": "[320, 320, 3]",
        "mixed.0": "Fliplr",
        "mixed.1.Affine.rotate": "[-1, 1]",
        "nested.0": "[1, 2]",
        "nested.1": "[3]",
        "on": "true",
        "nothing": "{}",
        '"a.b"."c.d"': "1",
        "a.b.c.d": "2",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, False), (True, 1), (None, 0), (0.1, 0.2), ("a", "b"), ([1, 2], [1, 3]), ([True], [False]), ([], None)],
)
def test_every_kind_of_value_counts(one: object, other: object) -> None:
    assert written({"key": one, "same": 1}, {"key": other, "same": 1}).keys == ["key"]


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0.001, 1e-3), (1e20, 1e20)])
def test_one_number_written_in_two_ways_is_no_difference(one: object, other: object) -> None:
    assert written({"key": one}, {"key": other}).keys == []


def test_a_missing_key_reads_as_nothing() -> None:
    found = written({"lr": 0.1, "flag": False}, {"flag": False}, {"lr": 0.1})
    assert found.keys == ["flag", "lr"]
    assert found.rows == [["false", "0.1"], ["false", ""], ["", "0.1"]]


def test_positions_in_lists_are_sorted_as_numbers() -> None:
    one, other = ({"stages": [{"epochs": number + start} for number in range(11)]} for start in (0, 1))
    assert written(one, other).keys == [f"stages.{number}.epochs" for number in range(11)]


def test_a_default_that_is_written_is_none_that_is_left_out() -> None:
    trained = leaves({"lr": 0.001, "batch": 16})
    found = differences([Config(leaves({"batch": 16}), trained), Config(leaves({}), trained)])
    assert found == Differences([], [[], []], [])


def test_values_of_the_command_line_count_as_trained() -> None:
    same = leaves({"lr": 0.1})
    found = differences([Config(same, leaves({"lr": 0.1})), Config(same, leaves({"lr": 0.5}))])
    assert (found.keys, found.rows) == (["lr"], [["0.1"], ["0.5"]])


def test_files_that_differ_but_were_trained_alike_are_told() -> None:
    trained = leaves({"lr": 0.1, "optimizer": "Adam", "augmentation": {"Fliplr": {"p": 0.5}}})
    one = leaves({"lr": 0.1, "optimizer": "adam", "augmentation": {"Fliplr": 0.5}})
    other = leaves({"lr": 0.2, "optimizer": "Adam", "augmentation": {"Fliplr": 0.4}})
    found = differences([Config(one, trained), Config(other, trained)])
    assert (found.keys, found.alike) == ([], ["augmentation.Fliplr", "lr", "optimizer"])


def test_a_key_the_record_does_not_know_is_taken_from_the_files() -> None:
    trained = leaves({"lr": 0.1})
    stated = [leaves({"old_key": value, "lr": 0.1}) for value in (1, 2)]
    found = differences([*(Config(one, trained) for one in stated), Config(leaves({}), trained)])
    assert (found.keys, found.rows) == (["old_key"], [["1"], ["2"], [""]])
    only_one_states_it = differences([Config(stated[0], trained), Config(leaves({}), trained)])
    assert only_one_states_it.keys == []


def test_a_part_that_only_one_was_trained_with_is_a_difference() -> None:
    with_it = Config(leaves({"callbacks": {"X": {"n": 1}}}), leaves({"lr": 1, "callbacks": {"X": {"n": 1}}}))
    edited_since = Config(leaves({"callbacks": {"X": {"n": 1}}}), leaves({"lr": 1}))
    found = differences([with_it, edited_since])
    assert (found.keys, found.rows) == (["callbacks.X.n"], [["1"], [""]])


def test_runs_with_and_without_a_record_side_by_side() -> None:
    trained = leaves({"batch": 16, "verbose": 1, "augmentation": {"Fliplr": {"p": 0.5}}})
    new = Config(leaves({"batch": 16, "augmentation": {"Fliplr": 0.5}}), trained)
    old = Config(leaves({"augmentation": {"Fliplr": 0.7}}), None)
    found = differences([new, old])
    assert found.keys == ["augmentation.Fliplr.p", "batch"]
    assert found.rows == [["0.5", "16"], ["0.7", ""]]


def test_a_config_that_cannot_be_read_abstains() -> None:
    found = differences([Config(leaves({"lr": 1}), None), Config(None, None), Config(leaves({"lr": 1}), None)])
    assert (found.keys, found.rows) == ([], [[], [], []])
    found = differences([Config(leaves({"lr": 1}), None), Config(None, None), Config(leaves({"lr": 2}), None)])
    assert found.rows == [["1"], [""], ["2"]]
    assert differences([]) == Differences([], [], [])


def test_common_defaults_are_filled_in_by_entry_where_maps_are_merged() -> None:
    common = {"lr": 1, "stages": [1], "callbacks": {"A": 1, "B": 1}, "augmentation": {"C": 1}}
    own = {"lr": 2, "callbacks": {"A": 2}, "augmentation": {"D": 1}}
    assert with_common(own, common) == {
        "lr": 2,
        "stages": [1],
        "callbacks": {"A": 2, "B": 1},
        "augmentation": {"D": 1},
    }


def test_what_is_too_much_is_refused() -> None:
    shared: list[object] = [1] * 1000
    for _ in range(3):
        shared = [shared] * 100  # as anchors and aliases make in a few lines
    with pytest.raises(ValueError, match="50000 values"):
        leaves({"key": shared})
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValueError, match="64 levels"):
        leaves({"key": deep})


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b.c", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "l", "m.n"]), inner, max_size=3),
    max_leaves=8,
)
configs = st.dictionaries(st.sampled_from(["x", "y", "z.w"]), plain, max_size=3)


@given(st.lists(configs, min_size=1, max_size=4))
def test_the_keys_are_those_whose_texts_are_not_all_equal(trees: list[dict[str, object]]) -> None:
    texts = [leaves(tree) for tree in trees]
    expected = {key for text in texts for key in text if len({other.get(key) for other in texts}) > 1}
    found = differences([Config(text, None) for text in texts])
    told = {key for key in expected if len({other.get(key, "") for other in texts}) > 1}
    assert set(found.keys) == told
