"""Sharpening, embossing and edges: 3 x 3 matrices, blended with the image. Masks stay.

Names, options, defaults and matrices are those of imgaug 0.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musket.augment.blur import filtering
from musket.augment.ranges import Range, check_range, draw_number
from musket.augment.steps import Frame, Step

_SAME = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], float)


def _blended(matrix: np.ndarray, alpha: float) -> Sequence[Step]:
    """The image and its filtered version, mixed: filtering is linear, so mixing the matrices does it."""
    return [filtering((1 - alpha) * _SAME + alpha * matrix)] if alpha > 0 else []


@dataclass(frozen=True)
class Sharpen:
    """Mix the image with a sharpened version.

    Args:
        alpha: share of the sharpened version, 0 to 1.
        lightness: its brightness; 1 keeps that of the image, 0 leaves edges only.
    """

    alpha: Range = (0.0, 0.2)
    lightness: Range = (0.8, 1.2)

    def __post_init__(self) -> None:
        check_range("Sharpen", "alpha", self.alpha, 0, 1)
        check_range("Sharpen", "lightness", self.lightness, 0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha, lightness = draw_number(random, self.alpha), draw_number(random, self.lightness)
        return _blended(np.array([[-1, -1, -1], [-1, 8 + lightness, -1], [-1, -1, -1]]), alpha)


@dataclass(frozen=True)
class Emboss:
    """Mix the image with an embossed version, lit from the lower right.

    Args:
        alpha: share of the embossed version, 0 to 1.
        strength: of the embossing; 1 is usual.
    """

    alpha: Range = (0.0, 1.0)
    strength: Range = (0.25, 1.0)

    def __post_init__(self) -> None:
        check_range("Emboss", "alpha", self.alpha, 0, 1)
        check_range("Emboss", "strength", self.strength, 0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha, strength = draw_number(random, self.alpha), draw_number(random, self.strength)
        return _blended(
            np.array([[-1 - strength, -strength, 0], [-strength, 1, strength], [0, strength, 1 + strength]]), alpha
        )


@dataclass(frozen=True)
class EdgeDetect:
    """Mix the image with its edges, bright on black.

    Args:
        alpha: share of the edges, 0 to 1.
    """

    alpha: Range = (0.0, 0.75)

    def __post_init__(self) -> None:
        check_range("EdgeDetect", "alpha", self.alpha, 0, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        return _blended(np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float), draw_number(random, self.alpha))


@dataclass(frozen=True)
class DirectedEdgeDetect:
    """Mix the image with its edges as seen from one direction.

    Args:
        alpha: share of the edges, 0 to 1.
        direction: in turns, clockwise from the top: 0 and 1 are the top, 0.25 the right.
    """

    alpha: Range = (0.0, 0.75)
    direction: Range = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_range("DirectedEdgeDetect", "alpha", self.alpha, 0, 1)
        check_range("DirectedEdgeDetect", "direction", self.direction, -1, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        alpha, direction = draw_number(random, self.alpha), draw_number(random, self.direction)
        return _blended(directed_edges(direction), alpha)


def directed_edges(direction: float) -> np.ndarray:
    """The 3 x 3 matrix: 1 in the middle, minus a share of every neighbour.

    A neighbour's share is (1 - angle / 180 degrees)^4 of the angle between it and the direction; all shares sum to 1.
    """
    rows, columns = np.mgrid[-1:2, -1:2]
    angle = np.abs(np.arctan2(columns, -rows) - 2 * np.pi * direction) % (2 * np.pi)
    shares = (1 - np.minimum(angle, 2 * np.pi - angle) / np.pi) ** 4
    shares[1, 1] = 0
    matrix = -shares / shares.sum()
    matrix[1, 1] = 1
    return matrix
