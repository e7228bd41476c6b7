"""Joining cells, held to weights worked out with numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musket.core.cells import cells
from musket.core.errors import DataError, MusketError
from musket.predict.crops import Blend, Canvas, Crops

BLENDS = st.sampled_from(["linear", "cosine", "none"])


@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 4), st.floats(0, 0.9), BLENDS)
def test_cells_of_a_map_join_to_the_map(height: int, width: int, n: int, overlap: float, blend: Blend) -> None:
    crops = Crops(n, overlap, blend)
    scores = np.random.default_rng(height * width).random((height, width, 2), dtype=np.float32)
    canvas = Canvas(height, width, 2, crops)
    for window in crops.windows(height, width):
        canvas.add(window, scores[window.slices])
    np.testing.assert_allclose(canvas.scores, scores, rtol=2e-6)


@pytest.mark.parametrize("blend", ["linear", "cosine", "none"])
def test_overlapping_cells_are_weighted_by_their_distance_to_the_edge(blend: Blend) -> None:
    """Every cell scores its own number; the expected mean is summed cell by cell in double precision."""
    height, width, crops = 20, 24, Crops(2, 0.5, blend)
    windows = cells(height, width, 2, 0.5)
    total, weight = np.zeros((height, width)), np.zeros((height, width))
    canvas = Canvas(height, width, 1, crops)
    for number, window in enumerate(windows, start=1):
        y, x = (np.arange(size) + 0.5 for size in (window.height, window.width))
        if blend == "linear":
            ramps = [np.minimum(v, size - v) for v, size in ((y, window.height), (x, window.width))]
        elif blend == "cosine":
            ramps = [1 - np.cos(2 * np.pi * v / size) for v, size in ((y, window.height), (x, window.width))]
        else:
            ramps = [np.ones(window.height), np.ones(window.width)]
        total[window.slices] += number * np.outer(*ramps)
        weight[window.slices] += np.outer(*ramps)
        canvas.add(window, np.full((window.height, window.width, 1), number, np.float32))
    np.testing.assert_allclose(canvas.scores[..., 0], total / weight, rtol=1e-6)
    assert len(windows) == 9


def test_a_map_of_another_size_than_its_cell_is_refused() -> None:
    crops = Crops(2)
    with pytest.raises(DataError, match="4 x 4 pixels into a map of 2 x 2"):
        Canvas(8, 8, 1, crops).add(crops.windows(8, 8)[0], np.zeros((2, 2, 1), np.float32))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"cells": 0}, "1 or more"), ({"overlap": 1.0}, "0 to 0.9"), ({"blend": "sharp"}, "linear, cosine, none")],
)
def test_options_out_of_range_are_refused(options: dict, words: str) -> None:
    with pytest.raises(MusketError, match=words):
        Crops(**options)
