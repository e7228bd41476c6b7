"""Metrics of decided classes: counts of samples (or pixels) per class in truth, in prediction and in both.

A class is decided by a score above 0.5, or, of exclusive classes, by the highest (``Tally.chosen``). All of them are
exact over the epoch. Formulas as in scikit-learn with ``zero_division=0`` and every class counted, unless said
otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from musket.metrics.catalogue import Mode, names_of_classes
from musket.metrics.metric import Metric
from musket.metrics.tally import Tally, accumulator

Figure = Literal["precision", "recall", "f1"]
Average = Literal["macro", "micro", "weighted"]


class ClassCounts(Metric):
    """Base. Sums: truth, prediction, both, per class; units: samples or pixels."""

    def measure(self, tally: Tally) -> Tensor:
        return tally.chosen_of_classes

    def count(self, tally: Tally) -> int:
        return tally.prediction.numel() // tally.classes


class ClassFigure(ClassCounts):
    """Precision, recall or F1.

    With counts T (truth), P (prediction) and I (both): precision = I / P, recall = I / T, f1 = 2 I / (T + P); 0 where
    nothing is to be divided by.

    Args:
        average: "macro": mean over classes; "weighted": mean weighted by T; "micro": of the counts of all classes
            together.
    """

    def __init__(self, name: str, mode: Mode | None = "max", *, figure: Figure, average: Average):
        super().__init__(name, mode)
        self.figure: Figure = figure
        self.average = average

    def score(self, sums: Tensor, count: int) -> Tensor:
        counts = sums.view(3, -1)
        if self.average == "micro":
            return class_figure(self.figure, counts.sum(1))
        values = class_figure(self.figure, counts)
        if self.average == "weighted":
            return (values * counts[0]).sum() / counts[0].sum().clamp(min=1)
        return values.mean()


class FigurePerClass(ClassFigure):
    """The macro mean under the name itself, and every class under ``<name>_<class>``.

    Attributes:
        classes: what the classes are called; see :func:`musket.metrics.catalogue.names_of_classes`.
    """

    classes: Sequence[str] = ()

    def __init__(self, name: str, mode: Mode | None = "max", *, figure: Figure):
        super().__init__(name, mode, figure=figure, average="macro")

    def figures(self) -> dict[str, float]:
        if self._sums is None:
            return super().figures()
        values = class_figure(self.figure, self._sums.cpu().double().view(3, -1)).tolist()
        names = names_of_classes(self.classes, len(values))
        return super().figures() | {f"{self.name}_{of}": value for of, value in zip(names, values, strict=True)}


def class_figure(figure: Figure, counts: Tensor) -> Tensor:
    """Precision, recall or F1 from counts 3 x ... (truth, prediction, both); see :class:`ClassFigure`."""
    truth, prediction, both = counts
    share, whole = {
        "precision": (both, prediction),
        "recall": (both, truth),
        "f1": (2 * both, truth + prediction),
    }[figure]
    return share / whole.clamp(min=1)


class BalancedAccuracy(ClassCounts):
    """Mean of the shares of positives and of negatives that are found, of each class; mean over classes.

    A side that does not occur is left out.
    """

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1)
        negatives = count - truth
        rejected = negatives - (prediction - both)
        return torch.stack([both / truth, rejected / negatives]).nanmean(0).mean()


class BalancedAccuracyOfExclusive(ClassCounts):
    """Mean of the recalls of the classes that occur."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, _, both = sums.view(3, -1)
        return (both / truth).nanmean()


class MatthewsOfExclusive(ClassCounts):
    """Correlation of exclusive classes: R_K of Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    0 when truth or prediction are all of one class.
    """

    def score(self, sums: Tensor, count: int) -> float:
        truth, prediction, both = sums.view(3, -1)
        total = truth.sum()
        shared = both.sum() * total - (truth * prediction).sum()
        # A prediction that is no number chooses no class: the two totals need not be the same.
        spread = (total**2 - truth.square().sum()) * (total**2 - prediction.square().sum())
        return float(shared) / math.sqrt(spread) if spread > 0 else 0.0


class CohenKappa(ClassCounts):
    """(observed - expected) / (1 - expected) agreement of each class on its own, mean over classes.

    Cohen 1960, doi:10.1177/001316446002000104. A class of which truth and prediction both are all one side is left out.
    With two sides, weighting by distance changes nothing: this is the quadratic kappa too.
    """

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1) / count
        observed = 1 - truth - prediction + 2 * both
        expected = truth * prediction + (1 - truth) * (1 - prediction)
        return torch.where(expected < 1, (observed - expected) / (1 - expected), torch.nan).nanmean()


class CohenKappaOfExclusive(ClassCounts):
    """1 - sum(w O) / sum(w E): O counts of (true, chosen) classes, E what they would be by chance.

    Cohen 1968, doi:10.1037/h0026256. w is 1 for every mistake. nan when truth and prediction are all of one class.
    """

    quadratic = False

    def measure(self, tally: Tally) -> Tensor:
        truth, chosen = (
            accumulator(values.movedim(1, -1).reshape(-1, tally.classes).float())
            for values in (tally.present, tally.chosen)
        )
        return (truth.T @ chosen).flatten()

    def score(self, sums: Tensor, count: int) -> Tensor:
        classes = math.isqrt(len(sums))
        observed = sums.view(classes, classes)
        expected = observed.sum(1)[:, None] * observed.sum(0) / observed.sum()
        grade = torch.arange(classes, dtype=sums.dtype)
        apart = grade[:, None] - grade
        weights = apart.square() if self.quadratic else (apart != 0).to(sums.dtype)
        return 1 - (weights * observed).sum() / (weights * expected).sum()


class QuadraticKappaOfExclusive(CohenKappaOfExclusive):
    """:class:`CohenKappaOfExclusive` with w = (i - j)^2, for classes that are grades."""

    quadratic = True


class ExactMatch(ClassCounts):
    """Share of samples or pixels all of whose classes are decided right."""

    def measure(self, tally: Tally) -> Tensor:
        return (tally.chosen == tally.present).all(1).sum().reshape(1)


class HammingLoss(ClassCounts):
    """Share of decisions, samples x classes, that are wrong."""

    def score(self, sums: Tensor, count: int) -> Tensor:
        truth, prediction, both = sums.view(3, -1)
        return (truth + prediction - 2 * both).mean() / count
