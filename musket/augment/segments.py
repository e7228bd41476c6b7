"""Superpixels. Masks stay. Names, options and defaults are those of imgaug 0.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from musket.augment.pixels import in_depth
from musket.augment.ranges import Range, WholeRange, check_range, draw_number, draw_seed, draw_whole
from musket.augment.steps import Frame, ImagePass, Step, top_of
from musket.core.geometry import by_channels

_METHODS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
}
_COMPACTNESS = 10.0
"""Weight of distance against colour, as in the paper and in scikit-image."""
_ROUNDS = 5
"""Of k-means; the paper finds ten to be more than enough."""


@dataclass(frozen=True)
class Superpixels:
    """Replace areas of similar colour by their mean.

    Args:
        p_replace: share of the areas that are replaced, 0 to 1.
        n_segments: about how many areas there are.
        max_size: larger images are shrunk to this longer side first, in pixels, and enlarged afterwards; null never.
        interpolation: of both.
    """

    p_replace: Range = (0.5, 1.0)
    n_segments: WholeRange = (50, 120)
    max_size: int | None = 128
    interpolation: Literal["nearest", "linear", "area", "cubic"] = "linear"

    def __post_init__(self) -> None:
        check_range("Superpixels", "p_replace", self.p_replace, 0, 1)
        check_range("Superpixels", "n_segments", self.n_segments, 1)
        if self.max_size is not None:
            check_range("Superpixels", "max_size", self.max_size, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        share, count, seed = draw_number(random, self.p_replace), draw_whole(random, self.n_segments), draw_seed(random)
        scale = min(1.0, (self.max_size or np.inf) / max(frame.height, frame.width))
        height, width = max(1, round(frame.height * scale)), max(1, round(frame.width * scale))

        def run(image: np.ndarray) -> np.ndarray:
            method = _METHODS[self.interpolation]
            small = image if scale == 1 else resized(image, height, width, method)
            labels = slic(small, count)
            replaced = np.random.default_rng(seed).random(int(labels.max()) + 1) < share
            small = with_means(small, labels, replaced)
            return small if scale == 1 else resized(small, frame.height, frame.width, method)

        return [ImagePass(run)] if share > 0 else []


def resized(image: np.ndarray, height: int, width: int, method: int) -> np.ndarray:
    """H x W x C at another size, in its depth's range."""
    result = by_channels(image, lambda part: cv2.resize(part, (width, height), interpolation=method), most=4)
    return in_depth(result, image.dtype) if image.dtype.kind == "f" else result


def slic(image: np.ndarray, count: int) -> np.ndarray:
    """Areas of similar colour (SLIC: Achanta and others 2012), without its clean-up of stray pixels.

    k-means over colour and place, in which a pixel joins one of the nine areas around the grid cell it lies in.

    Args:
        image: H x W x C of any depth; three channels are compared in Lab, others as they are.
        count: about how many areas.

    Returns:
        labels, int H x W; some may be unused.
    """
    height, width = image.shape[:2]
    values = image.astype(np.float32) / np.float32(top_of(image.dtype))
    values = cv2.cvtColor(values, cv2.COLOR_RGB2Lab) if image.shape[2] == 3 else values * np.float32(100)
    rows = max(1, min(height, round(np.sqrt(count * height / width))))
    columns = max(1, min(width, round(count / rows)))
    weight = np.float32(_COMPACTNESS / np.sqrt(height * width / (rows * columns)))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    features = np.concatenate([values, (x * weight)[..., None], (y * weight)[..., None]], axis=2)
    cells = np.arange(height)[:, None] * rows // height * columns + np.arange(width) * columns // width
    order = np.argsort(cells, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(cells.ravel(), minlength=rows * columns)).tolist()
    pixels, labels = features.reshape(height * width, -1)[order], cells.ravel()[order]
    around = _neighbours(rows, columns)
    for _ in range(_ROUNDS):
        centres = _means(pixels, labels, rows * columns)
        lengths = np.square(centres).sum(axis=1)
        for start, end, near in zip([0, *ends], ends, around, strict=False):
            # |pixel - centre|^2 without the part that is the same for all centres
            distance = lengths[near] - 2 * pixels[start:end] @ centres[near].T
            labels[start:end] = near[np.argmin(distance, axis=1)]
    result = np.empty(height * width, int)
    result[order] = labels
    return result.reshape(height, width)


def _neighbours(rows: int, columns: int) -> list[np.ndarray]:
    """Of every cell of a grid, row by row: itself and the cells around it."""
    numbers = np.arange(rows * columns).reshape(rows, columns)
    return [
        numbers[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].ravel()
        for row in range(rows)
        for column in range(columns)
    ]


def with_means(image: np.ndarray, labels: np.ndarray, replaced: np.ndarray) -> np.ndarray:
    """The image with its mean in each area that ``replaced`` (bool, one per label) says."""
    means = _means(image.reshape(labels.size, -1), labels.ravel(), len(replaced))
    return np.where(replaced[labels][..., None], in_depth(means, image.dtype)[labels], image)


def _means(pixels: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Mean of pixels (n x C) over each label (n), float32 count x C; 0 for labels without pixels."""
    sizes = np.maximum(np.bincount(labels, minlength=count), 1)
    sums = [np.bincount(labels, column, count) for column in pixels.T]
    return (np.stack(sums, axis=1) / sizes[:, None]).astype(np.float32)
