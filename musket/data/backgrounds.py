"""Objects in front of other backgrounds: what BackgroundReplacer does to training samples."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from musket.core.errors import DataError
from musket.core.geometry import resize_image, resize_mask, with_channels
from musket.core.types import PredictionItem
from musket.data.derived import DerivedDataSet, is_map, like
from musket.data.draws import draws
from musket.data.images import IMAGE_EXTENSIONS, read_image

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, Any]]
"""Augmenters as one function: image H x W x C, mask H x W x classes 0/1, generator -> both, of any size."""

Erosion = int | tuple[int, int]
"""Side of the square that erodes masks, in pixels; a pair is a range of whole numbers, both ends included."""

# Background pictures, at the sizes they were used in, that are kept in memory (bytes).
_KEPT = 128 * 2**20

# One text, so that Python shows it once.
_COVERED = (
    "BackgroundReplacer: the classes of a mask cover every pixel, so no background is replaced there. If one of the "
    "classes is the background itself, leave it out of the masks"
)


class Pictures(Protocol):
    """Background pictures to draw from."""

    def __len__(self) -> int: ...

    def fitted(self, index: int, height: int, width: int) -> np.ndarray:
        """Picture ``index`` at this size: height x width x 3, any integer depth."""
        ...


class Backgrounds:
    """The pictures of a folder as backgrounds, read when they are drawn; the last ones used stay in memory.

    Safe to use from several threads, and to hand to worker processes.

    Args:
        path: the folder. Other files and folders in it are passed over.
        erosion: see :func:`replace_background`.
        augmenters: the same.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """

    def __init__(self, path: str | Path, erosion: Erosion = 0, augmenters: Augment | None = None):
        self.path = Path(path)
        self.erosion = erosion
        self.augmenters = augmenters
        if not self.path.is_dir():
            raise DataError("no such folder of background pictures", path=path)
        self.files = sorted(
            file for file in self.path.iterdir() if file.suffix.lower() in IMAGE_EXTENSIONS and file.name[0] != "."
        )
        if not self.files:
            raise DataError("no picture in this folder; it should hold backgrounds (jpg, png, tif ...)", path=path)
        self._forget()

    def _forget(self) -> None:
        self._kept: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def __len__(self) -> int:
        return len(self.files)

    def fitted(self, index: int, height: int, width: int) -> np.ndarray:
        """Picture ``index`` stretched to height x width, with three channels, in the depth of its file.

        Raises:
            DataError: the file cannot be read.
        """
        key = (index, height, width)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = resize_image(np.ascontiguousarray(read_image(self.files[index])[..., :3]), height, width)
        if picture.shape[2] < 3:  # two bands of a satellite
            picture = np.repeat(picture[..., :1], 3, axis=2)
        with self._lock:
            self._kept[key] = picture
            while sum(kept.nbytes for kept in self._kept.values()) > _KEPT and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return picture


def replace_background(
    image: np.ndarray,
    mask: np.ndarray,
    random: np.random.Generator,
    backgrounds: Pictures,
    rate: float = 0.5,
    erosion: Erosion = 0,
    augment: Augment | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the objects of an image in front of a background picture, or keep the image as it is.

    What belongs to any class of the mask is object. Replaced are the colours: of an image with more than three
    channels the first three, of one with fewer all of them, by the brightness of the picture.

    Args:
        image: H x W x C of any depth.
        mask: H x W x classes, 0/1 or bool.
        random: all draws come from it.
        backgrounds: one of them is drawn, each alike, and stretched to the size of the image.
        rate: share of images that keep their own background, 0..1.
        erosion: the mask is eroded by a square of this side before pasting, so that no rim of the old background comes
            along; 0 and 1 leave it as it is.
        augment: run on image and mask before pasting; the results are brought back to H x W.

    Returns:
        image of the same shape and depth, and its mask (not eroded). Where the background is kept, the arrays given.

    Raises:
        DataError: the image holds floats outside 0..1 (with a hundredth for rounding): no background fits them.
    """
    if image.dtype.kind == "f" and image.size:
        low, high = np.fmin.reduce(image, axis=None), np.fmax.reduce(image, axis=None)  # whatever is nan
        if low < -0.01 or high > 1.01:
            raise DataError(
                f"BackgroundReplacer: the image holds floats from {low:g} to {high:g}, backgrounds come as 0..1; scale "
                "the images to 0..1, or give them as uint8 or uint16"
            )
    if random.random() <= rate:
        return image, mask
    rows, columns = image.shape[:2]
    if augment is not None:
        kind, depth = mask.dtype, image.dtype
        moved, changed = augment(image, mask, random)
        image = resize_image(np.ascontiguousarray(moved), rows, columns).astype(depth, copy=False)
        decided = np.ascontiguousarray(with_channels(np.asarray(changed)) > 0.5)
        mask = resize_mask(decided, rows, columns).astype(kind)
    background = backgrounds.fitted(int(random.integers(len(backgrounds))), rows, columns)
    side = erosion if isinstance(erosion, int) else int(random.integers(min(erosion), max(erosion) + 1))
    objects: np.ndarray = np.asarray(mask.astype(bool, copy=False).any(axis=2), dtype=np.uint8)
    if mask.shape[2] > 1 and objects.all():
        warnings.warn(_COVERED, stacklevel=2)
    if side > 1:
        objects = cv2.erode(objects, np.ones((side, side), np.uint8))
    return _paste(image, objects, _in_depth(background, image.dtype)), mask


def _paste(image: np.ndarray, objects: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Objects (H x W, 0/1) of the image over the background; channels behind the third stay."""
    channels = image.shape[2]
    if channels < 3:
        background = np.repeat(cv2.cvtColor(background, cv2.COLOR_RGB2GRAY)[..., None], channels, axis=2)
    colours = np.ascontiguousarray(image[..., :3])
    pasted = with_channels(cv2.copyTo(colours, objects, background.copy()))  # many times faster than numpy's where
    return pasted if channels <= 3 else np.concatenate([pasted, image[..., 3:]], axis=2)


def _in_depth(picture: np.ndarray, depth: np.dtype) -> np.ndarray:
    """A picture of integers in another depth; floats reach from 0 to 1."""
    if picture.dtype == depth:
        return picture
    scaled = picture.astype(np.float32) * (_top(depth) / _top(picture.dtype))
    return scaled.astype(depth) if depth.kind == "f" else np.rint(scaled).astype(depth)


def _top(depth: np.dtype) -> float:
    return 1.0 if depth.kind == "f" else float(np.iinfo(depth).max)


class WithBackgrounds(DerivedDataSet):
    """A dataset whose training items come with other backgrounds; all others are as they were.

    Args:
        ds: dataset of images with masks.
        bg: where backgrounds come from, and how objects are cut out.
        rate: share of training items that keep their own background, 0..1.

    Raises:
        DataError: (when an item is read) it has labels in place of a mask.
    """

    def __init__(self, ds: Any, bg: Backgrounds, rate: float = 0.5):
        super().__init__(ds)
        self.bg = bg
        self.rate = rate

    def _changed(self, item: PredictionItem, index: int, is_train: bool) -> PredictionItem:
        if not is_train or item.y is None:
            return item
        if not is_map(item.y):
            raise DataError(
                "WithBackgrounds pastes what a mask shows onto other pictures, and this sample has a label in its "
                "place; leave it out, or use BlendedDataSet",
                sample=str(item.id),
            )
        image, mask = with_channels(np.asarray(item.x)), with_channels(np.asarray(item.y))
        random = draws("background", index)
        image, mask = replace_background(image, mask, random, self.bg, self.rate, self.bg.erosion, self.bg.augmenters)
        return like(item, image, mask)
