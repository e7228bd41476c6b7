"""Metrics that are functions of counts: pixels of truth, of prediction, and of both."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from musket.metrics.metric import Metric
from musket.metrics.tally import Tally, accumulator

EPSILON = 1e-7
SMOOTH = 1e-6


class Counts(Metric):
    """Base of metrics at 0.5 over the whole epoch. Sums: truth, prediction, both, per class; units: values."""

    def measure(self, tally: Tally) -> Tensor:
        return tally.hard_of_classes

    def count(self, tally: Tally) -> int:
        return tally.prediction.numel()


class BinaryAccuracy(Counts):
    """Share of values with (t > 0.5) == (p > 0.5)."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1).sum(1)
        return (count - truth - prediction + 2 * both) / count


class Dice(Counts):
    """2 I / (T + P + 1e-10) of all pixels and classes of the epoch together; 1 when there is nothing in either."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1).sum(1)
        if truth + prediction == 0:
            return torch.ones(())
        return 2 * both / (truth + prediction + 1e-10)


class DicePerClass(Counts):
    """(2 I + 1e-6) / (T + P + 1e-6) per class over all images, mean over classes; an empty class has 1."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1)
        return ((2 * both + SMOOTH) / (truth + prediction + SMOOTH)).mean()


class IoUPerClass(Counts):
    """(I + 1e-6) / (U + 1e-6) per class over all images, mean over classes; an empty class has 1."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1)
        return ((both + SMOOTH) / (truth + prediction - both + SMOOTH)).mean()


class MatthewsCorrelation(Counts):
    """(TP TN - FP FN) / (sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)) + 1e-7) over all values of the epoch.

    Matthews 1975, doi:10.1016/0005-2795(75)90109-9.
    """

    def score(self, sums: Tensor, count: int) -> float:
        truth, prediction, both = sums.view(3, -1).sum(1).tolist()
        missed, invented = truth - both, prediction - both
        neither = count - truth - invented
        spread = math.sqrt(truth * prediction * (count - truth) * (count - prediction))
        return (both * neither - invented * missed) / (spread + EPSILON)


class MacroF1(Metric):
    """F1 from soft counts per class over the whole epoch, mean over classes; a class nowhere seen has 0.

    Precision and recall are smoothed by 1e-7.
    """

    def measure(self, tally: Tally) -> Tensor:
        return tally.soft_of_classes

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1)
        precision, recall = both / (prediction + EPSILON), both / (truth + EPSILON)
        return (2 * precision * recall / (precision + recall + EPSILON)).mean()


class MacroF1OfDecisions(MacroF1):
    """:class:`MacroF1` of decided classes: above 0.5, or the highest of exclusive ones."""

    def measure(self, tally: Tally) -> Tensor:
        return tally.chosen_of_classes


class F1Loss(MacroF1):
    """1 - :class:`MacroF1`."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        return 1 - super().score(sums, count)


class SoftOverlap(Metric):
    """min(1, 2 (sum(t p) + 1) / (sum t + sum p + 1)) of each image, all classes together; mean over images.

    The "iou" of the framework before this one, nearer to Dice than to IoU. Cut at 1, which empty pairs would pass.
    """

    def measure(self, tally: Tally) -> Tensor:
        return self._of_images(tally.soft)

    @staticmethod
    def _of_images(sums: Tensor) -> Tensor:
        truth, prediction, both = sums.sum(2)
        overlap = (2 * (both + 1) / (truth + prediction + 1)).clamp(max=1)
        return accumulator(overlap).sum().reshape(1)


class HardOverlap(SoftOverlap):
    """:class:`SoftOverlap` of truth and predictions cut to 0/1 at 0.5."""

    def measure(self, tally: Tally) -> Tensor:
        return self._of_images(tally.hard)
