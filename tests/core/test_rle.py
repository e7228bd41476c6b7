from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from musket.core import rle
from musket.core.errors import DataError

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def by_hand(mask: np.ndarray, order: str) -> list[tuple[int, int]]:
    """Runs (first pixel from 1, length), found pixel by pixel."""
    runs: list[tuple[int, int]] = []
    for number, value in enumerate(mask.flatten("F" if order == "columns" else "C"), start=1):
        if value and runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif value:
            runs.append((number, 1))
    return runs


@given(MASKS, st.sampled_from(["columns", "rows"]))
@settings(max_examples=60, deadline=None)
def test_encode_equals_counting_by_hand_and_decodes_back(mask: np.ndarray, order: rle.Order) -> None:
    text = rle.rle_encode(mask, order=order)
    assert text == " ".join(f"{start} {length}" for start, length in by_hand(mask, order))
    back = rle.rle_decode(text, mask.shape, order=order)
    assert back.dtype == np.uint8
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, mask)


@given(MASKS)
@settings(max_examples=30, deadline=None)
def test_relative_form_round_trip(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(rle.rle_decode(rle.rle_encode(mask, relative=True), mask.shape, relative=True), mask)


def test_relative_form_by_hand() -> None:
    mask = np.array([[0, 1, 1], [1, 1, 0]])  # columns: 01 11 10
    assert rle.rle_encode(mask, relative=True) == "1 4"
    assert rle.rle_encode(np.array([[1, 0], [0, 1]]), relative=True) == "0 1 2 1"


def test_base_zero() -> None:
    assert rle.rle_encode(np.array([[1, 0], [1, 0]]), base=0) == "0 2"
    np.testing.assert_array_equal(rle.rle_decode("0 2", (2, 2), base=0), [[1, 0], [1, 0]])


def test_shape_is_height_then_width() -> None:
    np.testing.assert_array_equal(rle.rle_decode("1 2", (2, 3)), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(rle.rle_decode("1 2", (2, 3), order="rows"), [[1, 1, 0], [0, 0, 0]])


def test_one_argument_call_takes_768() -> None:
    assert rle.rle_decode("1 3").shape == (768, 768)
    assert rle.masks_as_image([]).shape == (768, 768, 1)


def test_overlapping_and_unsorted_runs_are_joined() -> None:
    np.testing.assert_array_equal(rle.rle_decode("5 2 1 3 2 3", (1, 8)), [[1, 1, 1, 1, 1, 1, 0, 0]])
    np.testing.assert_array_equal(rle.rle_decode("1 6 2 1", (1, 8)), [[1, 1, 1, 1, 1, 1, 0, 0]])


@pytest.mark.parametrize("empty", ["", "  ", "-1", "nan"])
def test_no_object(empty: str) -> None:
    assert not rle.is_run_text(empty)
    assert not rle.rle_decode(empty, (4, 5)).any()


@pytest.mark.parametrize("cell", [float("nan"), None, -1, 3])
def test_cells_that_are_no_text_name_no_object(cell: object) -> None:
    assert not rle.is_run_text(cell)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3", "do not form pairs"),
        ("1 x", "whole numbers"),
        ("1.5 2", "whole numbers"),
        ("7 2", "leaves the mask of 2 x 3"),
        ("0 1", "leaves the mask"),
        ("3 -1", "leaves the mask"),
        ("1 99999999999999999999999", "whole numbers"),
    ],
)
def test_bad_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        rle.rle_decode(text, (2, 3))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 2), (1, 2, 3, 1)])
def test_bad_array_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="H x W"):
        rle.rle_encode(np.zeros(shape))


def test_encode_takes_one_channel_masks() -> None:
    assert rle.rle_encode(np.ones((2, 3, 1), dtype=bool)) == "1 6"


def test_masks_as_image_adds_and_skips_what_is_no_text() -> None:
    total = rle.masks_as_image(["1 2", float("nan"), "2 2", "-1", None], (2, 2))
    assert total.dtype == np.int16
    np.testing.assert_array_equal(total[..., 0], [[1, 1], [2, 0]])


def test_components_are_joined_over_corners_and_come_in_order() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert rle.multi_rle_encode(mask[..., None]) == ["2 1 7 1", "13 2", "16 1"]
    assert rle.multi_rle_encode(np.zeros((3, 4, 2))) == []
