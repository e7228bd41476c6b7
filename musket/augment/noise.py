"""Noise: every pixel gets numbers of its own. Masks stay.

Names, options and defaults are those of imgaug 0.4; values count to 255 whatever the depth of the image. Numbers come
from OpenCV's generator, which is one per thread and is seeded for each image, so the same draw gives the same noise in
any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

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
    draw_whole,
)
from musket.augment.steps import Frame, ImagePass, Step, top_of
from musket.core.errors import MusketError
from musket.core.geometry import with_channels


@dataclass(frozen=True)
class AddElementwise:
    """Add a whole number to every pixel: a fixed one, one from a range, or one of several.

    Args:
        value: in 0..255 units, from -255 to 255.
        per_channel: other numbers in every channel; as a number, the probability of that.
    """

    value: WholeRange = (-20, 20)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("AddElementwise", "value", self.value, -255, 255)
        check_probability("AddElementwise", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        planes = _planes(random, self.per_channel, frame)
        seed = draw_seed(random)
        return [ImagePass(lambda image: _add(image, _whole_numbers(image, planes, seed, self.value)))]


@dataclass(frozen=True)
class AdditiveGaussianNoise:
    """Add normally distributed noise.

    Args:
        loc: mean of the noise, in 0..255 units.
        scale: its deviation, in 0..255 units; drawn once per image.
        per_channel: other noise in every channel; as a number, the probability of that.
    """

    loc: Range = 0.0
    scale: Range = (0.0, 15.0)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("AdditiveGaussianNoise", "loc", self.loc, -255, 255)
        check_range("AdditiveGaussianNoise", "scale", self.scale, 0, 1000)
        check_probability("AdditiveGaussianNoise", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        loc, scale = draw_number(random, self.loc), draw_number(random, self.scale)
        planes = _planes(random, self.per_channel, frame)
        seed = draw_seed(random)

        def run(image: np.ndarray) -> np.ndarray:
            noise = np.empty(_shape(image, planes), np.int16 if image.dtype == np.uint8 else np.float32)
            cv2.setRNGSeed(seed)
            cv2.randn(noise.reshape(-1), np.array([loc]), np.array([scale]))
            return _add(image, noise)

        return [ImagePass(run)] if loc or scale else []


@dataclass(frozen=True)
class MultiplyElementwise:
    """Multiply every pixel by a number: a fixed one, one from a range, or one of several.

    Args:
        mul: from 0 up.
        per_channel: other numbers in every channel; as a number, the probability of that.
    """

    mul: Range = (0.8, 1.2)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("MultiplyElementwise", "mul", self.mul, 0, 255)
        check_probability("MultiplyElementwise", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        planes = _planes(random, self.per_channel, frame)
        seed = draw_seed(random)

        def run(image: np.ndarray) -> np.ndarray:
            factors = spread(_numbers(_shape(image, planes), seed, self.mul), image.shape[2])
            if image.dtype.kind == "f":
                return in_depth(np.multiply(image, factors, dtype=np.float32), image.dtype)
            depth = cv2.CV_8U if image.dtype == np.uint8 else cv2.CV_16U
            return with_channels(cv2.multiply(image, factors, dtype=depth))

        return [ImagePass(run)]


@dataclass(frozen=True)
class Dropout:
    """Set single pixels to 0.

    Args:
        p: share of pixels, drawn once per image.
        per_channel: drop values of single channels; as a number, the probability of that.
    """

    p: Range = (0.0, 0.05)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("Dropout", "p", self.p, 0, 1)
        check_probability("Dropout", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _replacing(random, frame, self.p, self.per_channel, _fixed(0))


@dataclass(frozen=True)
class ReplaceElementwise:
    """Give single pixels another value.

    Args:
        mask: share of pixels, drawn once per image.
        replacement: the value, in 0..255 units: a fixed one, or for every pixel one from a range or one of several.
        per_channel: replace values of single channels; as a number, the probability of that.
    """

    mask: Range
    replacement: Range
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("ReplaceElementwise", "mask", self.mask, 0, 1)
        check_range("ReplaceElementwise", "replacement", self.replacement, 0, 255)
        check_probability("ReplaceElementwise", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _replacing(random, frame, self.mask, self.per_channel, lambda n, s: _numbers((n,), s, self.replacement))


@dataclass(frozen=True)
class SaltAndPepper:
    """Replace single pixels by whitish and blackish ones (an arcsine distribution over 0..255).

    Args:
        p: share of pixels, drawn once per image.
        per_channel: replace values of single channels; as a number, the probability of that.
    """

    p: Range = (0.0, 0.03)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range(type(self).__name__, "p", self.p, 0, 1)
        check_probability(type(self).__name__, "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _replacing(random, frame, self.p, self.per_channel, _arcsine)


@dataclass(frozen=True)
class Salt(SaltAndPepper):
    """Replace single pixels by whitish ones.

    Args:
        p: share of pixels, drawn once per image.
        per_channel: replace values of single channels; as a number, the probability of that.
    """

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _replacing(random, frame, self.p, self.per_channel, _upper_arcsine)


@dataclass(frozen=True)
class Pepper(SaltAndPepper):
    """Replace single pixels by blackish ones.

    Args:
        p: share of pixels, drawn once per image.
        per_channel: replace values of single channels; as a number, the probability of that.
    """

    p: Range = (0.0, 0.05)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _replacing(random, frame, self.p, self.per_channel, _lower_arcsine)


@dataclass(frozen=True)
class CoarseSaltAndPepper:
    """Replace rectangles by noise of whitish and blackish pixels.

    Args:
        p: share of the image, drawn once per image.
        size_px: height and width, in pixels, of the small picture in which cells are chosen before it is enlarged to
            the image: few pixels give large rectangles. Default 3 to 8.
        size_percent: the same as a share of the image's height and width, 0 to 1. One of the two.
        per_channel: other rectangles in every channel; as a number, the probability of that.
        min_size: least height and width of the small picture.
    """

    p: Range = (0.02, 0.1)
    size_px: WholeRange | None = None
    size_percent: Range | None = None
    per_channel: PerChannel = False
    min_size: int = 3

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_range(name, "p", self.p, 0, 1)
        check_probability(name, "per_channel", self.per_channel)
        check_range(name, "min_size", self.min_size, 1)
        if self.size_px is not None and self.size_percent is not None:
            raise MusketError(f"{name}: size_px and size_percent say the same thing; found both, keep one")
        if self.size_px is not None:
            check_range(name, "size_px", self.size_px, 1)
        if self.size_percent is not None:
            check_range(name, "size_percent", self.size_percent, 0, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return self._draw(random, frame, _arcsine)

    def _draw(self, random: np.random.Generator, frame: Frame, values: Values) -> Sequence[Step]:
        height, width = (max(self.min_size, self._side(random, length), 1) for length in (frame.height, frame.width))
        return _replacing(random, frame, self.p, self.per_channel, values, (height, width))

    def _side(self, random: np.random.Generator, length: int) -> int:
        if self.size_percent is not None:
            return int(draw_number(random, self.size_percent) * length)
        return draw_whole(random, self.size_px if self.size_px is not None else (3, 8))


@dataclass(frozen=True)
class CoarseSalt(CoarseSaltAndPepper):
    """Replace rectangles by noise of whitish pixels. Options as in CoarseSaltAndPepper."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return self._draw(random, frame, _upper_arcsine)


@dataclass(frozen=True)
class CoarsePepper(CoarseSaltAndPepper):
    """Replace rectangles by noise of blackish pixels. Options as in CoarseSaltAndPepper."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return self._draw(random, frame, _lower_arcsine)


@dataclass(frozen=True)
class CoarseDropout(CoarseSaltAndPepper):
    """Set rectangles to 0. Options as in CoarseSaltAndPepper."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return self._draw(random, frame, _fixed(0))


Values = Callable[[int, int], np.ndarray]
"""(count, seed) -> that many numbers in 0..255."""


def _planes(random: np.random.Generator, per_channel: PerChannel, frame: Frame) -> int:
    """How many channels of noise an image gets: one for all of them, or one for each."""
    return frame.channels if chance(random, float(per_channel)) else 1


def _shape(image: np.ndarray, planes: int) -> tuple[int, int, int]:
    return image.shape[0], image.shape[1], planes


def _uniform(shape: tuple[int, ...], seed: int, low: float, high: float, dtype: type = np.float32) -> np.ndarray:
    """Numbers from [low, high), for integers from low..high - 1."""
    field = np.empty(shape, dtype)
    if field.size:
        cv2.setRNGSeed(seed)
        cv2.randu(field.reshape(-1), np.array([low]), np.array([high]))
    return field


def _numbers(shape: tuple[int, ...], seed: int, value: Range) -> np.ndarray:
    """float32: the fixed number, or for every place one from the range or one of the listed."""
    if isinstance(value, int | float):
        return np.full(shape, value, np.float32)
    if len(value) == 2:
        low, high = sorted(value)
        return _uniform(shape, seed, low, high)
    return np.array(value, np.float32)[_uniform(shape, seed, 0, len(value), np.int32)]


def _whole_numbers(image: np.ndarray, planes: int, seed: int, value: WholeRange) -> np.ndarray:
    """As :func:`_numbers`, from a..b inclusive for a range; int16 for uint8 images, else float32."""
    shape = _shape(image, planes)
    if isinstance(value, tuple) and len(value) == 2:
        low, high = sorted(value)
        numbers = _uniform(shape, seed, low, high + 1, np.int16)
    else:
        numbers = _numbers(shape, seed, value)
    return numbers.astype(np.int16 if image.dtype == np.uint8 else np.float32, copy=False)


def _add(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The image plus noise in 0..255 units: int16 for uint8 images, else float32 (used up)."""
    noise = spread(noise, image.shape[2])
    if image.dtype == np.uint8:
        total = image.astype(np.int16)
        total += noise
        return np.clip(total, 0, 255, out=total).astype(np.uint8)
    scale = top_of(image.dtype) / 255
    if scale != 1:
        noise *= np.float32(scale)
    return in_depth(np.add(image, noise, out=noise), image.dtype)


def _fixed(value: float) -> Values:
    return lambda count, _: np.full(count, value, np.float32)


def _arcsine(count: int, seed: int) -> np.ndarray:
    """Beta(1/2, 1/2) over 0..255, by its inverse distribution function sin^2(pi u / 2)."""
    return np.square(np.sin(_uniform((count,), seed, 0, np.pi / 2))) * np.float32(255)


def _upper_arcsine(count: int, seed: int) -> np.ndarray:
    return 127.5 + np.abs(_arcsine(count, seed) - 127.5)


def _lower_arcsine(count: int, seed: int) -> np.ndarray:
    return 127.5 - np.abs(_arcsine(count, seed) - 127.5)


def _replacing(
    random: np.random.Generator,
    frame: Frame,
    share: Range,
    per_channel: PerChannel,
    values: Values,
    cells: tuple[int, int] | None = None,
) -> Sequence[Step]:
    """Replace a share of the pixels, chosen in a picture of ``cells`` height and width and enlarged from there."""
    p = draw_number(random, share)
    planes = _planes(random, per_channel, frame)
    choice, filling = draw_seed(random), draw_seed(random)

    def run(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        rows, columns = (height, width) if cells is None else cells
        chosen = _uniform((rows, columns, planes), choice, 0, 1) < p
        if cells is not None:
            chosen = chosen[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
        numbers = values(int(np.count_nonzero(chosen)), filling) * np.float32(top_of(image.dtype) / 255)
        numbers = in_depth(numbers, image.dtype)
        result = np.array(image)
        if planes == 1:
            result[chosen[..., 0]] = numbers[:, None]
        else:
            result[chosen] = numbers
        return result

    return [ImagePass(run)] if p > 0 else []
