"""Prediction through cells: an image is cut into n x n of them.

Their maps are joined without a trace; their vectors are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from musket.core.cells import Window, cells, spans
from musket.core.errors import DataError, MusketError

Blend = Literal["linear", "cosine", "none"]
"""How much a pixel of a cell counts where cells overlap: a tent or a Hann window over the cell, or all alike."""


@dataclass(frozen=True)
class Crops:
    """How images are cut for prediction.

    Attributes:
        cells: along each side of an image; 1 leaves it whole.
        overlap: share of a cell's side that neighbours have in common, from 0 to 0.9. Cells keep their size, so an
            overlap of one half means nearly four times the cells.
        blend: weights of overlapping cells, see :data:`Blend`.
    """

    cells: int = 1
    overlap: float = 0.0
    blend: Blend = "linear"

    def __post_init__(self) -> None:
        spans(self.cells, self.cells, self.overlap)  # raises when out of range
        if self.blend not in get_args(Blend):
            raise MusketError(f"blend is one of {', '.join(get_args(Blend))}; found {self.blend!r}")

    def windows(self, height: int, width: int) -> list[Window]:
        """Cells of an image, row by row. Raises DataError when it has fewer pixels than cells."""
        return cells(height, width, self.cells, self.overlap)


@dataclass
class Canvas:
    """Joins the maps of cells, added in any order, to one of the whole image. Holds nothing but the result.

    Attributes:
        height: of the image, in pixels. width: likewise.
        classes: of the maps.
        crops: how the image was cut.
        scores: the joined map, float32 H x W x classes; whole when the last cell is in.
    """

    height: int
    width: int
    classes: int
    crops: Crops
    scores: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.zeros((self.height, self.width, self.classes), dtype=np.float32)
        if self.crops.overlap:
            self._rows = _shares(spans(self.height, self.crops.cells, self.crops.overlap), self.crops.blend)
            self._columns = _shares(spans(self.width, self.crops.cells, self.crops.overlap), self.crops.blend)

    def add(self, window: Window, scores: np.ndarray) -> None:
        """Lay the map of one cell, h x w x classes, onto the result.

        Raises:
            DataError: the map has not the size of its cell.
        """
        if scores.shape[:2] != (window.height, window.width):
            raise DataError(
                f"the network turned a cell of {window.height} x {window.width} pixels into a map of "
                f"{scores.shape[0]} x {scores.shape[1]}; without resizing the two must be equal (manualResize)"
            )
        part = self.scores[window.slices]
        if not self.crops.overlap:
            part[...] = scores
            return
        rows, columns = (
            self._rows[window.top, window.top + window.height],
            self._columns[window.left, window.left + window.width],
        )
        part += scores * np.outer(rows, columns)[..., None]


@dataclass
class MeanOfCells:
    """Averages the vectors of an image's cells, all alike.

    Attributes:
        cells: how many there are.
        classes: numbers in a vector.
        scores: the mean, float32; whole when the last cell is in.
    """

    cells: int
    classes: int
    scores: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.zeros(self.classes, dtype=np.float32)

    def add(self, window: Window, scores: np.ndarray) -> None:
        """Take in the vector of one cell; where the cell lies makes no difference."""
        self.scores += scores / np.float32(self.cells)


def _shares(bounds: list[tuple[int, int]], blend: Blend) -> dict[tuple[int, int], np.ndarray]:
    """Weight of every pixel of each span; those of one pixel sum up to 1 over the spans.

    The weights of a cell are the product of those along its sides, so what they sum up to is a product as well, and
    making both factors 1 makes it 1.
    """
    ramps = [_ramp(end - start, blend) for start, end in bounds]
    total = np.zeros(bounds[-1][1])
    for (start, end), ramp in zip(bounds, ramps, strict=True):
        total[start:end] += ramp
    return {
        (start, end): (ramp / total[start:end]).astype(np.float32)
        for (start, end), ramp in zip(bounds, ramps, strict=True)
    }


def _ramp(length: int, blend: Blend) -> np.ndarray:
    """Positive weights along a side, highest in its middle."""
    middle = (np.arange(length) + 0.5) / length
    if blend == "none":
        return np.ones(length)
    if blend == "linear":
        return np.minimum(middle, 1 - middle)
    return np.sin(np.pi * middle) ** 2
