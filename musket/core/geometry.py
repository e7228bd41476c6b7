"""Resizing of images, masks and score maps, of any number of channels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

MOST_CHANNELS = 128
"""Channels an array of OpenCV 5 can have (CV_CN_MAX); of OpenCV 4 it is 512."""


def with_channels(array: np.ndarray) -> np.ndarray:
    """H x W -> H x W x 1; arrays with channels pass."""
    return array[..., None] if array.ndim == 2 else array


def by_channels(array: np.ndarray, work: Callable[[np.ndarray], np.ndarray], most: int = MOST_CHANNELS) -> np.ndarray:
    """Run ``work`` on at most ``most`` channels at a time.

    Args:
        array: H x W x C.
        work: H x W x c -> h x w x c, or h x w where c is 1.
        most: channels that ``work`` takes together; many OpenCV functions take no more than four.

    Returns:
        h x w x C.
    """
    channels = array.shape[2]
    if channels <= most:
        return with_channels(work(array))
    parts = [array[..., start : start + most] for start in range(0, channels, most)]
    return np.concatenate([with_channels(work(np.ascontiguousarray(part))) for part in parts], axis=2)


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize H x W x C of any depth without aliasing: linear, averaging areas where it shrinks by 2 or more.

    An integer area average is several times faster in OpenCV than a fractional one, so a large shrink goes linearly
    to the nearest multiple of the target first. Halving is the fastest of all: a shrink by four is two of them, which
    rounds twice and so differs by one level at most.
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return with_channels(image)
    if image.ndim == 3 and image.shape[2] > MOST_CHANNELS:
        return by_channels(image, lambda part: resize_image(part, height, width))
    shrink = min(rows // height, columns // width)
    if shrink >= 2:
        multiple = (width * shrink, height * shrink)
        if (columns, rows) != multiple:
            image = cv2.resize(image, multiple, interpolation=cv2.INTER_LINEAR)
        while shrink > 2 and shrink % 2 == 0:
            shrink //= 2
            image = cv2.resize(image, (width * shrink, height * shrink), interpolation=cv2.INTER_AREA)
        return with_channels(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    return with_channels(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize H x W x classes of 0/1 (bool or integer) by nearest neighbour: labels stay exact. Returns uint8."""
    mask = mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8, copy=False)
    if mask.shape[:2] == (height, width):
        return with_channels(mask)
    # Plain INTER_NEAREST takes the upper left pixel of each cell, which shifts masks by half a cell.
    return by_channels(
        with_channels(mask), lambda part: cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    )


def resize_scores(scores: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a float score map H x W x classes back to the size of its image (linear; area average when it shrinks)."""
    return resize_image(np.ascontiguousarray(scores, dtype=np.float32), height, width)
