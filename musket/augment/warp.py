"""Consecutive geometry as one warp of the image and one of the mask.

Coordinates are those of pixel centres: an image of width w covers x from -0.5 to w - 0.5.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from musket.augment.steps import Border, Frame, Geometry
from musket.core.geometry import MOST_CHANNELS, by_channels, resize_image, resize_mask, with_channels

Transform = Callable[[np.ndarray], np.ndarray]

BORDERS: dict[Border, int] = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}
_NEAR = 1e-3
"""Pixels: differences below are rounding."""
_IDENTITY = np.eye(3)
_NO_LINES = np.empty((0, 3))


def resizing(rows: int, columns: int, height: int, width: int, order: int = 1) -> Geometry:
    """The step that resizes rows x columns to height x width."""
    x, y = width / columns, height / rows
    matrix = np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])
    return Geometry(matrix, height, width, order=order, border="edge", whole=True)


@functools.lru_cache(maxsize=512)
def corners(height: int, width: int) -> np.ndarray:
    """3 x 4: the corners of a frame, homogeneous."""
    x, y = width - 0.5, height - 0.5
    return np.array([[-0.5, x, x, -0.5], [-0.5, -0.5, y, y], [1, 1, 1, 1]])


@functools.lru_cache(maxsize=512)
def edges(height: int, width: int) -> np.ndarray:
    """4 x 3: the lines around a frame; ``line @ (x, y, 1)`` is the distance from it, positive inside."""
    return np.array([[1, 0, 0.5], [-1, 0, width - 0.5], [0, 1, 0.5], [0, -1, height - 0.5]])


class Motion:
    """Geometry steps that amount to one: what one warp with one border shows is what the steps would.

    Attributes:
        rows, columns: size of the input. height, width: of the output.
        matrix: 3 x 3, input to output.
        border, fill: what is seen outside the input; None while nothing outside is. fill: one value per channel.
        order: interpolation; None while pixels keep their values.
    """

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = self.height, self.width = rows, columns
        self.matrix = _IDENTITY
        self._inverse: np.ndarray | None = None
        self.border: Border | None = None
        self.fill: np.ndarray | None = None
        self.order: int | None = None
        self._corners = corners(rows, columns)
        self._lines: np.ndarray | None = None
        self._cuts: list[np.ndarray] = []  # edges of frames on the way that cut pixels off, in output coordinates

    def add(self, step: Geometry, fill: np.ndarray | None) -> bool:
        """Append a step; False, and nothing is changed, when one warp cannot show what the steps would.

        Args:
            step: the step.
            fill: its fill value per channel, as it would look after the colour steps that follow the ones in here.
        """
        order = self.order
        if step.order != order and not keeps_values(step.matrix):
            if order is not None and 0 in (order, step.order):
                return False
            order = max(order or 0, step.order)
        if self.border == "constant" and step.border == "edge" and _enlarges(step.matrix):
            # The fill would be blended into the edges of the smaller image, in a rim as wide as the factor.
            return False
        if step.whole:
            if self.border in ("edge", "reflect") and self.shrink < _shrink(step.matrix @ self.matrix):
                # Averaging areas first would mix the edge with what is inside, or move the axis of the reflection.
                return False
            if self._cuts:
                self._cuts = [lines @ invert(step.matrix) for lines in self._cuts]
            self._append(step, order)
            return True
        inverse, around = invert(step.matrix), edges(self.height, self.width)
        border, shown = self.border, self.fill
        if (around @ _project(inverse, corners(step.height, step.width))).min() < -_NEAR:
            # The step shows what is outside its input.
            constant = step.border == "constant"
            if border is not None:
                if not constant or shown is None or fill is None or (fill != shown).any():
                    return False
            elif not constant and not self._whole():
                return False
            border, shown = step.border, fill if constant else None
        inside = around @ self._corners
        if inside.min() < -_NEAR:
            self._cuts.append(around[inside.min(axis=1) < -_NEAR])
        self._cuts = [lines @ inverse for lines in self._cuts]
        self.border, self.fill = border, shown
        self._append(step, order)
        return True

    def _append(self, step: Geometry, order: int | None) -> None:
        self._corners = _project(step.matrix, self._corners)
        self.matrix = step.matrix @ self.matrix
        self.height, self.width, self.order = step.height, step.width, order
        self._inverse = self._lines = None

    @property
    def inverse(self) -> np.ndarray:
        """3 x 3, output to input."""
        if self._inverse is None:
            self._inverse = invert(self.matrix)
        return self._inverse

    def _whole(self) -> bool:
        """Whether the frame so far shows the whole input and nothing else."""
        frame = corners(self.height, self.width)
        return not self._cuts and bool(np.abs(np.sort(self._corners) - np.sort(frame)).max() < _NEAR)

    @property
    def still(self) -> bool:
        """Whether nothing moves at all."""
        same = (self.rows, self.columns) == (self.height, self.width)
        return same and not len(self.cuts()) and bool(np.abs(self.matrix - _IDENTITY).max() < 1e-9)

    @property
    def shrink(self) -> int:
        """How many times smaller the content becomes, as a whole number, 1 when it does not."""
        if affine(self.matrix):
            return _shrink(self.matrix)
        sides = np.diff(self._corners[:2], append=self._corners[:2, :1])
        across, down = np.hypot(*sides).reshape(2, 2).max(axis=0)
        return max(1, int(min(self.columns / max(across, 1), self.rows / max(down, 1)) + 1e-6))

    def cuts(self) -> np.ndarray:
        """Lines (n x 3) in output coordinates behind which pixels were cut off on the way and must not be seen."""
        if self._lines is None:
            if not self._cuts or self.border is None:
                return _NO_LINES
            lines = np.concatenate(self._cuts)
            self._lines = lines[(lines @ corners(self.height, self.width)).min(axis=1) < -_NEAR]
        return self._lines

    def simple(self) -> Simple | None:
        """The same as a cut-out, a resize and mirrored axes, where it is no more than that."""
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        turned = abs(a) < 1e-9 and abs(d) < 1e-9
        if not (turned or (abs(b) < 1e-9 and abs(c) < 1e-9)) or not affine(self.matrix) or len(self.cuts()):
            return None
        seen = _project(self.inverse, corners(self.height, self.width))[:2] + 0.5
        whole = np.rint(seen)
        if np.abs(seen - whole).max() > _NEAR:
            return None
        (left, top), (right, bottom) = whole.min(axis=1).astype(int).tolist(), whole.max(axis=1).astype(int).tolist()
        pads = (max(-top, 0), max(bottom - self.rows, 0), max(-left, 0), max(right - self.columns, 0))
        height, width = (self.width, self.height) if turned else (self.height, self.width)
        if any(pads) and (self.border != "constant" or (bottom - top, right - left) != (height, width)):
            return None
        mirrored = ((b if turned else a) < 0, (c if turned else d) < 0)
        return Simple(
            top + pads[0], bottom - pads[1], left + pads[2], right - pads[3], pads, height, width, turned, *mirrored
        )


class Simple(NamedTuple):
    """Rows and columns cut out, padded, resized, then turned and mirrored."""

    top: int
    bottom: int
    left: int
    right: int
    pads: tuple[int, int, int, int]
    height: int
    width: int
    turned: bool
    flip_lr: bool
    flip_ud: bool

    def cut(self, array: np.ndarray) -> np.ndarray:
        return array[self.top : self.bottom, self.left : self.right]

    def view(self, array: np.ndarray) -> np.ndarray:
        if self.turned:
            array = array.swapaxes(0, 1)
        if self.flip_lr:
            array = array[:, ::-1]
        return array[::-1] if self.flip_ud else array


def fill_of(step: Geometry, frame: Frame) -> np.ndarray:
    """The fill of a step as values of this frame, one per channel."""
    value = step.fill * frame.top / 255
    if frame.dtype.kind != "f":
        value = min(max(round(value), 0), frame.top)
    return np.full(frame.channels, value, frame.dtype)


def move_image(
    image: np.ndarray, motion: Motion, finish: Transform | None = None, fill: np.ndarray | None = None
) -> np.ndarray:
    """Run a motion on H x W x C.

    Args:
        image: uint8, uint16 or float32.
        motion: what to do.
        finish: a change of values, applied as soon as the array has its final size.
        fill: value per channel outside a constant border, in values of this depth; without, the motion's own.

    Returns:
        motion.height x motion.width x C, possibly a view of the input or one with negative strides.
    """
    fill = motion.fill if fill is None else fill
    simple = motion.simple()
    if simple is not None:
        image = _pad(simple.cut(image), simple.pads, fill)
        image = _resize(image, simple.height, simple.width, motion.order)
        return simple.view(image if finish is None else finish(image))
    inverse = motion.inverse
    order = 1 if motion.order is None else motion.order
    if order and (shrink := motion.shrink) > 1:
        # As with a plain resize: areas are averaged first, or fine texture would turn into noise.
        shrunk = (max(1, motion.rows // shrink), max(1, motion.columns // shrink))
        inverse = resizing(motion.rows, motion.columns, *shrunk).matrix @ inverse
        image = resize_image(image, *shrunk)
    border = motion.border or "edge"
    image = warp(image, inverse, motion.height, motion.width, order=order, border=border, fill=fill)
    if len(lines := motion.cuts()):
        image[_behind(lines, motion.height, motion.width)] = fill
    return image if finish is None else finish(image)


def move_mask(mask: np.ndarray, motion: Motion) -> np.ndarray:
    """Run a motion on a mask H x W x classes of 0/1 (bool or integer) by nearest neighbour: labels stay exact.

    Every class is read at the same pixels. Outside a constant border the mask is 0.
    """
    mask = mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8, copy=False)
    simple = motion.simple()
    if simple is not None:
        mask = _pad(simple.cut(mask), simple.pads, None)
        return simple.view(resize_mask(mask, simple.height, simple.width))
    mask = warp(mask, motion.inverse, motion.height, motion.width, order=0, border=motion.border or "edge")
    if len(lines := motion.cuts()):
        mask[_behind(lines, motion.height, motion.width)] = 0
    return mask


def _pad(array: np.ndarray, pads: tuple[int, int, int, int], fill: np.ndarray | None) -> np.ndarray:
    if not any(pads):
        return array
    rows, columns, channels = array.shape
    top, bottom, left, right = pads
    padded = np.empty((rows + top + bottom, columns + left + right, channels), array.dtype)
    padded[:] = 0 if fill is None else fill
    padded[top : top + rows, left : left + columns] = array
    return padded


def _resize(image: np.ndarray, height: int, width: int, order: int | None) -> np.ndarray:
    rows, columns = image.shape[:2]
    if (
        order in (None, 1)
        or (rows, columns) == (height, width)
        or (order == 3 and min(rows // height, columns // width) > 1)
    ):
        return resize_image(image, height, width)
    method = cv2.INTER_CUBIC if order == 3 else cv2.INTER_NEAREST_EXACT
    return by_channels(image, lambda part: cv2.resize(part, (width, height), interpolation=method))


def warp(
    array: np.ndarray,
    inverse: np.ndarray,
    height: int,
    width: int,
    *,
    order: int = 1,
    border: Border = "constant",
    fill: np.ndarray | None = None,
) -> np.ndarray:
    """One OpenCV warp of H x W x C to height x width x C.

    Args:
        array: uint8, uint16 or float32.
        inverse: 3 x 3, pixel centres of the output -> those of the input.
        height: of the output. width: of the output.
        order: 0 nearest, 1 linear, 3 cubic.
        border: what is seen outside.
        fill: value per channel for ``constant``; 0 without.
    """
    channels = array.shape[2]
    if channels > MOST_CHANNELS:
        parts = [np.s_[start : start + MOST_CHANNELS] for start in range(0, channels, MOST_CHANNELS)]
        moved = [
            warp(
                array[..., part],
                inverse,
                height,
                width,
                order=order,
                border=border,
                fill=None if fill is None else fill[part],
            )
            for part in parts
        ]
        return np.concatenate(moved, axis=2)
    array = np.ascontiguousarray(array)
    colour = (0.0,) * channels if fill is None else tuple(fill.tolist())
    if order == 3 and border in ("reflect", "symmetric", "wrap"):
        order = 1  # OpenCV's cubic warp does not continue these borders
    flags = ORDERS[order] | cv2.WARP_INVERSE_MAP
    if affine(inverse):
        matrix = inverse[:2] / inverse[2, 2]

        def run(part: np.ndarray, value: tuple[float, ...]) -> np.ndarray:
            return cv2.warpAffine(
                part, matrix, (width, height), flags=flags, borderMode=BORDERS[border], borderValue=value
            )
    else:

        def run(part: np.ndarray, value: tuple[float, ...]) -> np.ndarray:
            return cv2.warpPerspective(
                part, inverse, (width, height), flags=flags, borderMode=BORDERS[border], borderValue=value
            )

    # OpenCV 5 warps four channels twice as fast as three, and more than four neither fast nor with a fill of their own.
    if channels in (1, 4) or (channels == 3 and order == 0):
        return with_channels(run(array, colour))
    if channels == 3:
        return cv2.cvtColor(run(cv2.cvtColor(array, cv2.COLOR_RGB2RGBA), colour), cv2.COLOR_RGBA2RGB)
    result = np.empty((height, width, channels), array.dtype)
    for start in range(0, channels, 4):
        count = min(4, channels - start)
        part = np.empty((*array.shape[:2], 1 if count == 1 else 4), array.dtype)
        chosen = [(start + i % count, i) for i in range(part.shape[2])]
        cv2.mixChannels([array], [part], list(itertools.chain(*chosen)))
        part = with_channels(run(part, colour[start : start + count]))
        cv2.mixChannels([part], [result], list(itertools.chain(*((i, start + i) for i in range(count)))))
    return result


def _behind(lines: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels (height x width, bool) on the wrong side of any of the lines."""
    x, y = np.arange(width), np.arange(height)[:, None]
    hidden = np.zeros((height, width), bool)
    for across, down, offset in lines.tolist():
        hidden |= across * x + down * y + offset < -1e-6
    return hidden


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    points = matrix @ points
    return points if affine(matrix) else points / points[2]


def _shrink(matrix: np.ndarray) -> int:
    (a, b, _), (c, d, _), _ = matrix.tolist()
    return max(1, int(1 / max(math.hypot(a, c), math.hypot(b, d)) + 1e-6))


def _enlarges(matrix: np.ndarray) -> bool:
    (a, b, _), (c, d, _), _ = matrix.tolist()
    return b == c == 0 and max(a, d) > 1.001


def keeps_values(matrix: np.ndarray) -> bool:
    """Whether a matrix only mirrors, turns by quarters and shifts by whole pixels."""
    (a, b, x), (c, d, y), _ = matrix.tolist()
    whole = x % 1 == 0 and y % 1 == 0 and {abs(a) + abs(b), abs(c) + abs(d), abs(a) + abs(c)} == {1.0}
    return whole and a in (0, 1, -1) and c in (0, 1, -1) and affine(matrix)


def affine(matrix: np.ndarray) -> bool:
    """Whether parallel lines stay parallel."""
    return matrix[2].tolist() == [0, 0, 1]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a 3 x 3 matrix; for affine ones several times faster than numpy's."""
    if not affine(matrix):
        return np.linalg.inv(matrix)
    (a, b, x), (c, d, y), _ = matrix.tolist()
    area = a * d - b * c
    a, b, c, d = d / area, -b / area, -c / area, a / area
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y], [0, 0, 1]])
