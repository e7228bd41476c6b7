"""Metrics of the order of scores. They cannot be had from sums, so they keep every score until the epoch's end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from musket.core.errors import TrainingError
from musket.metrics import curves
from musket.metrics.catalogue import Mode
from musket.metrics.metric import Metric
from musket.metrics.tally import Tally

LIMIT = 2**27
"""Most scores kept, samples x classes, as of 100,000 samples of 1,000 classes. 5 bytes each: 640 MiB."""

_AT_ONCE = 2**24
"""Most scores copied at a time when the figure is asked for."""


class Ranking(Metric):
    """Mean over classes of a figure of one class against the rest, over all samples (or pixels) of the epoch.

    A class for which the figure is undefined, as one that does not occur, is left out; nan when none is left. A score
    that is no number makes the figure nan. Scores stay on the device, in float32, until the figure is asked for;
    metrics of one set share them.
    """

    of_class: Callable[[np.ndarray, np.ndarray], float]

    def __init__(self, name: str, mode: Mode | None = "max"):
        super().__init__(name, mode)

    def measure(self, tally: Tally) -> Tensor:
        raise AssertionError("a ranking adds up nothing")

    @torch.no_grad()
    def add(self, tally: Tally) -> None:
        tally.require_same_shape(self.name)
        self._keep(*tally.ranked)

    def _keep(self, truth: Tensor, scores: Tensor) -> None:
        self._count += len(truth)
        if self._count * scores.shape[1] > LIMIT:
            raise TrainingError(
                f"metric {self.name} keeps every score, and there are more than {LIMIT} (samples or pixels x classes). "
                "Name a metric of decided classes instead, such as macro_f1"
            )
        self._truth.append(truth)
        self._scores.append(scores)

    def compute(self) -> float:
        if not self._count:
            return math.nan
        if any(part.isnan().any() for part in self._scores):
            return math.nan
        found = np.array([self.of_class(truth, scores) for truth, scores in self._columns()])
        defined = found[~np.isnan(found)]
        return float(defined.mean()) if len(defined) else math.nan

    def _columns(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Truth and scores of every class, each N."""
        step = max(1, _AT_ONCE // self._count)
        for start in range(0, self._scores[0].shape[1], step):
            both = (
                torch.cat([part[:, start : start + step].cpu() for part in parts]).T.contiguous().numpy()
                for parts in (self._truth, self._scores)
            )
            yield from zip(*both, strict=True)

    def reset(self) -> None:
        super().reset()
        self._truth: list[Tensor] = []
        self._scores: list[Tensor] = []

    def state(self) -> Tensor:
        """The count, then truth and scores of every sample; its length differs from process to process."""
        rows = [
            torch.cat([part.cpu().double().flatten() for part in parts])
            for parts in (self._truth, self._scores)
            if parts
        ]
        return torch.cat([torch.tensor([self._count], dtype=torch.float64), *rows])

    def merge(self, state: Tensor) -> None:
        """Take in what another process kept (its :meth:`state`)."""
        if int(state[0]):
            truth, scores = state[1:].view(2, int(state[0]), -1)
            self._keep(truth.bool(), scores.float())


class RocAuc(Ranking):
    """Area under the ROC curve, Fawcett 2006 (doi:10.1016/j.patrec.2005.10.010)."""

    of_class = staticmethod(curves.roc_auc)


class AveragePrecision(Ranking):
    """Average precision; over several classes this is the mAP of retrieval and multi-label work."""

    of_class = staticmethod(curves.average_precision)
