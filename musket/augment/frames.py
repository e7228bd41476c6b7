"""Operations that cut pixels off the sides of the image or add some. Names, options and defaults are imgaug's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from musket.augment.ranges import Range, WholeRange, check_range, draw_number, draw_whole
from musket.augment.steps import Border, Frame, Geometry, Step
from musket.augment.warp import resizing
from musket.core.errors import MusketError

Sides = float | tuple[Range, ...]
WholeSides = int | tuple[WholeRange, ...]
"""One number, a range of two numbers, or the four sides."""
Position = (
    Literal[
        "uniform",
        "normal",
        "center",
        "left-top",
        "left-center",
        "left-bottom",
        "center-top",
        "center-center",
        "center-bottom",
        "right-top",
        "right-center",
        "right-bottom",
    ]
    | tuple[float, float]
)
_SHARES = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}


def _shifted(
    frame: Frame, top: int, right: int, bottom: int, left: int, border: Border = "constant", fill: float = 0.0
) -> Geometry:
    """Add pixels (negative: cut them off) at the four sides."""
    matrix = np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]])
    return Geometry(matrix, frame.height + top + bottom, frame.width + left + right, border=border, fill=fill)


def _check_sides(part: str, px: WholeSides | None, percent: Sides | None, low: float = -np.inf) -> None:
    if px is not None and percent is not None:
        raise MusketError(f"{part}: px and percent exclude each other; keep one of them")
    for option, value in (("px", px), ("percent", percent)):
        if value is None:
            continue
        sides = value if isinstance(value, tuple) else (value,)
        for side in sides:
            check_range(part, option, side, low)
        if len(sides) == 2 and any(isinstance(side, tuple) for side in sides):
            raise MusketError(f"{part}: {option} with a range for each side needs all 4 sides; found 2")
        if len(sides) not in (1, 2, 4) or (len(sides) == 1 and isinstance(value, tuple)):
            raise MusketError(f"{part}: {option} is one number, a range [a, b], or 4 sides; found {len(sides)} values")


def _draw_sides(
    random: np.random.Generator, frame: Frame, px: WholeSides | None, percent: Sides | None, independently: bool
) -> list[int]:
    """Pixels at top, right, bottom, left; percent counts where both are given."""
    if percent is None:
        return _each_side(random, px, draw_whole, independently)
    shares = _each_side(random, percent, draw_number, independently)
    lengths = (frame.height, frame.width, frame.height, frame.width)
    return [round(share * length) for share, length in zip(shares, lengths, strict=True)]


def _each_side(random: np.random.Generator, value: Any, draw: Callable[..., Any], independently: bool) -> list[Any]:
    if isinstance(value, tuple) and len(value) == 4:
        return [draw(random, side) for side in value]
    if independently:
        return [draw(random, value) for _ in range(4)]
    return [draw(random, value)] * 4


def _leave_one(near: int, far: int, length: int) -> tuple[int, int]:
    """Crops of two sides (negative) such that a pixel at least is left."""
    if length + near + far >= 1:
        return near, far
    surplus = 1 - (length + near + far)
    give = min(-near, (surplus + 1) // 2) if near < 0 else 0
    return near + give, far + surplus - give


def _change(
    frame: Frame, sides: Sequence[int], keep_size: bool, border: Border = "constant", fill: float = 0.0
) -> Sequence[Step]:
    top, right, bottom, left = sides
    top, bottom = _leave_one(top, bottom, frame.height)
    left, right = _leave_one(left, right, frame.width)
    if not any((top, right, bottom, left)):
        return ()
    step = _shifted(frame, top, right, bottom, left, border, fill)
    if not keep_size or (step.height, step.width) == (frame.height, frame.width):
        return (step,)
    return (step, resizing(step.height, step.width, frame.height, frame.width))


@dataclass(frozen=True)
class CropAndPad:
    """Add pixels at the sides of the image, or cut them off where the number is negative.

    Attributes:
        px: pixels at each side: one number, a range ``[a, b]``, or the four sides top, right, bottom, left, each a
            number or a range.
        percent: the same as shares of height (top, bottom) and width. Not together with px; without both, from -0.1 to
            0.1.
        pad_mode: what is added: constant, edge, reflect, symmetric, wrap.
        pad_cval: value added for ``constant``, 0..255.
        keep_size: resize the result to the size of the input.
        sample_independently: draw every side from the range by itself.
    """

    px: WholeSides | None = None
    percent: Sides | None = None
    pad_mode: Border = "constant"
    pad_cval: Range = 0.0
    keep_size: bool = True
    sample_independently: bool = True

    def __post_init__(self) -> None:
        _check_sides("CropAndPad", self.px, self.percent)
        check_range("CropAndPad", "pad_cval", self.pad_cval, 0, 255)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One shift of the frame, and a resize back for keep_size."""
        percent = (-0.1, 0.1) if self.px is None and self.percent is None else self.percent
        sides = _draw_sides(random, frame, self.px, percent, self.sample_independently)
        return _change(frame, sides, self.keep_size, self.pad_mode, draw_number(random, self.pad_cval))


@dataclass(frozen=True)
class Pad:
    """Add pixels at the sides of the image. Options as for CropAndPad, no number negative; by default up to 0.1."""

    px: WholeSides | None = None
    percent: Sides | None = None
    pad_mode: Border = "constant"
    pad_cval: Range = 0.0
    keep_size: bool = True
    sample_independently: bool = True

    def __post_init__(self) -> None:
        _check_sides("Pad", self.px, self.percent, low=0)
        check_range("Pad", "pad_cval", self.pad_cval, 0, 255)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One shift of the frame, and a resize back for keep_size."""
        percent = (0.0, 0.1) if self.px is None and self.percent is None else self.percent
        sides = _draw_sides(random, frame, self.px, percent, self.sample_independently)
        return _change(frame, sides, self.keep_size, self.pad_mode, draw_number(random, self.pad_cval))


@dataclass(frozen=True)
class Crop:
    """Cut pixels off the sides of the image. Options as for CropAndPad, the numbers not negative; by default up to 0.1.

    At least one pixel is left, whatever the numbers say.
    """

    px: WholeSides | None = None
    percent: Sides | None = None
    keep_size: bool = True
    sample_independently: bool = True

    def __post_init__(self) -> None:
        _check_sides("Crop", self.px, self.percent, low=0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One shift of the frame, and a resize back for keep_size."""
        percent = (0.0, 0.1) if self.px is None and self.percent is None else self.percent
        sides = _draw_sides(random, frame, self.px, percent, self.sample_independently)
        return _change(frame, [-side for side in sides], self.keep_size)


@dataclass(frozen=True)
class PadToFixedSize:
    """Add pixels until the image is at least ``width`` x ``height``; larger sides stay.

    Attributes:
        width: pixels. height: pixels.
        pad_mode: what is added: constant, edge, reflect, symmetric, wrap.
        pad_cval: value added for ``constant``, 0..255.
        position: where the image's own centre of padding lies, that is where most is added: uniform or normal (drawn),
            center, left-top and so on, or ``[x, y]`` from 0 (left, top) to 1.
    """

    width: int
    height: int
    pad_mode: Border = "constant"
    pad_cval: Range = 0.0
    position: Position = "uniform"

    def __post_init__(self) -> None:
        _check_fixed("PadToFixedSize", self.width, self.height, self.position)
        check_range("PadToFixedSize", "pad_cval", self.pad_cval, 0, 255)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """At most one shift of the frame."""
        x, y = _draw_position(random, self.position)
        cval = draw_number(random, self.pad_cval)
        across, down = max(self.width - frame.width, 0), max(self.height - frame.height, 0)
        left, top = int((1 - x) * across), int((1 - y) * down)
        return _change(frame, (top, across - left, down - top, left), False, self.pad_mode, cval)


@dataclass(frozen=True)
class CropToFixedSize:
    """Cut the image to at most ``width`` x ``height``; smaller sides stay.

    Attributes:
        width: pixels. height: pixels.
        position: where most is cut off, as for PadToFixedSize.
    """

    width: int
    height: int
    position: Position = "uniform"

    def __post_init__(self) -> None:
        _check_fixed("CropToFixedSize", self.width, self.height, self.position)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """At most one shift of the frame."""
        x, y = _draw_position(random, self.position)
        across, down = max(frame.width - self.width, 0), max(frame.height - self.height, 0)
        left, top = int((1 - x) * across), int((1 - y) * down)
        return _change(frame, (-top, left - across, top - down, -left), False)


def _check_fixed(part: str, width: int, height: int, position: Position) -> None:
    check_range(part, "width", width, 1, 2**15 - 1)
    check_range(part, "height", height, 1, 2**15 - 1)
    if isinstance(position, tuple):
        check_range(part, "position", position, 0, 1)


def _draw_position(random: np.random.Generator, position: Position) -> tuple[float, float]:
    if isinstance(position, tuple):
        return position
    if position == "uniform":
        return float(random.random()), float(random.random())
    if position == "normal":
        x, y = np.clip(random.normal(0.5, 0.35 / 2, 2), 0, 1).tolist()
        return x, y
    across, _, down = position.partition("-")
    return _SHARES[across], _SHARES[down or across]
