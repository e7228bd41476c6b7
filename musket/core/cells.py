"""How an image is cut into n x n cells: the one geometry of training, prediction and the data sets of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

from musket.core.errors import DataError, MusketError


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of an H x W x C array that gives this part of it, as a view."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def cell_shape(height: int, width: int, n: int) -> tuple[int, int]:
    """Network input for cells of a ``shape`` of height x width: both divided by n, rounded down."""
    return height // n, width // n


def spans(length: int, n: int, overlap: float = 0.0) -> list[tuple[int, int]]:
    """Start and end of the cells along one side.

    A cell measures length / n, whatever the overlap, so that objects keep the scale the network was trained on; an
    overlap adds cells, evenly spread: ceil((n - 1) / (1 - overlap)) + 1 of them. Bounds are rounded to whole pixels,
    half up, and together cover the side; without overlap each pixel is covered once.

    Args:
        length: of the side, in pixels.
        n: cells along the side without overlap.
        overlap: share of a cell's side that neighbours share at least, from 0 to 0.9.

    Raises:
        MusketError: n or overlap out of range.
        DataError: the side has fewer pixels than cells.
    """
    if n < 1:
        raise MusketError(f"crops: the number of cells along a side is 1 or more; found {n}")
    if not 0 <= overlap <= 0.9:
        raise MusketError(f"overlap is a share of a cell's side, from 0 to 0.9; found {overlap:g}")
    if length < n:
        raise DataError(f"a side of {length} pixels cannot be cut into {n} cells; leave the image out or lower crops")
    steps = math.ceil(round((n - 1) / (1 - overlap), 6))  # rounded, for 1 / (1 - 0.9) is a little more than 10
    if steps == 0:
        return [(0, length)]
    # In units of 1 / (n * steps) pixel all bounds are whole numbers, and rounding them is exact.
    unit = n * steps
    starts = [index * (n - 1) * length for index in range(steps + 1)]
    return [(_rounded(start, unit), _rounded(start + steps * length, unit)) for start in starts]


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def cells(height: int, width: int, n: int, overlap: float = 0.0) -> list[Window]:
    """Cells of an image, row by row; see :func:`spans`.

    For cells of one size, floor(height / n) x floor(width / n), with the remainders dropped, ask for those of
    ``height - height % n`` x ``width - width % n``.
    """
    return [
        Window(top, left, bottom - top, right - left)
        for top, bottom in spans(height, n, overlap)
        for left, right in spans(width, n, overlap)
    ]
