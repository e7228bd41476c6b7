"""Figures of one class over all thresholds, in plain numpy.

Truth is N of bool, scores N of float (finite). Of equal scores none can be told from the others: they are one step.
"""

from __future__ import annotations

import math

import numpy as np


def steps(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lowering the threshold step by step takes in.

    Returns:
        the distinct scores from the highest down, and how many positives and how many negatives are at or above each.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], truth[order].astype(np.int64)
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
    hits = positive.cumsum()[last]
    return ordered[last], hits, 1 + last - hits


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, equal scores counting half.

    nan when one of the sides does not occur, or a score is no number.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives or np.isnan(scores).any():
        return math.nan
    _, hits, alarms = steps(truth, scores)
    return float(np.trapezoid(np.append(0, hits), np.append(0, alarms)) / (positives * negatives))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Sum over the steps of (gain in recall) x precision, without interpolation; as scikit-learn.

    nan when no positive occurs, or a score is no number.
    """
    positives = int(truth.sum())
    if not positives or np.isnan(scores).any():
        return math.nan
    _, hits, alarms = steps(truth, scores)
    return float((np.diff(hits, prepend=0) * hits / (hits + alarms)).sum() / positives)
