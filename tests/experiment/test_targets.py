"""What datasets may give as y of a classification, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy_labels

from musket.core.errors import DataError
from musket.core.heads import Heads
from musket.experiment.targets import target_vector

ONE_OF_FOUR = Heads((4,), ("softmax",), ("0",))
SOME_OF_FOUR = Heads((4,), ("sigmoid",), ("0",))
BINARY = Heads((1,), ("sigmoid",), ("0",))
NUMBER = Heads((1,), ("linear",), ("0",))
TANH = Heads((1,), ("tanh",), ("0",))
RELU = Heads((2,), ("relu",), ("0",))
HARD = Heads((3,), ("hard_sigmoid",), ("0",))
OWN = Heads((3,), ("an_own_one",), ("0",))
LISTED = Heads((3,), ("softmax",), ("0",), listed=True)
SEVERAL = Heads((3, 1, 1), ("softmax", "sigmoid", "linear"), ("kind", "kids", "price"))


@pytest.mark.parametrize(
    ("heads", "value", "expected"),
    [
        (ONE_OF_FOUR, [0, 1, 0, 0], [0, 1, 0, 0]),
        (ONE_OF_FOUR, np.array([False, True, False, False]), [0, 1, 0, 0]),
        (ONE_OF_FOUR, np.array([[0, 0, 0, 1]]), [0, 0, 0, 1]),
        (ONE_OF_FOUR, 2, [0, 0, 1, 0]),
        (ONE_OF_FOUR, np.int64(0), [1, 0, 0, 0]),
        (ONE_OF_FOUR, [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        (ONE_OF_FOUR, [np.array([0, 1, 0, 0])], [0, 1, 0, 0]),
        (SOME_OF_FOUR, [1, 1, 0, 1], [1, 1, 0, 1]),
        (SOME_OF_FOUR, [0, 0, 0, 0], [0, 0, 0, 0]),
        (SOME_OF_FOUR, 3, [0, 0, 0, 1]),
        (BINARY, True, [1]),
        (BINARY, [0], [0]),
        (NUMBER, 3.5, [3.5]),
        (NUMBER, np.float64(-1e3), [-1000]),
        (NUMBER, np.array([7], dtype=np.uint8), [7]),
        (TANH, -1, [-1]),
        (RELU, [0, 1e6], [0, 1e6]),
        (HARD, 1, [0, 1, 0]),
        (OWN, 1, [0, 1, 0]),
        (OWN, [0, 3, -1], [0, 3, -1]),
        (LISTED, [2], [0, 0, 1]),
        (LISTED, (np.int64(2),), [0, 0, 1]),
        (LISTED, [[0, 1, 0]], [0, 1, 0]),
        (LISTED, [0, 1, 0], [0, 1, 0]),
        (LISTED, 1, [0, 1, 0]),
        (ONE_OF_FOUR, torch.tensor([0.0, 1, 0, 0], requires_grad=True), [0, 1, 0, 0]),
        (SEVERAL, torch.tensor([0, 1, 0, 1, 9.5], requires_grad=True), [0, 1, 0, 1, 9.5]),
        (SEVERAL, [1, torch.tensor(1.0, requires_grad=True), 2], [0, 1, 0, 1, 2]),
        (SEVERAL, [[0, 1, 0], True, 9.5], [0, 1, 0, 1, 9.5]),
        (SEVERAL, (2, [0], np.array([1.5])), [0, 0, 1, 0, 1.5]),
        (SEVERAL, np.array([0, 1, 0, 1, 9.5]), [0, 1, 0, 1, 9.5]),
    ],
)
def test_targets_become_one_flat_vector(heads: Heads, value: Any, expected: list[float]) -> None:
    vector = target_vector(heads, value, "cat.png")
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("heads", "value", "words"),
    [
        (ONE_OF_FOUR, [0, 1, 0], "the number of the class, 0 to 3, or set classes: 3"),
        (ONE_OF_FOUR, np.eye(4), "or list 4 heads under classes"),
        (ONE_OF_FOUR, 4, "the target is class 4; with classes: 4 they go from 0 to 3"),
        (ONE_OF_FOUR, -1, "the target is class -1"),
        (ONE_OF_FOUR, 1.5, "give a vector of 4, or the number of the class, 0 to 3"),
        (ONE_OF_FOUR, True, "the target is True, the config says classes: 4; give the number of the class, int(...)"),
        (ONE_OF_FOUR, [0, 0, 0, 0], "names no class; softmax needs exactly one"),
        (ONE_OF_FOUR, [1, 1, 0, 0], "names classes that sum up to 2; softmax needs exactly one"),
        (ONE_OF_FOUR, "cat", "the target is 'cat'; give a vector of 4, or the number of the class, 0 to 3"),
        (ONE_OF_FOUR, [0, np.nan, 0, 1], "holds nan or infinity"),
        (ONE_OF_FOUR, float("nan"), "the target is nan; mend the label"),
        (ONE_OF_FOUR, float("inf"), "the target is inf; mend the label"),
        (SOME_OF_FOUR, np.float32("-inf"), "the target is -inf; mend the label"),
        (ONE_OF_FOUR, [torch.tensor(1.0, requires_grad=True), 0, 0, 0], "the target is no array"),
        (HARD, [0, 2, 0], "holds values from 0 to 2; hard_sigmoid needs 0 to 1"),
        (TANH, 3, "holds values from 3 to 3; tanh needs -1 to 1"),
        (RELU, [4, -3], "holds values from -3 to 4; relu needs 0 or more"),
        (SOME_OF_FOUR, [0, 2, 0, 0], "holds values from 0 to 2; sigmoid needs 0 to 1"),
        (BINARY, 7.0, "holds values from 7 to 7; sigmoid needs 0 to 1"),
        (NUMBER, np.inf, "holds nan or infinity"),
        (NUMBER, 1e39, "holds nan or infinity"),
        (NUMBER, "cheap", "the target is 'cheap'; give one number"),
        (NUMBER, [1, 2], "the target has 2 numbers, the config says classes: 1; give one number, or set classes: 2"),
        (SEVERAL, [[0, 1, 0], True], "give a list with one target per head, or list 2 heads"),
        (SEVERAL, 1, "y has 1 target, classes in the config lists 3 heads"),
        (SEVERAL, [[0, 1], True, 9.5], "the target of head kind has 2 numbers, the config says classes: 3"),
        (SEVERAL, [[0, 1], True, 9.5], "or give the head 2 classes"),
        (SEVERAL, [[0, 1, 0], True, "cheap"], "the target of head price is 'cheap'"),
        (SEVERAL, [[0, 1, 0], True, [[1], [2, 3]]], "the target of head price is no array"),
    ],
)
def test_c19_targets_that_do_not_fit_are_refused_with_the_sample(heads: Heads, value: Any, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        target_vector(heads, value, "cat.png")
    assert caught.value.sample == "cat.png"


@pytest.mark.parametrize("changes", [{}, {"stratified": True}, {"sampler": "balanced"}])
def test_a_class_number_that_is_none_is_named_wherever_it_is_read_first(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    class Holed(toy_labels.Thirds):
        def get_target(self, index: int) -> float:
            return float("nan") if index % 5 == 2 else index % 3

    with pytest.raises(DataError, match="the target is nan") as caught:
        toy_labels.experiment(tmp_path, testSplit=0, **changes).fit(Holed())
    assert caught.value.sample in {f"third-{index:02}" for index in range(2, 20, 5)}
