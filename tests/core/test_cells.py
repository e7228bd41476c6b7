from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.core.cells import Window, cell_shape, cells, spans
from musket.core.errors import DataError, MusketError


def test_cells_without_overlap_by_hand() -> None:
    assert spans(10, 3) == [(0, 3), (3, 7), (7, 10)]  # 3.33 and 6.67, rounded
    assert cells(4, 6, 2) == [Window(0, 0, 2, 3), Window(0, 3, 2, 3), Window(2, 0, 2, 3), Window(2, 3, 2, 3)]
    assert cells(5, 7, 1, 0.5) == [Window(0, 0, 5, 7)]


def test_an_overlap_adds_cells_of_the_same_size() -> None:
    assert spans(12, 3, 0.5) == [(0, 4), (2, 6), (4, 8), (6, 10), (8, 12)]
    assert len(spans(1000, 2, 0.9)) == 11


def test_training_cells_are_those_of_the_side_without_its_remainder() -> None:
    windows = cells(11 - 11 % 3, 14 - 14 % 3, 3)
    assert {(window.height, window.width) for window in windows} == {(11 // 3, 14 // 3)}


def test_cell_shape_of_768_and_3_is_256() -> None:
    assert cell_shape(768, 768, 3) == (256, 256)


@given(st.integers(1, 300), st.integers(1, 9), st.floats(0, 0.9))
def test_cells_cover_the_side_and_overlap_as_asked(length: int, n: int, overlap: float) -> None:
    if length < n:
        return
    found = spans(length, n, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(abs(end - start - length / n) <= 1 for start, end in found)
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end - start >= overlap * length / n - 1.01
    counted = np.zeros(length, int)
    for start, end in spans(length, n):
        counted[start:end] += 1
    assert (counted == 1).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((10, 0), "1 or more"), ((10, 2, 0.95), "0 to 0.9"), ((10, 2, -0.1), "0 to 0.9")],
)
def test_options_out_of_range_are_refused(arguments: tuple[int, int, float], words: str) -> None:
    with pytest.raises(MusketError, match=words):
        spans(*arguments)


def test_an_image_smaller_than_its_cells_is_refused() -> None:
    with pytest.raises(DataError, match="2 pixels cannot be cut into 3"):
        cells(20, 2, 3)
