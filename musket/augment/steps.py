"""What an augmentation step amounts to once its numbers are drawn.

An operation holds options and draws; what it draws is a few of these steps. Only
:mod:`musket.augment.compile` runs them: consecutive geometry as one warp, consecutive colour as one table, everything
else one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Border = Literal["constant", "edge", "reflect", "symmetric", "wrap"]


@functools.cache
def top_of(dtype: np.dtype) -> float:
    """The largest value of a depth: 255, 65535, or 1.0 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


@dataclass(frozen=True)
class Frame:
    """The image a step will see: size in pixels, channels, depth."""

    height: int
    width: int
    channels: int
    dtype: np.dtype

    @classmethod
    def of(cls, image: np.ndarray) -> Frame:
        """The frame of an image H x W x C."""
        return cls(image.shape[0], image.shape[1], image.shape[2], image.dtype)

    @property
    def top(self) -> float:
        """The largest value of this depth: 255, 65535, or 1.0 for floats. Options in imgaug's units count to 255."""
        return top_of(self.dtype)


@dataclass(frozen=True)
class Geometry:
    """Pixels move.

    Attributes:
        matrix: 3 x 3, pixel centres of the input (x, y, 1) -> those of the output; perspective allowed.
        height: of the output. width: of the output.
        order: interpolation of the image: 0 nearest, 1 linear, 3 cubic. Masks are always nearest.
        border: what is seen outside the input. Masks see 0 there for ``constant``.
        fill: value outside the input for ``constant``, in 0..255 whatever the depth.
        whole: the output shows the input exactly, from edge to edge, as flips, turns and resizes do.
    """

    matrix: np.ndarray
    height: int
    width: int
    order: int = 1
    border: Border = "constant"
    fill: float = 0.0
    whole: bool = False


@dataclass(frozen=True)
class Colour:
    """Every value becomes another one, whatever stands beside it. The mask stays.

    Attributes:
        curve: float32 array (..., channels), values 0..255 whatever the depth -> the same shape, unclipped. It must
            depend on value and channel alone, never on the position.
        shared: the curve is the same for every channel, so that one look-up table serves them all.
    """

    curve: Callable[[np.ndarray], np.ndarray]
    shared: bool = False


@dataclass(frozen=True)
class ImagePass:
    """Work on the image alone that no matrix or table can do: H x W x C (contiguous) -> H x W x C of the same depth."""

    run: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pass:
    """Work on image and mask together (mask H x W x classes uint8 0/1, or None), contiguous; the size may change."""

    run: Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Children:
    """Operations that are drawn in this step's place, each seeing the frame the steps before it leave."""

    operations: Sequence[Operation]


Step = Geometry | Colour | ImagePass | Pass | Children


class Operation(Protocol):
    """One entry of ``augmentation``: a frozen dataclass of options whose constructor checks their ranges."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """Draw the numbers for one sample. All randomness of the operation comes from ``random``, here."""
        ...
