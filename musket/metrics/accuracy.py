"""Metrics of exclusive classes: which class is highest."""

from __future__ import annotations

from torch import Tensor

from musket.core.errors import TrainingError
from musket.metrics.catalogue import Mode
from musket.metrics.metric import Metric
from musket.metrics.tally import Tally


class CategoricalAccuracy(Metric):
    """Share of samples or pixels whose highest prediction is that of the true class; the first of equals counts."""

    def measure(self, tally: Tally) -> Tensor:
        return (tally.scores.argmax(1) == tally.values.argmax(1)).sum().reshape(1)

    def count(self, tally: Tally) -> int:
        return tally.prediction.numel() // tally.classes


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """:class:`CategoricalAccuracy` for truth given as class numbers, N x ... or N x 1 x ....

    Truth in the shape of the prediction, a channel per class, will do as well.
    """

    same_shape = False

    def measure(self, tally: Tally) -> Tensor:
        truth, prediction = tally.truth, tally.scores
        if truth.shape == prediction.shape and tally.classes > 1:
            return super().measure(tally)
        numbers = truth.squeeze(1) if truth.ndim == prediction.ndim and truth.shape[1] == 1 else truth
        if numbers.shape != prediction.shape[:1] + prediction.shape[2:]:
            raise TrainingError(
                f"metric {self.name} wants one class number per sample or pixel for a prediction of shape "
                f"{tuple(prediction.shape)}, but the truth has shape {tuple(truth.shape)}"
            )
        return (prediction.argmax(1) == numbers).sum().reshape(1)


class TopKCategoricalAccuracy(CategoricalAccuracy):
    """Share of samples or pixels for which fewer than k classes are predicted higher than the true one."""

    def __init__(self, name: str, mode: Mode | None = "max", *, k: int = 5):
        super().__init__(name, mode)
        self.k = k

    def measure(self, tally: Tally) -> Tensor:
        true_class = tally.values.argmax(1, keepdim=True)
        own = tally.scores.gather(1, true_class)
        higher = (tally.scores > own).sum(1, keepdim=True)
        return ((higher < self.k) & own.isfinite()).sum().reshape(1)


class Accuracy(SparseCategoricalAccuracy):
    """What Keras means by "accuracy": of values for one class, else of the highest class, by the shape of the truth."""

    def measure(self, tally: Tally) -> Tensor:
        if tally.truth.shape != tally.prediction.shape:
            return super().measure(tally)
        if tally.classes == 1:
            truth, prediction, both = tally.hard_of_classes
            return (tally.prediction.numel() - truth - prediction + 2 * both).reshape(1)
        return CategoricalAccuracy.measure(self, tally)
