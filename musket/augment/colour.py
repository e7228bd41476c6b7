"""Operations that change values one by one. Names, options and defaults are imgaug's; values count 0..255 at any depth.

``per_channel``: whether every channel draws its own numbers; as a number, the probability of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from musket.augment.ranges import PerChannel, Range, chance, check_probability, check_range, draw_number
from musket.augment.steps import Colour, Frame, Step

Drawn = float | np.ndarray
"""One number for all channels, or float32 (channels,)."""


def _draw(
    random: np.random.Generator, frame: Frame, per_channel: PerChannel, *options: Range
) -> tuple[bool, list[Drawn]]:
    """Whether all channels are alike, and the numbers of every option."""
    if per_channel and chance(random, float(per_channel)):
        rows = [[draw_number(random, option) for _ in range(frame.channels)] for option in options]
        return False, [np.array(row, np.float32) for row in rows]
    return True, [draw_number(random, option) for option in options]


def _step(shared: bool, curve: Callable[[np.ndarray], np.ndarray]) -> Sequence[Step]:
    return (Colour(curve, shared),)


@dataclass(frozen=True)
class Add:
    """Add a number to every value.

    Attributes:
        value: what is added, in 0..255.
        per_channel: one number per channel; as a number, the probability of that.
    """

    value: Range = (-20.0, 20.0)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("Add", "value", self.value, -255, 255)
        check_probability("Add", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """V + value."""
        shared, (value,) = _draw(random, frame, self.per_channel, self.value)
        return _step(shared, lambda values: values + value)


@dataclass(frozen=True)
class Multiply:
    """Multiply every value by a number: darker below 1, brighter above.

    Attributes:
        mul: the factor.
        per_channel: one factor per channel; as a number, the probability of that.
    """

    mul: Range = (0.8, 1.2)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("Multiply", "mul", self.mul, 0, 1e3)
        check_probability("Multiply", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """V * mul."""
        shared, (factor,) = _draw(random, frame, self.per_channel, self.mul)
        return _step(shared, lambda values: values * factor)


@dataclass(frozen=True)
class Invert:
    """Turn bright into dark with probability ``p``.

    Attributes:
        p: probability.
        per_channel: every channel decides by itself; as a number, the probability of that.
    """

    p: float = 1.0
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_probability("Invert", "p", self.p)
        check_probability("Invert", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """255 - v."""
        if self.per_channel and chance(random, float(self.per_channel)):
            inverted = random.random(frame.channels) < self.p
            return _step(False, lambda values: np.where(inverted, 255 - values, values)) if inverted.any() else ()
        return _step(True, lambda values: 255 - values) if chance(random, self.p) else ()


@dataclass(frozen=True)
class LinearContrast:
    """Stretch values away from the middle grey, or draw them to it.

    Attributes:
        alpha: 0 makes everything grey, 1 changes nothing, more is more contrast.
        per_channel: one number per channel; as a number, the probability of that.
    """

    alpha: Range = (0.6, 1.4)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("LinearContrast", "alpha", self.alpha, 0, 1e3)
        check_probability("LinearContrast", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """127 + alpha * (v - 127)."""
        shared, (alpha,) = _draw(random, frame, self.per_channel, self.alpha)
        return _step(shared, lambda values: 127 + alpha * (values - 127))


@dataclass(frozen=True)
class GammaContrast:
    """Brighten or darken the middle tones; black and white stay.

    Attributes:
        gamma: exponent; below 1 brighter, above 1 darker.
        per_channel: one number per channel; as a number, the probability of that.
    """

    gamma: Range = (0.7, 1.7)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("GammaContrast", "gamma", self.gamma, 1e-3, 1e3)
        check_probability("GammaContrast", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """255 * (v / 255) ** gamma."""
        shared, (gamma,) = _draw(random, frame, self.per_channel, self.gamma)
        return _step(shared, lambda values: 255 * np.maximum(values / 255, 0) ** gamma)


@dataclass(frozen=True)
class LogContrast:
    """Brighten dark tones by a logarithm.

    Attributes:
        gain: factor of the result.
        per_channel: one number per channel; as a number, the probability of that.
    """

    gain: Range = (0.4, 1.6)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("LogContrast", "gain", self.gain, 0, 1e3)
        check_probability("LogContrast", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """255 * gain * log2(1 + v / 255)."""
        shared, (gain,) = _draw(random, frame, self.per_channel, self.gain)
        return _step(shared, lambda values: 255 * gain * np.log2(1 + np.maximum(values / 255, 0)))


@dataclass(frozen=True)
class SigmoidContrast:
    """Push values apart around a cutoff by a sigmoid.

    Attributes:
        gain: steepness.
        cutoff: where dark and bright part, 0..1.
        per_channel: one pair of numbers per channel; as a number, the probability of that.
    """

    gain: Range = (5.0, 6.0)
    cutoff: Range = (0.3, 0.6)
    per_channel: PerChannel = False

    def __post_init__(self) -> None:
        check_range("SigmoidContrast", "gain", self.gain, 0, 80)
        check_range("SigmoidContrast", "cutoff", self.cutoff, 0, 1)
        check_probability("SigmoidContrast", "per_channel", self.per_channel)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """255 / (1 + exp(gain * (cutoff - v / 255)))."""
        shared, (gain, cutoff) = _draw(random, frame, self.per_channel, self.gain, self.cutoff)
        return _step(shared, lambda values: 255 / (1 + np.exp(gain * (cutoff - values / 255))))
