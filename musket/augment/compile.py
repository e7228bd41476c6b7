"""From a list of augmentation steps to one function on image and mask, the final resize included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from musket.augment.operations import Placement
from musket.core.geometry import dihedral, resize_image, resize_mask


class Operation(Protocol):
    """One augmentation step."""

    def draw(self, random: np.random.Generator) -> Placement: ...


@dataclass(frozen=True)
class Chain:
    """Resizes image and mask to ``height`` x ``width`` and applies the drawn steps to both alike.

    Flips and turns commute with a resize whose target is swapped with them, so they run on the resized arrays.
    """

    operations: tuple[Operation, ...]
    height: int
    width: int

    def __call__(
        self, image: np.ndarray, mask: np.ndarray | None, random: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Augment one sample.

        Args:
            image: H x W x C; mask: H x W x classes 0/1, or None.
            random: generator of this sample's draws; None leaves only the resize.

        Returns:
            image and mask (uint8) of the target size; possibly views with negative strides.
        """
        draws = [operation.draw(random) for operation in self.operations] if random is not None else []
        turned = sum(draw.turns for draw in draws) % 2 == 1
        height, width = (self.width, self.height) if turned else (self.height, self.width)
        image = _place(resize_image(image, height, width), draws)
        if mask is not None:
            mask = _place(resize_mask(mask, height, width), draws)
        return image, mask


def _place(array: np.ndarray, draws: Sequence[Placement]) -> np.ndarray:
    for draw in draws:
        array = dihedral(array, flip_lr=draw.flip_lr, flip_ud=draw.flip_ud, turns=draw.turns)
    return array
