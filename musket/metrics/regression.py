"""Metrics of values. Sums are kept in float64, where float32 targets and their squares lose nothing that matters."""

from __future__ import annotations

import torch
from torch import Tensor

from musket.metrics.metric import Metric
from musket.metrics.tally import Tally, accumulator


class RootMeanSquaredError(Metric):
    """Root of the mean of (t - p)^2 over all values of the epoch: the root of ``mse``."""

    def measure(self, tally: Tally) -> Tensor:
        return (accumulator(tally.scores) - accumulator(tally.values)).square().sum().reshape(1)

    def count(self, tally: Tally) -> int:
        return tally.prediction.numel()

    def score(self, sums: Tensor, count: int) -> Tensor:
        return (sums[0] / count).sqrt()


class R2(Metric):
    """1 - sum (t - p)^2 / sum (t - mean t)^2 of each value, mean over values; 1 is perfect, 0 as good as the mean.

    A value whose truth never changes is left out.
    """

    def measure(self, tally: Tally) -> Tensor:
        truth, scores = (
            accumulator(values).movedim(1, -1).reshape(-1, tally.classes) for values in (tally.values, tally.scores)
        )
        return torch.stack([truth, truth.square(), (truth - scores).square()]).sum(1).flatten()

    def count(self, tally: Tally) -> int:
        return tally.prediction.numel() // tally.classes

    def score(self, sums: Tensor, count: int) -> Tensor:
        total, squares, errors = sums.view(3, -1)
        spread = squares - total.square() / count
        # Rounding of the difference of two large sums is no spread.
        return torch.where(spread > 1e-12 * squares, 1 - errors / spread, torch.nan).nanmean()
