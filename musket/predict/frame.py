"""Between an image and what the network takes: fit it in, and bring its scores back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from musket.core.errors import DataError
from musket.core.geometry import resize_image, resize_scores, with_channels

Undo = Callable[[np.ndarray], np.ndarray]
"""Scores h x w x classes in the frame of the network -> H x W x classes in that of the image."""

Fit = Callable[[np.ndarray, str], tuple[np.ndarray, Undo]]
"""An image H x W x C, or a cell of it, and the sample's id -> what the network takes, h x w x C, and the way back."""


@dataclass(frozen=True)
class InputShape:
    """Network input: height, width, channels. As a function it resizes an image to it, and its scores back.

    Height or width None resizes nothing: every image at its own size, scores as the network gives them.
    """

    height: int | None
    width: int | None
    channels: int

    def __call__(self, image: np.ndarray, sample_id: str) -> tuple[np.ndarray, Undo]:
        """See :data:`Fit`. Raises as :meth:`checked`."""
        image = self.checked(image)
        if self.height is None or self.width is None:
            return image, _as_it_is
        height, width = image.shape[:2]
        return resize_image(image, self.height, self.width), partial(resize_scores, height=height, width=width)

    def checked(self, image: np.ndarray) -> np.ndarray:
        """The image as H x W x C.

        Raises:
            DataError: it has another number of channels.
        """
        image = with_channels(image)
        if image.shape[2] != self.channels:
            raise DataError(
                f"the image has {image.shape[2]} channels, the network takes {self.channels}; "
                "convert the image or set shape in the config"
            )
        return image


def _as_it_is(scores: np.ndarray) -> np.ndarray:
    return scores
