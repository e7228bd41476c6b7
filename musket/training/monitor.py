"""A logged figure that a hook watches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from musket.core.errors import TrainingError
from musket.core.registry import nearest
from musket.metrics.catalogue import Mode, direction, find_column

AnyMode = Literal["auto", "min", "max"]


class Monitor:
    """Reads one figure of each epoch's row and knows what better means.

    Args:
        owner: the hook, named in errors.
        name: column of the row, such as ``val_loss``; another name of the same metric will do.
        mode: "min", "max", or "auto", which asks the metrics.
        min_delta: less than this is no improvement.

    Raises:
        TrainingError: ``mode`` is none of these, or auto and nobody has said which way the figure gets better.
    """

    def __init__(self, owner: str, name: str, mode: AnyMode = "auto", min_delta: float = 0.0):
        found = direction(name) if mode == "auto" else mode
        if found is None:
            raise TrainingError(
                f"{owner} cannot tell whether a higher {name} is better or worse; add mode: max or mode: min"
            )
        if found not in ("min", "max"):
            raise TrainingError(f"{owner}: mode is {mode!r}; allowed are auto, min and max")
        self.owner = owner
        self.name = name
        self.mode: Mode = found
        self.min_delta = abs(min_delta)

    @property
    def worst(self) -> float:
        """What every figure is better than."""
        return math.inf if self.mode == "min" else -math.inf

    def better(self, value: float, best: float) -> bool:
        """Whether a figure improves on the best so far by more than ``min_delta``; nan never does."""
        return value < best - self.min_delta if self.mode == "min" else value > best + self.min_delta

    def read(self, row: Mapping[str, float]) -> float:
        """The figure of this epoch. Raises TrainingError naming what is logged when it is not."""
        column = find_column(self.name, row)
        if column is None:
            logged = sorted(key for key in row if key != "epoch")
            near = nearest(self.name, logged)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise TrainingError(
                f"{self.owner} monitors {self.name}, which is not logged{hint} (logged: {', '.join(logged)})"
            )
        return row[column]
