"""Warps that no matrix can describe: local displacements of image and mask.

Names, options and defaults are those of imgaug 0.4; distances in pixels. Masks move by nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from musket.augment.blur import gaussian_blur
from musket.augment.ranges import Range, WholeRange, check_range, draw_number, draw_seed, draw_whole
from musket.augment.steps import Border, Frame, Pass, Step, top_of
from musket.augment.warp import BORDERS, ORDERS
from musket.core.errors import MusketError
from musket.core.geometry import by_channels

LONGEST = 2**15 - 2
"""Pixels: the longest side that OpenCV's remap takes."""


@dataclass(frozen=True)
class ElasticTransformation:
    """Shift every pixel by smooth random displacements (Simard, Steinkraus and Platt 2003).

    Args:
        alpha: strength: displacements are those of noise in -1..1, blurred, times this.
        sigma: smoothness: deviation of the blur in pixels. Small ones scatter pixels, large ones look like water;
            alpha should be about ten times sigma.
        order: interpolation of the image: 0 nearest, 1 linear, 3 cubic.
        cval: value outside the image for mode ``constant``, in 0..255 units.
        mode: what is seen outside the image.
        scale: another name of alpha.
    """

    alpha: Range | None = None
    sigma: Range = (4.0, 8.0)
    order: Literal[0, 1, 3] = 3
    cval: Range = 0.0
    mode: Border = "constant"
    scale: Range | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and self.scale is not None:
            raise MusketError("ElasticTransformation: scale is another name of alpha; found both, keep alpha")
        check_range("ElasticTransformation", "alpha", self.strength, 0)
        check_range("ElasticTransformation", "sigma", self.sigma, 0, 1000)
        check_range("ElasticTransformation", "cval", self.cval, 0, 255)

    @property
    def strength(self) -> Range:
        """Alpha under either name; (0, 40) when neither is given."""
        given = self.alpha if self.alpha is not None else self.scale
        return (0.0, 40.0) if given is None else given

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha, sigma = draw_number(random, self.strength), draw_number(random, self.sigma)
        fill, seed = draw_number(random, self.cval), draw_seed(random)

        def run(image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
            height, width = image.shape[:2]
            x, y = positions(height, width)
            shifts = displacements(height, width, alpha, sigma, seed)
            return remap(image, mask, x + shifts[0], y + shifts[1], self.order, self.mode, fill)

        return [Pass(run)] if alpha > 0 else []


@dataclass(frozen=True)
class PiecewiseAffine:
    """Move the points of a grid a little, and everything between them along (affinely, in triangles).

    Args:
        scale: deviation of the points' movements as a share of height and width; 0.01 to 0.05 looks natural.
        nb_rows: rows of points, 2 or more. nb_cols: columns.
        order: interpolation of the image: 0 nearest, 1 linear, 3 cubic.
        cval: value outside the image for mode ``constant``, in 0..255 units.
        mode: what is seen outside the image.
        absolute_scale: scale is in pixels.
    """

    scale: Range = (0.0, 0.04)
    nb_rows: WholeRange = (2, 4)
    nb_cols: WholeRange = (2, 4)
    order: Literal[0, 1, 3] = 1
    cval: Range = 0.0
    mode: Border = "constant"
    absolute_scale: bool = False

    def __post_init__(self) -> None:
        check_range("PiecewiseAffine", "scale", self.scale, 0)
        check_range("PiecewiseAffine", "nb_rows", self.nb_rows, 2, 1000)
        check_range("PiecewiseAffine", "nb_cols", self.nb_cols, 2, 1000)
        check_range("PiecewiseAffine", "cval", self.cval, 0, 255)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        scale, fill = draw_number(random, self.scale), draw_number(random, self.cval)
        shape = (draw_whole(random, self.nb_rows), draw_whole(random, self.nb_cols))
        jitter = random.standard_normal((2, *shape), dtype=np.float32) * np.float32(scale)

        def run(image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
            height, width = image.shape[:2]
            size = np.ones(2) if self.absolute_scale else np.array([width, height])
            x, y = moved_grid(height, width, jitter * size[:, None, None].astype(np.float32))
            return remap(image, mask, x, y, self.order, self.mode, fill)

        return [Pass(run)] if scale > 0 else []


def positions(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 x (1 x width) and y (height x 1) of every pixel."""
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]


def displacements(height: int, width: int, alpha: float, sigma: float, seed: int) -> np.ndarray:
    """Shifts in x and in y, float32 2 x height x width: ``alpha`` times blurred uniform noise in -1..1."""
    noise = np.empty((2, height, width), np.float32)
    cv2.setRNGSeed(seed)
    cv2.randu(noise.reshape(-1), np.array([-alpha]), np.array([alpha]))
    if sigma > 0:
        size = int(5 * sigma) | 1
        for plane in noise:
            plane[...] = gaussian_blur(plane, sigma, size)[..., 0]
    return noise


def moved_grid(height: int, width: int, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where every pixel comes from when the points of a grid are moved.

    Between four points the picture is cut along the falling diagonal; each triangle is mapped affinely. Points stay
    inside the image.

    Args:
        height: of the image. width: of the image.
        jitter: movements in x and in y, in pixels, 2 x rows x columns; rows and columns at least 2.

    Returns:
        x and y, float32 height x width.
    """
    rows, columns = jitter.shape[1:]
    across = np.linspace(0, width - 1, columns, dtype=np.float32)
    down = np.linspace(0, height - 1, rows, dtype=np.float32)
    points = np.stack(np.meshgrid(across, down)) + jitter
    points = np.clip(points, 0, np.array([width - 1, height - 1], np.float32)[:, None, None])

    x, y = np.empty((2, height, width), np.float32)
    row_of, v_of = _cells(height, rows)
    column_of, u_of = _cells(width, columns)
    for row, column in np.ndindex(rows - 1, columns - 1):
        here = np.s_[row_of[row] : row_of[row + 1], column_of[column] : column_of[column + 1]]
        v, u = v_of[here[0], None], u_of[None, here[1]]
        above = u >= v
        for target, place in zip((x, y), points, strict=True):
            (p00, p01), (p10, p11) = place[row : row + 2, column : column + 2]
            upper = (p00 + u * (p01 - p00)) + v * (p11 - p01)
            lower = (p00 + v * (p10 - p00)) + u * (p11 - p10)
            target[here] = np.where(above, upper, lower)
    return x, y


def _cells(length: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Where along ``length`` pixels each cell between ``points`` points begins (and the last ends); places in them."""
    place = np.arange(length, dtype=np.float32) * np.float32((points - 1) / max(length - 1, 1))
    cell = np.minimum(place.astype(int), points - 2)
    return np.searchsorted(cell, np.arange(points)), place - cell.astype(np.float32)


def remap(
    image: np.ndarray, mask: np.ndarray | None, x: np.ndarray, y: np.ndarray, order: int, border: Border, fill: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and mask with every pixel taken from (x, y) of the input.

    Args:
        image: H x W x C. mask: H x W x classes uint8, or None; nearest, 0 outside for ``constant``.
        x: float32 H x W, in pixels. y: the same.
        order: interpolation of the image.
        border: what is seen outside.
        fill: value outside for ``constant``, in 0..255 units.

    Raises:
        MusketError: a side is longer than OpenCV's remap takes.
    """
    if max(image.shape[:2]) > LONGEST:
        raise MusketError(
            f"PiecewiseAffine and ElasticTransformation take images of at most {LONGEST} pixels a side; found "
            f"{image.shape[1]} x {image.shape[0]}. Cut the images (crops), or write a Resize before them"
        )
    flag = BORDERS[border]
    value = fill / 255 * top_of(image.dtype)

    def take(array: np.ndarray, interpolation: int, outside: float) -> np.ndarray:
        def move(part: np.ndarray) -> np.ndarray:
            return cv2.remap(part, x, y, interpolation, borderMode=flag, borderValue=(outside,) * 4)

        return by_channels(array, move, most=4)

    moved = take(image, ORDERS[order], value)
    if image.dtype.kind == "f" and order == 3:
        np.clip(moved, 0, top_of(image.dtype), out=moved)  # cubic overshoots
    return moved, None if mask is None else take(mask, cv2.INTER_NEAREST, 0)
