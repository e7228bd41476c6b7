"""The shape of a metric: additive sums on the device, one figure at the end of the epoch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from musket.metrics.catalogue import Mode
from musket.metrics.tally import Tally, accumulator


class Metric(ABC):
    """A figure that is exact over everything it was shown since the last reset.

    A subclass says what a batch adds (:meth:`measure`, :meth:`count`) and what the sums mean (:meth:`score`). Because
    only sums are kept, the figure does not depend on how the samples were cut into batches, and the states of several
    processes add up.

    Attributes:
        name: as the user wrote it; the column of the log.
        mode: "max", "min", or None when nobody has said which way is better.
        same_shape: truth of another shape than the prediction is refused.
    """

    same_shape = True

    def __init__(self, name: str, mode: Mode | None = None):
        self.name = name
        self.mode = mode
        self.reset()

    @abstractmethod
    def measure(self, tally: Tally) -> Tensor:
        """What this batch adds: a 1-D tensor on the device."""

    def count(self, tally: Tally) -> int:
        """How many units this batch adds; samples unless a subclass counts something else."""
        return tally.samples

    def score(self, sums: Tensor, count: int) -> float | Tensor:
        """The figure, from the sums (float64, on the CPU) and the number of units, which is above 0."""
        return sums[0] / count

    @torch.no_grad()
    def add(self, tally: Tally) -> None:
        """Take a batch in. Does not wait for the device. Raises TrainingError when the shapes do not fit."""
        if self.same_shape:
            tally.require_same_shape(self.name)
        sums = self.measure(tally)
        self._sums = sums if self._sums is None else self._sums + sums
        self._count += self.count(tally)

    def update(self, truth: Tensor, prediction: Tensor) -> None:
        """Take a batch in; see :class:`~musket.metrics.tally.Tally` for the shapes."""
        self.add(Tally(truth, prediction))

    def compute(self) -> float:
        """The figure; nan when nothing was shown."""
        if self._sums is None or not self._count:
            return math.nan
        return float(self.score(self._sums.cpu().double(), self._count))

    def figures(self) -> dict[str, float]:
        """Everything it has to say, by name: :meth:`compute`, and further figures if it has any."""
        return {self.name: self.compute()}

    def reset(self) -> None:
        """Forget everything shown."""
        self._sums: Tensor | None = None
        self._count = 0

    def state(self) -> Tensor:
        """All that was gathered: the count, then the sums; float64 on the CPU. States of several processes add up."""
        count = torch.tensor([self._count], dtype=torch.float64)
        return count if self._sums is None else torch.cat([count, self._sums.cpu().double()])

    def merge(self, state: Tensor) -> None:
        """Add what another process gathered (its :meth:`state`)."""
        self._count += int(state[0])
        if len(state) > 1:
            self._sums = state[1:] if self._sums is None else self._sums.cpu().double() + state[1:]


class FunctionMetric(Metric):
    """A metric from ``f(truth, prediction)``, which returns the value of a batch: a number, or a tensor to be averaged.

    Values of batches are averaged, weighted by their samples. That is exact for a function that is itself a mean over
    samples; the value of any other depends on the batch size.

    Args:
        function: sees float tensors N x classes x ..., the prediction activated.
        reduction: "sum" for a function that sums over the batch; its values are added and divided by the samples.
        threshold: hand it decisions, 0/1: above 0.5, or the highest of exclusive classes.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Tensor, Tensor], Tensor | float],
        mode: Mode | None = None,
        *,
        reduction: str = "mean",
        threshold: bool = False,
        same_shape: bool = False,
    ):
        super().__init__(name, mode)
        self.function = function
        self.reduction = reduction
        self.threshold = threshold
        self.same_shape = same_shape

    def measure(self, tally: Tally) -> Tensor:
        prediction = tally.chosen.to(tally.scores.dtype) if self.threshold else tally.scores
        found = self.function(tally.values, prediction)
        value = torch.as_tensor(found if isinstance(found, Tensor) else float(found), device=prediction.device)
        value = accumulator(value if value.ndim == 0 else value.float().mean()).reshape(1)
        return value if self.reduction == "sum" else value * tally.samples
