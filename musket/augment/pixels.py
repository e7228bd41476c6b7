"""Depths and channels that OpenCV does not take as they are."""

from __future__ import annotations

import cv2
import numpy as np

from musket.augment.steps import top_of
from musket.core.geometry import MOST_CHANNELS, with_channels


def in_depth(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values in the units of ``dtype`` -> that depth: clipped, rounded if whole. Uses ``values`` up."""
    np.clip(values, 0, top_of(dtype), out=values)
    return (values if dtype.kind == "f" else np.rint(values, out=values)).astype(dtype, copy=False)


def spread(field: np.ndarray, channels: int) -> np.ndarray:
    """H x W x 1 -> H x W x ``channels`` with the same numbers in each; others pass."""
    if field.shape[2] == channels:
        return field
    if channels > MOST_CHANNELS:
        return np.repeat(field, channels, axis=2)
    return with_channels(cv2.merge([field[..., 0]] * channels))
