"""Running one operation on one image."""

from __future__ import annotations

import numpy as np

from musket.augment.compile import Chain


def run(operation, image, seed=0, mask=None):
    """Image and mask after ``operation``, whose numbers come from ``seed``."""
    return Chain((operation,), None, None)(image, mask, np.random.default_rng(seed))


def image_of(operation, image, seed=0):
    return run(operation, image, seed)[0]


def flat(value, dtype=np.uint8, shape=(128, 160, 3)):
    return np.full(shape, value, dtype)
