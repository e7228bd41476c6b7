"""Random draws of datasets: decided by counters, so that neither workers nor the order of reading change them.

A dataset is asked for an item by position alone. Whoever reads for training says the epoch around the call
(:func:`reading_epoch`), and datasets that draw take their generators from :func:`draws`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from musket.core.runtime import generator

_READING: ContextVar[tuple[int, int] | None] = ContextVar("musket_reading", default=None)


@contextmanager
def reading_epoch(epoch: int | None, again: int = 0) -> Iterator[None]:
    """Say which epoch the items read inside are for, in this thread; None = no epoch in particular.

    Args:
        again: how often the same item was drawn before in this epoch (see :func:`musket.data.sampling.sample_of`).
    """
    token = _READING.set(None if epoch is None else (epoch, again))
    try:
        yield
    finally:
        _READING.reset(token)


def current_reading() -> tuple[int, int] | None:
    """What :func:`reading_epoch` was told, for those who keep what they read; None outside of it."""
    return _READING.get()


def draws(*parts: object) -> np.random.Generator:
    """A generator for these parts (a seed, a position, the class that draws) and the epoch being read.

    Outside of :func:`reading_epoch` it is that of epoch 0: the same item gives the same draws every time.
    """
    epoch, again = _READING.get() or (0, 0)
    return generator(*parts, epoch, *([again] if again else []))
