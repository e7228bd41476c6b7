"""Augmentation steps: options first, then draw once and apply the same draw to image and mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musket.core.errors import MusketError


@dataclass(frozen=True)
class Placement:
    """What consecutive flips and turns amount to. Applied after the resize, where the arrays are small."""

    flip_lr: bool = False
    flip_ud: bool = False
    turns: int = 0


def _probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise MusketError(f"{name}: p is a probability, from 0 to 1; found {p}")


@dataclass(frozen=True)
class Fliplr:
    """Mirror left-right with probability ``p``."""

    p: float = 1.0

    def __post_init__(self) -> None:
        _probability("Fliplr", self.p)

    def draw(self, random: np.random.Generator) -> Placement:
        return Placement(flip_lr=random.random() < self.p)


@dataclass(frozen=True)
class Flipud:
    """Mirror upside down with probability ``p``."""

    p: float = 1.0

    def __post_init__(self) -> None:
        _probability("Flipud", self.p)

    def draw(self, random: np.random.Generator) -> Placement:
        return Placement(flip_ud=random.random() < self.p)


@dataclass(frozen=True)
class Rotate90:
    """Turn by a random one of 0, 90, 180 and 270 degrees; ``enabled: false`` switches it off."""

    enabled: bool = True

    def draw(self, random: np.random.Generator) -> Placement:
        return Placement(turns=int(random.integers(4))) if self.enabled else Placement()
