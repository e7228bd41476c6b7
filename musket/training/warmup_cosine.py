"""The learning-rate schedule of most recipes of today, as one hook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from musket.core.errors import TrainingError
from musket.optim.rates import set_rate
from musket.training.hooks import Run
from musket.training.schedules import Resumable, check_range

# Goyal et al. warm up for 5 of 90 epochs.
_WARMUP_SHARE = 5 / 90


class WarmupCosine(Resumable):
    """Lead the rate up to its full value in a line, then down along half a cosine that ends with the stage.

    The warm-up is that of Goyal et al. 2017 (arXiv:1706.02677), the cosine that of Loshchilov and Hutter 2017
    (arXiv:1608.03983). With w batches of warm-up among n, batch i, counted from 0, is trained at
    full (start_factor + (1 - start_factor) i / w) while i < w, and at
    min_lr + (full - min_lr) (1 + cos(pi (i - w) / (n - w))) / 2 from then on. ``full`` is the rate the stage begins
    with, and the one it leaves to the next stage: a warm restart.

    Batches are counted from the first one this callback sees to the end of the stage. Resumed with more epochs, it goes
    on as if the stage had had that length from the beginning.

    Args:
        warmup: epochs of the warm-up, fractions too; 0 for none. As long as the stage, or longer, the cosine never
            comes. None: an eighteenth of the stage (5 of 90 epochs in Goyal et al.).
        min_lr: the rate at the end.
        start_factor: share of the full rate that the warm-up begins with, 0 to 1. Default 0.01, as in torchvision's
            recipes.

    Raises:
        TrainingError: an option is out of range; the rate of the stage is 0, or below ``min_lr``.
    """

    def __init__(self, warmup: float | None = None, min_lr: float = 0.0, start_factor: float = 0.01):
        for option, value in (("warmup", warmup), ("min_lr", min_lr)):
            if value is not None:
                check_range("WarmupCosine", option, value, least=0)
        if not 0 <= start_factor <= 1:
            raise TrainingError(f"WarmupCosine: start_factor is {start_factor}; it must lie between 0 and 1")
        self.warmup = warmup
        self.min_lr = min_lr
        self.start_factor = start_factor
        self.first = 0
        self.full = 0.0

    def begin(self, run: Run, stored: Mapping[str, Any] | None) -> None:
        self.first, self.full = (run.step, run.lr) if stored is None else (stored["first"], stored["full"])
        if not 0 < self.full >= self.min_lr:
            raise TrainingError(
                f"WarmupCosine: the stage begins with a rate of {self.full:g}; it must be above 0, and not below "
                f"min_lr ({self.min_lr:g}). Give the stage an lr of its own"
            )

    def on_batch_start(self, run: Run) -> None:
        set_rate(run.optimizer, self.full * self._share(run))

    def on_stage_end(self, run: Run) -> None:
        set_rate(run.optimizer, self.full)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "full": self.full}

    def _share(self, run: Run) -> float:
        """Share of the full rate that the next batch is trained at."""
        batch, batches = run.step - self.first, run.epochs * run.steps_per_epoch - self.first
        warmup = batches * _WARMUP_SHARE if self.warmup is None else self.warmup * run.steps_per_epoch
        if batch < warmup:
            return self.start_factor + (1 - self.start_factor) * batch / warmup
        least = self.min_lr / self.full
        return least + (1 - least) * (1 + math.cos(math.pi * (batch - warmup) / (batches - warmup))) / 2
