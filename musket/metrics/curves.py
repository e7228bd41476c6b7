"""Figures of one class over all thresholds, in plain numpy.

Truth is N of bool, scores N of float (no nan). Of equal scores none can be told from the others: they are one step.
Only steps that take in a positive matter to any figure, so scores are sorted as plain values, which is far quicker than
finding their order, and the positives are looked up among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Steps:
    """What lowering the threshold takes in, at every step that takes in a positive, from the highest down.

    Attributes:
        levels: the distinct scores of positives.
        lower: the next lower score of any sample; nan where there is none.
        hits: positives at or above each level.
        alarms: negatives at or above each level.
        ties: negatives at each level.
    """

    levels: np.ndarray
    lower: np.ndarray
    hits: np.ndarray
    alarms: np.ndarray
    ties: np.ndarray

    def roc_auc(self, negatives: int) -> float:
        """Area under the ROC curve of so many negatives in all; nan when one of the sides does not occur."""
        if not negatives or not len(self.levels):
            return math.nan
        beaten = 2 * (negatives - self.alarms) + self.ties  # in halves, so that they are whole numbers
        return float((self._gains * beaten).sum()) / (2 * int(self.hits[-1]) * negatives)

    def average_precision(self) -> float:
        """Sum of (gain in recall) x precision; nan when no positive occurs."""
        if not len(self.levels):
            return math.nan
        return float((self._gains * self.hits / (self.hits + self.alarms)).sum() / self.hits[-1])

    @property
    def _gains(self) -> np.ndarray:
        return np.diff(self.hits, prepend=0)


def steps(truth: np.ndarray, scores: np.ndarray) -> Steps:
    """The steps of one class."""
    every, positive = np.sort(scores), np.sort(scores[truth])
    first = np.flatnonzero(np.append(True, positive[1:] != positive[:-1]))[: len(positive)]
    levels, hits = positive[first], len(positive) - first
    below, up_to = (np.searchsorted(every, levels, side=side) for side in ("left", "right"))
    lower = np.where(below > 0, every[below - 1], np.nan) if len(levels) else levels
    alarms = len(every) - below - hits
    ties = up_to - below - np.diff(first, append=len(positive))
    return Steps(*(values[::-1] for values in (levels, lower, hits, alarms, ties)))


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, equal scores counting half.

    nan when one of the sides does not occur, or a score is no number.
    """
    return math.nan if np.isnan(scores).any() else steps(truth, scores).roc_auc(int((~truth).sum()))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Sum over the steps of (gain in recall) x precision, without interpolation; as scikit-learn.

    nan when no positive occurs, or a score is no number.
    """
    return math.nan if np.isnan(scores).any() else steps(truth, scores).average_precision()
