"""Smooth random maps, 0 to 1, that say where one picture shows and where another."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from musket.augment.ranges import Range, WholeRange, chance, draw_number, draw_whole

Upscaling = Literal["nearest", "linear", "area", "cubic"]
Aggregation = Literal["min", "max", "avg"]
SmallMap = Callable[[np.random.Generator, int, int], np.ndarray]
"""(random, height, width) -> height x width, 0 to 1."""

_METHODS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
}
_GRADIENTS = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1)], np.float32)


@dataclass(frozen=True)
class NoiseMaps:
    """How maps are made: drawn small, enlarged, several combined, made steeper.

    Attributes:
        size_px_max: longer side of the small map, drawn anew for each.
        upscale_method: how it is enlarged; one of several; None is linear at 60 %, cubic at 35 % and nearest at 5 %.
        iterations: how many maps are combined.
        aggregation_method: how; one of several.
        sigmoid: whether the result is pushed towards 0 and 1; as a number, the probability of that.
        sigmoid_thresh: which maps stay dark: 10 makes almost all 0, -10 almost all 1; None draws normally around 0
            with a deviation of 5.
    """

    size_px_max: WholeRange
    upscale_method: Upscaling | tuple[Upscaling, ...] | None
    iterations: WholeRange
    aggregation_method: Aggregation | tuple[Aggregation, ...]
    sigmoid: bool | float
    sigmoid_thresh: Range | None

    def draw(self, random: np.random.Generator, height: int, width: int, small: SmallMap) -> np.ndarray:
        """A map float32 height x width, 0 to 1."""
        maps = [self._one(random, height, width, small) for _ in range(draw_whole(random, self.iterations))]
        method = _one_of(random, self.aggregation_method)
        combined = functools.reduce({"min": np.minimum, "max": np.maximum, "avg": np.add}[method], maps)
        if method == "avg":
            combined = combined / np.float32(len(maps))
        if chance(random, float(self.sigmoid)):
            threshold = random.normal(0, 5) if self.sigmoid_thresh is None else draw_number(random, self.sigmoid_thresh)
            combined = sigmoid(combined, threshold)
        return combined.astype(np.float32, copy=False)

    def _one(self, random: np.random.Generator, height: int, width: int, small: SmallMap) -> np.ndarray:
        scale = min(1.0, draw_whole(random, self.size_px_max) / max(height, width))
        drawn = small(random, max(1, int(height * scale)), max(1, int(width * scale)))
        if self.upscale_method is None:
            method = str(random.choice(["nearest", "linear", "cubic"], p=[0.05, 0.6, 0.35]))
        else:
            method = _one_of(random, self.upscale_method)
        large = cv2.resize(drawn.astype(np.float32), (width, height), interpolation=_METHODS[method])
        return np.clip(large, 0, 1, out=large)


def _one_of(random: np.random.Generator, names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else names[int(random.integers(len(names)))]


def sigmoid(values: np.ndarray, threshold: float) -> np.ndarray:
    """1 / (1 + exp(-(20 v - 10 - threshold))): values 0..1 pushed to both ends, as imgaug does for its noise."""
    return 1 / (1 + np.exp(10 + threshold - 20 * values))


def simplex_map(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Simplex noise (Perlin 2001, after Gustavson 2005) at steps of about two thirds of a cell, mapped to 0..1."""
    permutation = random.permutation(256)
    offset = random.uniform(0, 256, 2)
    y, x = np.mgrid[:height, :width] * 0.65 + offset[:, None, None]
    skewed = (x + y) * (np.sqrt(3) - 1) / 2
    cell_x, cell_y = np.floor(x + skewed).astype(int), np.floor(y + skewed).astype(int)
    back = (3 - np.sqrt(3)) / 6
    near_x, near_y = x - cell_x + (cell_x + cell_y) * back, y - cell_y + (cell_x + cell_y) * back
    right = near_x > near_y
    total = np.zeros((height, width))
    for step_x, step_y in ((0, 0), (right.astype(int), (~right).astype(int)), (1, 1)):
        away_x, away_y = near_x - step_x + (step_x + step_y) * back, near_y - step_y + (step_x + step_y) * back
        hashed = permutation[(cell_x + step_x + permutation[(cell_y + step_y) & 255]) & 255] % 8
        gradient = _GRADIENTS[hashed]
        fall = np.maximum(0.5 - away_x**2 - away_y**2, 0) ** 4
        total += fall * (gradient[..., 0] * away_x + gradient[..., 1] * away_y)
    return np.clip(total * 35 + 0.5, 0, 1)  # 70 brings the sum to -1..1


def frequency_map(exponent: float) -> SmallMap:
    """White noise whose frequencies f are weighted by f^exponent: -4 gives clouds, 0 white noise, 4 fine grain."""

    def draw(random: np.random.Generator, height: int, width: int) -> np.ndarray:
        spectrum = random.random((height, width)) * np.exp(2j * np.pi * random.random((height, width)))
        rows, columns = np.fft.fftfreq(height) * height, np.fft.fftfreq(width) * width
        frequency = np.hypot(rows[:, None], columns)
        frequency[0, 0] = 1
        weights = frequency**exponent
        weights[0, 0] = 0  # the mean goes when the map is stretched anyway
        values = np.fft.ifft2(spectrum * weights).real
        low, high = values.min(), values.max()
        return (values - low) / (high - low) if high > low else np.full((height, width), 0.5)

    return draw
