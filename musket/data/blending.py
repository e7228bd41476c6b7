"""Training items mixed with other pictures. Validation and prediction see the child's items as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from musket.core.errors import DataError, MusketError
from musket.core.geometry import resize_image, resize_mask, with_channels
from musket.core.types import PredictionItem
from musket.data.derived import DerivedDataSet, in_maps, is_map, like
from musket.data.draws import draws
from musket.data.pictures import array_of, pictures_of

SHARE = 0.6
"""Weight of the image; the picture blended in has the rest."""
RATE = 0.5
"""Share of training items that are blended."""
SIDES = (0.1, 0.5)
"""Longer side of a dropped object, as a share of the image's shorter side: drawn between these."""


class BlendedDataSet(DerivedDataSet):
    """Half of the training items are blended with a random picture: 0.6 of the image, 0.4 of the picture.

    Args:
        child: dataset of images with masks or labels, which stay those of the image.
        blendwith: pictures: folder, dataset, or list of arrays H x W x C of the images' depth.
        size: width and height all training items are brought to, masks included; None leaves them as they are.
        seed: of the draws, which depend on it, the epoch and the position.

    Raises:
        DataError: there are no pictures.
    """

    def __init__(self, child: Any, blendwith: Any, size: tuple[int, int] | None = (320, 320), seed: int = 23232):
        super().__init__(child)
        self.blendwith = pictures_of(blendwith, "blendwith")
        self.size, self.seed = size, seed

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        if not is_train:
            return item
        image, target = with_channels(np.asarray(item.x)), item.y
        if self.size is not None:
            width, height = self.size
            image = resize_image(image, height, width)
            target = in_maps(target, lambda mask: resize_mask(with_channels(np.asarray(mask)), height, width))
        draw = draws(self.seed, "blend", index)
        if draw.random() < RATE:
            picture = array_of(self.blendwith[int(draw.integers(len(self.blendwith)))])
            if picture.shape[2] != image.shape[2] or picture.dtype != image.dtype:
                raise DataError(
                    f"a picture to blend with has {picture.shape[2]} channels of {picture.dtype}, the image "
                    f"{image.shape[2]} of {image.dtype}; both must be alike",
                    sample=str(item.id),
                )
            picture = resize_image(picture, *image.shape[:2])
            image = with_channels(cv2.addWeighted(image, SHARE, picture, 1 - SHARE, 0))
        return like(item, image, target)


class DropItemsDataset(DerivedDataSet):
    """Objects cut out of other pictures are pasted into training items.

    Each lies above what is there, and hides it (the mask becomes empty under it), or behind (only where the mask is
    empty), with equal chances. Its longer side measures 0.1 to 0.5 of the image's shorter one; it lies wholly inside.
    Items that have labels in place of a mask keep them, and every object is seen.

    Args:
        child: dataset of images with masks or labels.
        drop_items: dataset (or list) of items whose mask ``y`` shows one object of ``x``; see TextMaskGenerator.
        times: objects per item.
        seed: of the draws, which depend on it, the epoch and the position.

    Raises:
        DataError: there are no objects.
        MusketError: times is negative.
    """

    def __init__(self, child: Any, drop_items: Any, times: int = 5, seed: int = 23232):
        super().__init__(child)
        if times < 0:
            raise MusketError(f"DropItemsDataset: option times must be 0 or more; found {times}")
        self.drop_items = pictures_of(drop_items, "drop_items")
        self.times, self.seed = times, seed

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        if not is_train:
            return item
        image = with_channels(np.array(item.x))
        target = in_maps(item.y, lambda mask: with_channels(np.array(mask)))
        masks = [part for part in (target if isinstance(target, list | tuple) else [target]) if is_map(part)]
        draw = draws(self.seed, "drop", index)
        for _ in range(self.times):
            self._drop(image, masks, draw, str(item.id))
        return like(item, image, target)

    def _drop(self, image: np.ndarray, masks: Sequence[np.ndarray], draw: np.random.Generator, name: str) -> None:
        """Paste one object, in place."""
        chosen = int(draw.integers(len(self.drop_items)))
        picture, shown = _cut_out(self.drop_items[chosen], chosen)
        if picture.shape[2] != image.shape[2] or picture.dtype != image.dtype:
            raise DataError(
                f"object {chosen} of drop_items has {picture.shape[2]} channels of {picture.dtype}, the image "
                f"{image.shape[2]} of {image.dtype}; both must be alike",
                sample=name,
            )
        side = draw.uniform(*SIDES) * min(image.shape[:2])
        height, width = (max(1, round(part * side / max(shown.shape))) for part in shown.shape)
        picture = resize_image(picture, height, width)
        visible = resize_mask(shown, height, width)[..., 0].astype(bool)
        top, left = (
            int(draw.integers(room - part + 1)) for room, part in zip(image.shape, (height, width), strict=False)
        )
        area = (slice(top, top + height), slice(left, left + width))
        above = draw.random() < 0.5
        for mask in masks:
            if above:
                mask[area][visible] = 0
            else:
                visible &= ~(mask[area] > 0).any(axis=2)
        image[area][visible] = picture[visible]


def _cut_out(item: Any, position: int) -> tuple[np.ndarray, np.ndarray]:
    """The object of an item: image H x W x C and mask H x W of the rectangle around it."""
    shown: np.ndarray = (with_channels(np.asarray(item.y)) > 0).max(axis=2)
    rows, columns = np.flatnonzero(shown.max(axis=1)), np.flatnonzero(shown.max(axis=0))
    if not len(rows):
        raise DataError(f"item {position} of drop_items shows no object: its mask is empty")
    area = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return with_channels(np.asarray(item.x))[area], shown[area]
