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

_EPOCH: ContextVar[int | None] = ContextVar("musket_epoch", default=None)


@contextmanager
def reading_epoch(epoch: int | None) -> Iterator[None]:
    """Say which epoch the items read inside are for, in this thread; None = no epoch in particular."""
    token = _EPOCH.set(epoch)
    try:
        yield
    finally:
        _EPOCH.reset(token)


def current_epoch() -> int | None:
    """The epoch being read, for those who keep what they read; None outside of :func:`reading_epoch`."""
    return _EPOCH.get()


def draws(*parts: object) -> np.random.Generator:
    """A generator for these parts (a seed, a position, the class that draws) and the epoch being read.

    Outside of :func:`reading_epoch` it is that of epoch 0: the same item gives the same draws every time.
    """
    return generator(*parts, _EPOCH.get() or 0)
