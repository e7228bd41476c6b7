"""Depths and channels that OpenCV does not take as they are."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from musket.augment.steps import top_of
from musket.core.geometry import with_channels


def in_depth(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values in the units of ``dtype`` -> that depth: clipped, rounded if whole. Uses ``values`` up."""
    np.clip(values, 0, top_of(dtype), out=values)
    return (values if dtype.kind == "f" else np.rint(values, out=values)).astype(dtype, copy=False)


def spread(field: np.ndarray, channels: int) -> np.ndarray:
    """H x W x 1 -> H x W x ``channels`` with the same numbers in each; others pass."""
    if field.shape[2] == channels:
        return field
    return with_channels(cv2.merge([field[..., 0]] * channels))


def by_channels(image: np.ndarray, work: Callable[[np.ndarray], np.ndarray], most: int = 4) -> np.ndarray:
    """Run ``work`` on at most ``most`` channels at a time: many OpenCV functions take no more than four.

    Args:
        image: H x W x C.
        work: H x W x c -> h x w x c, or h x w where c is 1.
        most: channels that ``work`` takes together.

    Returns:
        h x w x C.
    """
    channels = image.shape[2]
    if channels <= most:
        return with_channels(work(image))
    parts = [image[..., start : start + most] for start in range(0, channels, most)]
    return np.concatenate([with_channels(work(np.ascontiguousarray(part))) for part in parts], axis=2)
