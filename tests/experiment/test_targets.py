"""What datasets may give as y of a classification, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from musket.core.errors import DataError
from musket.core.heads import Heads
from musket.experiment.targets import target_vector

ONE_OF_FOUR = Heads((4,), ("softmax",), ("0",))
SOME_OF_FOUR = Heads((4,), ("sigmoid",), ("0",))
BINARY = Heads((1,), ("sigmoid",), ("0",))
NUMBER = Heads((1,), ("linear",), ("0",))
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
        (ONE_OF_FOUR, [0, 1, 0], "the target has 3 numbers, the config says classes: 4"),
        (ONE_OF_FOUR, np.eye(4), "the target has shape (4, 4)"),
        (ONE_OF_FOUR, 4, "the target is class 4; with classes: 4 they go from 0 to 3"),
        (ONE_OF_FOUR, -1, "the target is class -1"),
        (ONE_OF_FOUR, 1.5, "give a vector of 4, or the number of the class, 0 to 3"),
        (ONE_OF_FOUR, True, "the target is True"),
        (ONE_OF_FOUR, [0, 0, 0, 0], "names no class; softmax needs exactly one"),
        (ONE_OF_FOUR, [1, 1, 0, 0], "names classes that sum up to 2; softmax needs exactly one"),
        (ONE_OF_FOUR, "cat", "the target is 'cat'; give numbers"),
        (ONE_OF_FOUR, [0, np.nan, 0, 1], "holds nan or infinity"),
        (SOME_OF_FOUR, [0, 2, 0, 0], "holds values from 0 to 2; sigmoid needs 0 to 1"),
        (BINARY, 7.0, "holds values from 7 to 7; sigmoid needs 0 to 1"),
        (NUMBER, np.inf, "holds nan or infinity"),
        (NUMBER, [1, 2], "the target has 2 numbers, the config says classes: 1; give one number"),
        (SEVERAL, [[0, 1, 0], True], "y has 2 targets, classes in the config lists 3 heads (3, 1, 1)"),
        (SEVERAL, 1, "y has 1 target, classes in the config lists 3 heads"),
        (SEVERAL, [[0, 1], True, 9.5], "the target of head kind has 2 numbers, the config says classes: 3"),
        (SEVERAL, [[0, 1, 0], True, "cheap"], "the target of head price is 'cheap'"),
        (SEVERAL, [[0, 1, 0], True, [[1], [2, 3]]], "the target of head price is no array"),
    ],
)
def test_c19_targets_that_do_not_fit_are_refused_with_the_sample(heads: Heads, value: Any, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        target_vector(heads, value, "cat.png")
    assert caught.value.sample == "cat.png"
