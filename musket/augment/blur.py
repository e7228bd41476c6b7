"""Blurs and convolutions. Masks stay. Names, options and defaults are those of imgaug 0.4; sizes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from musket.augment.pixels import in_depth
from musket.augment.ranges import Range, WholeRange, check_range, draw_number, draw_whole
from musket.augment.steps import Frame, ImagePass, Step, top_of
from musket.core.errors import MusketError
from musket.core.geometry import by_channels, with_channels


@dataclass(frozen=True)
class GaussianBlur:
    """Blur by a normal distribution.

    Args:
        sigma: its deviation in pixels; 0 changes nothing.
    """

    sigma: Range = (0.0, 3.0)

    def __post_init__(self) -> None:
        check_range("GaussianBlur", "sigma", self.sigma, 0, 1000)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        sigma = draw_number(random, self.sigma)
        # As wide as imgaug makes it: about 3.3 deviations in all. OpenCV's own choice is 6 and takes twice as long.
        reach = 3.3 if sigma < 3 else 2.9 if sigma < 5 else 2.6
        size = max(int(reach * sigma), 5) | 1
        return [ImagePass(lambda image: gaussian_blur(image, sigma, size))] if sigma > 1e-3 else []


def gaussian_blur(image: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """Blur H x W x C of any depth with a kernel of ``size`` (odd) pixels; mirrored at the border."""
    return by_channels(with_channels(image), lambda part: cv2.GaussianBlur(part, (size, size), sigma))


@dataclass(frozen=True)
class AverageBlur:
    """Replace every pixel by the mean of a square around it.

    Args:
        k: side of the square in pixels; 1 changes nothing.
    """

    k: WholeRange = (1, 7)

    def __post_init__(self) -> None:
        check_range("AverageBlur", "k", self.k, 0, 1000)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        k = draw_whole(random, self.k)
        return [ImagePass(lambda image: by_channels(image, lambda part: cv2.blur(part, (k, k))))] if k > 1 else []


@dataclass(frozen=True)
class MedianBlur:
    """Replace every value by the median of a square around it, in its channel.

    Args:
        k: side of the square in pixels; an even one counts as the next odd one; 1 changes nothing. Above 5 only 8-bit
            images are fast.
    """

    k: WholeRange = (1, 7)

    def __post_init__(self) -> None:
        check_range("MedianBlur", "k", self.k, 0, 255)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        k = draw_whole(random, self.k) | 1
        return [ImagePass(lambda image: median_blur(image, k))] if k > 1 else []


def median_blur(image: np.ndarray, size: int) -> np.ndarray:
    """Median of ``size`` x ``size`` (odd) pixels; the border is continued by its edge."""
    if image.dtype == np.uint8 or size <= 5:
        return by_channels(image, lambda part: cv2.medianBlur(part, size), most=1 if image.shape[2] == 2 else 4)
    reach = size // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    result = np.empty_like(image, order="C")
    for row in range(len(image)):  # a row at a time: all windows of an image at once would take size^2 times its memory
        windows = np.lib.stride_tricks.sliding_window_view(padded[row : row + size], (size, size), axis=(0, 1))[0]
        flat = windows.reshape(*windows.shape[:2], -1)
        result[row] = np.partition(flat, flat.shape[-1] // 2, axis=-1)[..., flat.shape[-1] // 2]
    return result


@dataclass(frozen=True)
class BilateralBlur:
    """Blur areas, keep edges. Colours of three-channel images are compared as a whole, else each channel by itself.

    Args:
        d: diameter of the neighbourhood in pixels; 1 changes nothing. Large ones are slow.
        sigma_color: which difference of colours still mixes, in 0..255 units.
        sigma_space: how far away a pixel still counts, in pixels.
    """

    d: WholeRange = (1, 9)
    sigma_color: Range = (10.0, 250.0)
    sigma_space: Range = (10.0, 250.0)

    def __post_init__(self) -> None:
        check_range("BilateralBlur", "d", self.d, 1, 255)
        check_range("BilateralBlur", "sigma_color", self.sigma_color, 0)
        check_range("BilateralBlur", "sigma_space", self.sigma_space, 0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        diameter = draw_whole(random, self.d)
        colour, space = draw_number(random, self.sigma_color), draw_number(random, self.sigma_space)

        def run(image: np.ndarray) -> np.ndarray:
            most = 3 if image.shape[2] == 3 else 1
            if image.dtype == np.uint8:
                return by_channels(image, lambda part: cv2.bilateralFilter(part, diameter, colour, space), most)
            scale = np.float32(top_of(image.dtype))
            values = image.astype(np.float32) / scale
            values = by_channels(values, lambda part: cv2.bilateralFilter(part, diameter, colour / 255, space), most)
            return in_depth(values * scale, image.dtype)

        return [ImagePass(run)] if diameter > 1 else []


@dataclass(frozen=True)
class Convolve:
    """Filter every channel with a matrix (a correlation: the matrix is not turned); mirrored at the border.

    Args:
        matrix: rows of equal length; none changes nothing.
    """

    matrix: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.matrix is not None and (not self.matrix or not self.matrix[0] or len(set(map(len, self.matrix))) > 1):
            raise MusketError(
                f"Convolve: matrix is a list of rows of equal length; found {list(map(list, self.matrix))}"
            )

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return [filtering(np.array(self.matrix))] if self.matrix is not None else []


def filtering(matrix: np.ndarray) -> ImagePass:
    """A correlation of every channel with ``matrix``, clipped to the depth."""
    kernel = matrix.astype(np.float32)

    def run(image: np.ndarray) -> np.ndarray:
        result = by_channels(image, lambda part: cv2.filter2D(part, -1, kernel))
        return in_depth(result, image.dtype) if image.dtype.kind == "f" else result

    return ImagePass(run)
