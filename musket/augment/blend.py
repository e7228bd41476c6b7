"""Two versions of an image, mixed by a map of shares. Names, options and defaults are those of imgaug 0.4.

A mask cannot be mixed: every pixel of it is taken from the version that has the larger share of the image there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from musket.augment.compile import Chain
from musket.augment.noise_maps import Aggregation, NoiseMaps, SmallMap, Upscaling, frequency_map, simplex_map
from musket.augment.pixels import in_depth, spread
from musket.augment.ranges import (
    PerChannel,
    Range,
    WholeRange,
    chance,
    check_probability,
    check_range,
    draw_number,
    draw_seed,
)
from musket.augment.steps import Frame, Operation, Pass, Step
from musket.core.errors import MusketError

Shares = Callable[[np.random.Generator, int, int, int], np.ndarray]
"""(random, height, width, planes) -> float32 height x width x planes, 0 to 1."""


def blending(
    random: np.random.Generator, planes: int, first: Sequence[Operation], second: Sequence[Operation], shares: Shares
) -> Sequence[Step]:
    """Mix what ``first`` and ``second`` make of an image; an empty one leaves it as it is.

    Both are brought back to the size of the input, should they change it.
    """
    seeds = [draw_seed(random) for _ in range(3)]

    def run(image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        height, width, channels = image.shape
        versions = [
            Chain(tuple(children), height, width)(image, mask, np.random.default_rng(seed))
            for children, seed in zip((first, second), seeds, strict=False)
        ]
        (image_1, mask_1), (image_2, mask_2) = versions
        share = np.ascontiguousarray(shares(np.random.default_rng(seeds[2]), height, width, planes))
        return mix(image_1, image_2, spread(share, channels)), mix_masks(mask_1, mask_2, share)

    return [Pass(run)] if first or second else []


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``share`` * first + (1 - share) * second, H x W x C, in their depth."""
    base = second.astype(np.float32)
    mixed = first.astype(np.float32)
    mixed -= base
    mixed *= share
    mixed += base
    return in_depth(mixed, first.dtype)


def mix_masks(first: np.ndarray | None, second: np.ndarray | None, share: np.ndarray) -> np.ndarray | None:
    """Labels of ``first`` where its mean share over the channels is at least a half, else those of ``second``."""
    if first is None or second is None or first is second:
        return first
    return np.where(share.mean(axis=2, keepdims=True) >= 0.5, first, second)


@dataclass(frozen=True)
class AlphaElementwise:
    """Mix two versions of the image, every pixel by a share of its own.

    Args:
        factor: share of ``first``, 0 to 1: a fixed one, or for every pixel one from a range or one of several.
        first: augmenters that make the one version; without, the image itself.
        second: augmenters that make the other.
        per_channel: other shares in every channel; as a number, the probability of that.
    """

    factor: Range = (0.0, 1.0)
    first: tuple[Operation, ...] = ()
    second: tuple[Operation, ...] = ()
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("AlphaElementwise", "factor", self.factor, 0, 1)
        check_probability("AlphaElementwise", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        planes = frame.channels if chance(random, float(self.per_channel)) else 1
        return blending(random, planes, self.first, self.second, self._shares)

    def _shares(self, random: np.random.Generator, height: int, width: int, planes: int) -> np.ndarray:
        shape = (height, width, planes)
        if isinstance(self.factor, int | float):
            return np.full(shape, self.factor, np.float32)
        if len(self.factor) == 2:
            low, high = sorted(self.factor)
            return random.random(shape, np.float32) * np.float32(high - low) + np.float32(low)
        return np.array(self.factor, np.float32)[random.integers(len(self.factor), size=shape)]


@dataclass(frozen=True)
class SimplexNoiseAlpha:
    """Mix two versions of the image in blobs (simplex noise).

    Args:
        first: augmenters that make the version seen in the blobs; without, the image itself.
        second: augmenters that make the version around them.
        per_channel: other blobs in every channel; as a number, the probability of that.
        size_px_max: longer side, in pixels, of the small map the blobs are drawn in before it is enlarged.
        upscale_method: how; nearest gives rectangles. Default mostly linear, then cubic.
        iterations: how many maps are combined.
        aggregation_method: how: min, max or avg.
        sigmoid: whether blobs get sharper edges; as a number, the probability of that.
        sigmoid_thresh: how few blobs there are, about -10 to 10. Default: normal around 0, deviation 5.
    """

    first: tuple[Operation, ...] = ()
    second: tuple[Operation, ...] = ()
    per_channel: PerChannel = False
    size_px_max: WholeRange = (2, 16)
    upscale_method: Upscaling | tuple[Upscaling, ...] | None = None
    iterations: WholeRange = (1, 3)
    aggregation_method: Aggregation | tuple[Aggregation, ...] = "max"
    sigmoid: PerChannel = True
    sigmoid_thresh: Range | None = None

    def __post_init__(self) -> None:
        _check_maps(self)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        planes = frame.channels if chance(random, float(self.per_channel)) else 1
        return blending(random, planes, self.first, self.second, _map_shares(self, simplex_map))


@dataclass(frozen=True)
class FrequencyNoiseAlpha:
    """Mix two versions of the image in clouds or grains (noise of chosen frequencies).

    Args:
        exponent: from -4 (large clouds) to 4 (grains).
        first: augmenters that make the version seen where the noise is high; without, the image itself.
        second: augmenters that make the version seen where it is low.
        per_channel: other noise in every channel; as a number, the probability of that.
        size_px_max: longer side, in pixels, of the small map the noise is drawn in before it is enlarged.
        upscale_method: how. Default mostly linear, then cubic.
        iterations: how many maps are combined.
        aggregation_method: how: min, max or avg, or one of several.
        sigmoid: whether the noise is pushed towards both ends; as a number, the probability of that.
        sigmoid_thresh: how little of ``first`` is seen, about -10 to 10. Default: normal around 0, deviation 5.
    """

    exponent: Range = (-4.0, 4.0)
    first: tuple[Operation, ...] = ()
    second: tuple[Operation, ...] = ()
    per_channel: PerChannel = False
    size_px_max: WholeRange = (4, 16)
    upscale_method: Upscaling | tuple[Upscaling, ...] | None = None
    iterations: WholeRange = (1, 3)
    aggregation_method: Aggregation | tuple[Aggregation, ...] = ("avg", "max")
    sigmoid: PerChannel = 0.5
    sigmoid_thresh: Range | None = None

    def __post_init__(self) -> None:
        check_range("FrequencyNoiseAlpha", "exponent", self.exponent, -20, 20)
        _check_maps(self)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        planes = frame.channels if chance(random, float(self.per_channel)) else 1
        small = frequency_map(draw_number(random, self.exponent))
        return blending(random, planes, self.first, self.second, _map_shares(self, small))


def _check_maps(part: SimplexNoiseAlpha | FrequencyNoiseAlpha) -> None:
    name = type(part).__name__
    check_probability(name, "per_channel", part.per_channel)
    check_probability(name, "sigmoid", part.sigmoid)
    check_range(name, "size_px_max", part.size_px_max, 1, 10_000)
    check_range(name, "iterations", part.iterations, 1, 1000)
    if part.sigmoid_thresh is not None:
        check_range(name, "sigmoid_thresh", part.sigmoid_thresh)
    for option in ("upscale_method", "aggregation_method"):
        if getattr(part, option) == ():
            raise MusketError(f"{name}: {option} is an empty list; name a method at least")


def _map_shares(part: SimplexNoiseAlpha | FrequencyNoiseAlpha, small: SmallMap) -> Shares:
    maps = NoiseMaps(
        part.size_px_max,
        part.upscale_method,
        part.iterations,
        part.aggregation_method,
        part.sigmoid,
        part.sigmoid_thresh,
    )

    def shares(random: np.random.Generator, height: int, width: int, planes: int) -> np.ndarray:
        return np.stack([maps.draw(random, height, width, small) for _ in range(planes)], axis=2)

    return shares
