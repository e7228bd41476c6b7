"""Options of BackgroundReplacer. The work is done on the dataset, before the chain of all other augmenters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musket.augment.compile import Chain
from musket.augment.ranges import check_probability, check_range
from musket.augment.steps import Frame, Operation, Step
from musket.core.errors import MusketError


@dataclass(frozen=True)
class BackgroundReplacer:
    """Put the objects of training images in front of other pictures.

    Attributes:
        path: folder of background pictures; one is drawn, each alike, and stretched to the image.
        rate: share of training images that keep their own background.
        erosion: side in pixels of the square that erodes the mask before pasting; [a, b] draws it from a to b.
        augmenters: run on image and mask before pasting.
    """

    path: str
    rate: float = 0.5
    erosion: int | tuple[int, int] = 0
    augmenters: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        if not self.path:
            raise MusketError("BackgroundReplacer: path names a folder of pictures; found nothing")
        check_probability("BackgroundReplacer", "rate", self.rate)
        check_range("BackgroundReplacer", "erosion", self.erosion, 0)

    def draw(self, random: np.random.Generator, frame: Frame) -> Sequence[Step]:
        """Raises MusketError: this is no step among others."""
        raise MusketError("BackgroundReplacer stands directly under augmentation, nowhere else")

    def augment(
        self, image: np.ndarray, mask: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Image and mask through the augmenters, at the size they came in."""
        return Chain(self.augmenters, *image.shape[:2])(image, mask, random)
