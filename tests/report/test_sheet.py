from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from musket.core.errors import ArtifactError, DataError
from musket.report.samples import as_picture, draw_table, write_png


def cell(value: int, height: int = 40, width: int = 60, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((height, width, 3), value, dtype)
    image[: height // 2] = 0
    return image, np.zeros((height, width, 1), np.uint8)


def test_cells_of_a_row_have_one_size() -> None:
    stored, made = cell(200, 40, 60), cell(200, 20, 30)
    table = draw_table([[stored, made, made]], ["a", "b", "c"])
    halves = [np.flatnonzero((table[90] == 200).all(axis=1))]  # the bright lower half of every tile
    assert len(halves[0]) == 3 * 180  # 60 pixels are drawn three times as large; 30 six times


def test_cells_of_a_row_have_one_brightness() -> None:
    dark, darker = cell(60), cell(30)
    alone = as_picture(darker[0]).max()
    beside = as_picture(darker[0], dark[0]).max()
    assert alone == 255
    assert 120 <= beside <= 135


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_images_are_comparable_too(dtype: type) -> None:
    bright, half = cell(4000, dtype=dtype)[0], cell(2000, dtype=dtype)[0]
    assert as_picture(bright, bright).max() == 255
    assert 120 <= as_picture(half, bright).max() <= 135


def test_captions_and_heads() -> None:
    rows = [[cell(200), cell(100)]] * 3
    plain, told = draw_table(rows, ["a", "b"]), draw_table(rows, ["a", "b"], ["x", "y", "z"])
    assert told.shape[0] > plain.shape[0]
    assert told.shape[1] == plain.shape[1]


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no sample"):
        draw_table([], ["a"])


def test_png_is_exact(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    write_png(tmp_path / "deep" / "p.png", picture)
    read = cv2.imread(str(tmp_path / "deep" / "p.png"))
    assert read is not None
    np.testing.assert_array_equal(read[..., ::-1], picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError):
        write_png(tmp_path / "file" / "p.png", picture)
