"""Consecutive colour steps as one look-up table per depth, exactly as if each step had rounded by itself."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from musket.augment.steps import Colour, top_of
from musket.core.errors import MusketError
from musket.core.geometry import MOST_CHANNELS


def recolour(image: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """Apply colour steps one after another.

    Args:
        image: H x W x C; unsigned integers, rounded after every step, or floats 0..1; clipped after every step.
        colours: the steps.

    Returns:
        an array of the same shape and depth; the image itself when there are no steps.
    """
    if not colours:
        return image
    if image.dtype.kind == "f":
        values = image.astype(np.float32, copy=False) * np.float32(255)
        for colour in colours:
            values = np.clip(colour.curve(values), 0, 255)
        return (values * np.float32(1 / 255)).astype(image.dtype, copy=False)
    # A table of 65,536 entries is not worth its making for a small image.
    if image.shape[0] * image.shape[1] <= top_of(image.dtype):
        return settle(image, colours)
    return look_up(image, make_table(colours, image.dtype, image.shape[2]))


def settle(values: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """Integer values (..., C) after every step, each rounded (half to even) and clipped to the depth."""
    top = np.float32(top_of(values.dtype))
    unit = top / np.float32(255)
    floats = values.astype(np.float32)
    if unit != 1:
        floats /= unit
    for position, colour in enumerate(colours):
        floats = colour.curve(floats)
        if unit != 1:
            floats = floats * unit
        floats = np.rint(floats)
        np.minimum(np.maximum(floats, 0, out=floats), top, out=floats)
        if unit != 1 and position < len(colours) - 1:
            floats /= unit
    return floats.astype(values.dtype)


def make_table(colours: Sequence[Colour], dtype: np.dtype, channels: int) -> np.ndarray:
    """What becomes of every value: levels x 1 when all channels are alike, else levels x channels."""
    columns = 1 if all(colour.shared for colour in colours) else channels
    levels = _levels(dtype, columns)
    return settle(levels, colours)


@functools.cache
def _levels(dtype: np.dtype, columns: int) -> np.ndarray:
    values = np.arange(int(top_of(dtype)) + 1).astype(dtype)
    levels = np.repeat(values[:, None], columns, axis=1)
    levels.flags.writeable = False
    return levels


def look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace every value of H x W x C by its entry in a table of levels x 1 or levels x C."""
    image = np.ascontiguousarray(image)
    if (image.dtype == np.uint8 or _wide_tables()) and (table.shape[1] == 1 or image.shape[2] <= MOST_CHANNELS):
        # OpenCV drops the last axis of one channel.
        return cv2.LUT(image, table[:, 0] if table.shape[1] == 1 else table[None]).reshape(image.shape)
    if table.shape[1] == 1:
        return np.take(table[:, 0], image, mode="clip")
    return np.stack([np.take(table[:, c], image[..., c], mode="clip") for c in range(image.shape[2])], axis=-1)


def unpainted(values: np.ndarray, table: np.ndarray) -> np.ndarray | None:
    """Per channel a value that the table turns into the given one; None where there is none for some channel."""
    columns = np.broadcast_to(table, (len(table), len(values)))
    hits = columns == values
    return hits.argmax(axis=0).astype(values.dtype) if hits.any(axis=0).all() else None


def check_floats(image: np.ndarray) -> None:
    """Raises MusketError for a float image that is not within 0..1: steps on values would cut it off."""
    if image.dtype.kind == "f" and image.size and (image.min() < -0.01 or image.max() > 1.01):
        raise MusketError(
            f"augmenters of colours, noise and filters take float images as 0 to 1; this one goes from {image.min():g} "
            f"to {image.max():g}. Scale it in the dataset (normalize: can standardise it later), or leave them out"
        )


@functools.cache
def _wide_tables() -> bool:
    """Whether this OpenCV looks up 16-bit values: from 5 on."""
    try:
        cv2.LUT(np.zeros((1, 1), np.uint16), np.zeros(65536, np.uint16))
    except cv2.error:
        return False
    return True
