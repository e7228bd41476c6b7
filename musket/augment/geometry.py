"""Operations that move pixels. Names, options and defaults are imgaug's; lengths are pixels, angles degrees.

Where imgaug takes a pair, a list of two numbers means a range here too; a longer one is a choice among its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from musket.augment.ranges import (
    Range,
    WholeRange,
    chance,
    check_probability,
    check_range,
    draw_number,
    draw_whole,
)
from musket.augment.steps import Border, Frame, Geometry, Step
from musket.augment.warp import resizing
from musket.core.errors import MusketError

Axes = dict[str, Range]
"""``{x: .., y: ..}``; an axis left out stays as it is."""
WholeAxes = dict[str, WholeRange]
Size = int | float | tuple[int | float, ...]
"""Whole numbers are pixels, others factors."""
Interpolation = Literal["nearest", "linear", "cubic", "area"]

_LARGEST_FACTOR = 32


def _matrix(*rows: float) -> np.ndarray:
    return np.array([*rows, 0, 0, 1], dtype=np.float64).reshape(3, 3)


@dataclass(frozen=True)
class Fliplr:
    """Mirror left-right with probability ``p``."""

    p: float = 1.0

    def __post_init__(self) -> None:
        check_probability("Fliplr", "p", self.p)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """At most one mirroring."""
        if not chance(random, self.p):
            return ()
        return (Geometry(_matrix(-1, 0, frame.width - 1, 0, 1, 0), frame.height, frame.width, whole=True),)


@dataclass(frozen=True)
class Flipud:
    """Mirror upside down with probability ``p``."""

    p: float = 1.0

    def __post_init__(self) -> None:
        check_probability("Flipud", "p", self.p)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """At most one mirroring."""
        if not chance(random, self.p):
            return ()
        return (Geometry(_matrix(1, 0, 0, 0, -1, frame.height - 1), frame.height, frame.width, whole=True),)


@dataclass(frozen=True)
class Rotate90:
    """Turn by a random one of 0, 90, 180 and 270 degrees; ``enabled: false`` switches it off."""

    enabled: bool = True

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """Counter-clockwise quarter turns, which swap height and width when they are odd."""
        turns = int(random.integers(4)) if self.enabled else 0
        right, down = frame.width - 1, frame.height - 1
        if turns == 1:
            return (Geometry(_matrix(0, 1, 0, -1, 0, right), frame.width, frame.height, whole=True),)
        if turns == 2:
            return (Geometry(_matrix(-1, 0, right, 0, -1, down), frame.height, frame.width, whole=True),)
        if turns == 3:
            return (Geometry(_matrix(0, -1, down, 1, 0, 0), frame.width, frame.height, whole=True),)
        return ()


@dataclass(frozen=True)
class Noop:
    """Change nothing; for use among the choices of others."""

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """No steps."""
        return ()


@dataclass(frozen=True)
class Affine:
    """Scale, shear, rotate and shift about the centre of the image, in this order.

    Attributes:
        scale: factor, 0.5 shows the image at half its size; ``{x: .., y: ..}`` draws each axis by itself.
        translate_percent: shift as a share of width and height, rounded to whole pixels; one value for both axes, or
            ``{x: .., y: ..}``. Not together with translate_px.
        rotate: degrees clockwise.
        shear: degrees along x; ``{x: .., y: ..}`` for both. The tangent of the angle is how far a row moves per row.
        order: interpolation of the image: 0 nearest, 1 linear, 3 cubic (linear with the modes that mirror or wrap).
        cval: value outside the image for ``constant``, 0..255.
        mode: what is outside: constant, edge, reflect (without the border pixel), symmetric (with it), wrap.
        translate_px: shift in pixels, as translate_percent.
    """

    scale: Range | Axes = 1.0
    translate_percent: Range | Axes | None = None
    translate_px: WholeRange | WholeAxes | None = None
    rotate: Range = 0.0
    shear: Range | Axes = 0.0
    order: int = 1
    cval: Range = 0.0
    mode: Border = "constant"

    def __post_init__(self) -> None:
        for axis in _values(self.scale, "scale"):
            check_range("Affine", "scale", axis, 1e-3, 1e3)
        for axis in _values(self.shear, "shear"):
            check_range("Affine", "shear", axis, -89, 89)
        for option in ("translate_percent", "translate_px"):
            for axis in _values(getattr(self, option), option):
                check_range("Affine", option, axis)
        check_range("Affine", "rotate", self.rotate)
        check_range("Affine", "cval", self.cval, 0, 255)
        if self.order not in (0, 1, 3):
            raise MusketError(f"Affine: order must be 0 (nearest), 1 (linear) or 3 (cubic); found {self.order}")
        if self.translate_percent is not None and self.translate_px is not None:
            raise MusketError("Affine: translate_percent and translate_px exclude each other; keep one of them")

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One matrix."""
        scale_x, scale_y = _both(random, self.scale, 1.0)
        shift_x = shift_y = 0.0
        if self.translate_percent is not None:
            x, y = _both(random, self.translate_percent, 0.0)
            shift_x, shift_y = round(x * frame.width), round(y * frame.height)
        elif self.translate_px is not None:
            shift_x, shift_y = _both_whole(random, self.translate_px)
        angle = math.radians(draw_number(random, self.rotate))
        if isinstance(self.shear, dict):
            shear_x, shear_y = _both(random, self.shear, 0.0)
        else:
            shear_x, shear_y = draw_number(random, self.shear), 0.0
        cval = draw_number(random, self.cval)
        along_x, along_y = -math.tan(math.radians(shear_x)), math.tan(math.radians(shear_y))
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = scale_x * (cos - sin * along_y), scale_y * (cos * along_x - sin)
        c, d = scale_x * (sin + cos * along_y), scale_y * (sin * along_x + cos)
        x, y = (frame.width - 1) / 2, (frame.height - 1) / 2
        matrix = _matrix(a, b, x - a * x - b * y + shift_x, c, d, y - c * x - d * y + shift_y)
        return (Geometry(matrix, frame.height, frame.width, self.order, self.mode, cval),)


def _values(option: Range | Axes | WholeRange | WholeAxes | None, name: str) -> Sequence[Range]:
    if option is None:
        return ()
    if not isinstance(option, dict):
        return (option,)
    if not option or not option.keys() <= {"x", "y"}:
        raise MusketError(f"Affine: {name} as a map has the keys x and y; found {', '.join(option) or 'none'}")
    return tuple(option.values())


def _both(random: np.random.Generator, option: Range | Axes, neutral: float) -> tuple[float, float]:
    if isinstance(option, dict):
        return draw_number(random, option.get("x", neutral)), draw_number(random, option.get("y", neutral))
    value = draw_number(random, option)
    return value, value


def _both_whole(random: np.random.Generator, option: WholeRange | WholeAxes) -> tuple[int, int]:
    if isinstance(option, dict):
        return draw_whole(random, option.get("x", 0)), draw_whole(random, option.get("y", 0))
    value = draw_whole(random, option)
    return value, value


@dataclass(frozen=True)
class PerspectiveTransform:
    """Look at the image from the side: four points near its corners become the corners.

    Attributes:
        scale: deviation of the normal distribution of the points' distances from their corners, as a share of the size.
        keep_size: the result has the size of the input; otherwise that of the cut-out.
    """

    scale: Range = (0.0, 0.06)
    keep_size: bool = True

    def __post_init__(self) -> None:
        check_range("PerspectiveTransform", "scale", self.scale, 0, 1)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One matrix with perspective. No point crosses the middle, so the cut-out stays convex."""
        shares = np.abs(random.normal(0, draw_number(random, self.scale), (4, 2)))
        x, y = np.minimum(shares, 0.45).T
        right, bottom = frame.width, frame.height
        source = np.array(
            [
                [x[0] * right, y[0] * bottom],
                [(1 - x[1]) * right, y[1] * bottom],
                [(1 - x[2]) * right, (1 - y[2]) * bottom],
                [x[3] * right, (1 - y[3]) * bottom],
            ]
        )
        height, width = frame.height, frame.width
        if not self.keep_size:
            top, side, base, other = np.linalg.norm(np.roll(source, -1, axis=0) - source, axis=1)
            height, width = max(1, int(max(side, other))), max(1, int(max(top, base)))
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
        return (Geometry(_homography(source - 0.5, target - 0.5), height, width, border="edge"),)


def _homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """3 x 3 matrix taking four points to four others (the usual system of eight equations)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


@dataclass(frozen=True)
class Resize:
    """Resize to another size; the final resize to ``shape`` follows anyway.

    Attributes:
        size: whole numbers are pixels, numbers with a point factors (2.0 doubles), as in imgaug; one for both sides,
            ``[a, b]`` a range (of factors as soon as one of them is one), a longer list a choice, or
            ``{height: .., width: ..}``, where a side may also be ``keep-aspect-ratio`` or ``keep``.
        interpolation: nearest, linear, cubic or area (averages where it shrinks by 2 or more, as linear does here too).
    """

    size: Size | dict[str, Size | Literal["keep", "keep-aspect-ratio"]]
    interpolation: Interpolation = "cubic"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, dict) else {"height": self.size}
        if not sides or not sides.keys() <= {"height", "width"}:
            raise MusketError(
                f"Resize: size as a map has the keys height and width; found {', '.join(sides) or 'none'}"
            )
        numbers = [side for side in sides.values() if not isinstance(side, str)]
        for side in numbers:
            _check_size(side)
        if isinstance(self.size, dict) and list(sides.values()).count("keep-aspect-ratio") > len(numbers):
            raise MusketError("Resize: keep-aspect-ratio needs a size for the other side")

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """One resize."""
        if isinstance(self.size, dict):
            height = _side(random, self.size.get("height", "keep"), frame.height)
            width = _side(random, self.size.get("width", "keep"), frame.width)
            if height is None:
                height = round(frame.height * (width or frame.width) / frame.width)
            if width is None:
                width = round(frame.width * height / frame.height)
        else:
            value = _length(random, self.size)
            height = round(value * frame.height) if isinstance(value, float) else value
            width = round(value * frame.width) if isinstance(value, float) else value
        height, width = max(height, 1), max(width, 1)
        order = {"nearest": 0, "cubic": 3}.get(self.interpolation, 1)
        return (resizing(frame.height, frame.width, height, width, order),)


def _check_size(size: Size) -> None:
    numbers = size if isinstance(size, tuple) else (size,)
    check_range("Resize", "size", numbers, 1e-3, 2**15 - 1)
    factors = tuple(number for number in numbers if isinstance(number, float))
    if factors and max(factors) > _LARGEST_FACTOR:
        raise MusketError(
            f"Resize: size with a point is a factor, at most {_LARGEST_FACTOR}; found {max(factors):g}. Pixels are "
            "written as whole numbers"
        )


def _length(random: np.random.Generator, value: Size) -> int | float:
    """Pixels (int) or a factor (float)."""
    if not isinstance(value, tuple):
        return value
    if len(value) != 2:
        return value[int(random.integers(len(value)))]
    if isinstance(value[0], int) and isinstance(value[1], int):
        return draw_whole(random, (value[0], value[1]))
    return draw_number(random, value)


def _side(random: np.random.Generator, value: Size | str, now: int) -> int | None:
    if isinstance(value, str):
        return now if value == "keep" else None
    length = _length(random, value)
    return max(1, round(length * now)) if isinstance(length, float) else length
