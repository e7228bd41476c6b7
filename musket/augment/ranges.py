"""Options that are a number, a range or a choice, and how one value of them is drawn.

A number is fixed, ``[a, b]`` a uniform range, a longer list a choice among its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from musket.core.errors import MusketError

Range: TypeAlias = float | tuple[float, ...]
WholeRange: TypeAlias = int | tuple[int, ...]
PerChannel: TypeAlias = bool | float
"""Whether every channel gets numbers of its own; a number is the probability of that, per image."""


def draw_number(random: np.random.Generator, value: Range) -> float:
    """A number: the fixed one, one from the range [a, b), or one of the listed."""
    if isinstance(value, int | float):
        return float(value)
    if len(value) == 2:
        return value[0] + (value[1] - value[0]) * float(random.random())
    return float(value[int(random.integers(len(value)))])


def draw_whole(random: np.random.Generator, value: WholeRange) -> int:
    """A whole number: the fixed one, one from a..b inclusive, or one of the listed."""
    if isinstance(value, int):
        return value
    if len(value) == 2:
        low, high = sorted(value)
        return int(random.integers(low, high + 1))
    return int(value[int(random.integers(len(value)))])


def chance(random: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(random.random() < probability)


def draw_seed(random: np.random.Generator) -> int:
    """A seed for work that draws later, once it sees the pixels."""
    return int(random.integers(2**31))


def check_range(part: str, option: str, value: Range, low: float = -np.inf, high: float = np.inf) -> None:
    """Raises MusketError unless there is a number and every one of the option lies in low..high."""
    numbers: Sequence[float] = value if isinstance(value, tuple) else (value,)
    if not numbers:
        raise MusketError(f"{part}: {option} is an empty list; give a number at least")
    if not all(low <= number <= high for number in numbers):
        shown = list(value) if isinstance(value, tuple) else value
        raise MusketError(f"{part}: {option} must lie from {low:g} to {high:g}; found {shown}")


def check_probability(part: str, option: str, value: float) -> None:
    """Raises MusketError unless the value is a probability."""
    check_range(part, option, value, 0, 1)
