"""Learning rates of groups of weights that learn at a share of the rate. Imports no torch.

A group's ``lr_scale`` is its rate as a share of *the* rate: the one of the config, of schedules and of the logs.
Whoever sets a rate sets it by :func:`set_rate`, or within :func:`unscaled`, so that the shares last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer


def rate(optimizer: Optimizer) -> float:
    """The learning rate: that of the first group, less its share."""
    group = optimizer.param_groups[0]
    return float(group["lr"]) / group.get("lr_scale", 1.0)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Give every group this learning rate, times its share."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


@contextlib.contextmanager
def unscaled(optimizer: Optimizer) -> Iterator[None]:
    """Let code that knows no shares, such as torch's schedules, see and set rates as if there were none."""
    groups = [group for group in optimizer.param_groups if group.get("lr_scale", 1.0) != 1.0]
    for group in groups:
        group["lr"] /= group["lr_scale"]
    try:
        yield
    finally:
        for group in groups:
            group["lr"] *= group["lr_scale"]
