from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from musket.core.errors import MusketError
from musket.core.rle import rle_decode
from musket.predict.sinks import rle_rows, score_row, write_npy, write_png, write_rows

SCORES = np.array([[0.0, 0.2, 0.5], [1.0, 0.7, -0.5]], np.float32)[..., None]


def picture(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def test_png_is_255_times_the_score_rounded_and_limited(tmp_path: Path) -> None:
    write_png(tmp_path / "new" / "a.png", SCORES)
    assert picture(tmp_path / "new" / "a.png").tolist() == [[0, 51, 128], [255, 178, 0]]


def test_png_of_three_classes_is_a_colour_picture_and_of_more_the_best_class(tmp_path: Path) -> None:
    red = np.zeros((2, 3, 3), np.float32)
    red[..., 0] = 1
    write_png(tmp_path / "three.png", red)
    assert picture(tmp_path / "three.png")[0, 0].tolist() == [0, 0, 255]  # OpenCV reads blue first
    write_png(tmp_path / "four.png", np.eye(4, dtype=np.float32)[None])
    assert picture(tmp_path / "four.png").tolist() == [[0, 1, 2, 3]]


def test_npy_keeps_the_numbers_as_float32(tmp_path: Path) -> None:
    write_npy(tmp_path / "a.npy", SCORES.astype(np.float64))
    array = np.load(tmp_path / "a.npy")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, SCORES)


def test_rle_rows_decode_to_the_mask(tmp_path: Path) -> None:
    (row,) = rle_rows("a.jpg", SCORES)
    assert row == {"image": "a.jpg", "rle_mask": "2 1 4 1"}  # down the columns, from 1: 0.5 is not above 0.5
    np.testing.assert_array_equal(rle_decode(str(row["rle_mask"]), (2, 3)), SCORES[..., 0] > 0.5)
    both = np.concatenate([SCORES, 1 - SCORES], axis=2)
    rows = rle_rows("a.jpg", both, [0.1, 0.9])
    assert [row["class"] for row in rows] == [0, 1]
    np.testing.assert_array_equal(rle_decode(str(rows[1]["rle_mask"]), (2, 3)), both[..., 1] > 0.9)
    with pytest.raises(MusketError, match="one threshold per class is needed, that is 2; found 1"):
        rle_rows("a.jpg", both, [0.5])


def test_score_rows_are_vectors_or_the_highest_scores_of_maps() -> None:
    assert score_row("a", np.array([0.25, 0.5])) == {"image": "a", "score_0": "0.25", "score_1": "0.5"}
    assert score_row("a", SCORES) == {"image": "a", "score_0": "1"}


def test_rows_are_read_back_from_the_table(tmp_path: Path) -> None:
    rows = [row for name in ("a, b", 'c "d"') for row in rle_rows(name, SCORES)]
    write_rows(tmp_path / "table.csv", rows)
    assert pd.read_csv(tmp_path / "table.csv").to_dict("records") == rows
    write_rows(tmp_path / "empty.csv", [])
    assert (tmp_path / "empty.csv").read_text() == ""
