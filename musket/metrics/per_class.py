"""Tables of finished predictions: figures of every class, confusion, thresholds. Plain numpy.

Everywhere truth is N x classes, 0/1, and scores are N x classes, activated; N samples of one head. Figures agree with
scikit-learn (``zero_division=0``), and with the metrics of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from musket.core.errors import MusketError
from musket.metrics import curves

THRESHOLD = 0.5


@dataclass(frozen=True)
class ClassRow:
    """What predictions of a class are worth.

    Attributes:
        name: of the class.
        support: samples that have it.
        precision, recall, f1: of the decisions; 0 where nothing is to be divided by.
        roc_auc, average_precision: of the scores; nan where undefined, as for a class that does not occur.
        threshold: above which the class is decided; nan of exclusive classes, where the highest score decides.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    threshold: float


def per_class(
    truth: np.ndarray,
    scores: np.ndarray,
    *,
    exclusive: bool = False,
    thresholds: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> list[ClassRow]:
    """The figures of every class.

    Args:
        exclusive, thresholds: see :func:`decide`.
        names: of the classes. Default: their numbers, from 0.

    Raises:
        MusketError: the shapes do not fit.
    """
    decided = decide(scores, exclusive=exclusive, thresholds=thresholds)
    present = _present(truth, scores, exclusive)
    if exclusive:
        used = np.full(scores.shape[1], math.nan)
    else:
        used = np.full(scores.shape[1], THRESHOLD) if thresholds is None else np.asarray(thresholds, dtype=float)
    rows = []
    for position, name in enumerate(names or map(str, range(scores.shape[1]))):
        of, found, own = present[:, position], decided[:, position], scores[:, position]
        support, predicted, both = int(of.sum()), int(found.sum()), int((of & found).sum())
        rows.append(
            ClassRow(
                name=name,
                support=support,
                precision=both / max(1, predicted),
                recall=both / max(1, support),
                f1=2 * both / max(1, support + predicted),
                roc_auc=curves.roc_auc(of, own),
                average_precision=curves.average_precision(of, own),
                threshold=float(used[position]),
            )
        )
    return rows


def confusion_matrix(
    truth: np.ndarray, scores: np.ndarray, *, exclusive: bool, thresholds: np.ndarray | None = None
) -> np.ndarray:
    """Counts of truth against decisions, int64.

    Args:
        exclusive, thresholds: see :func:`decide`.

    Returns:
        of exclusive classes: classes x classes, true class by row, decided class by column; samples without either are
        left out. Otherwise classes x 2 x 2: [[true negatives, false positives], [false negatives, true positives]].

    Raises:
        MusketError: the shapes do not fit.
    """
    decided = decide(scores, exclusive=exclusive, thresholds=thresholds).astype(np.int64)
    present = _present(truth, scores, exclusive).astype(np.int64)
    if exclusive:
        size = scores.shape[1]
        known = present.any(1) & decided.any(1)
        cells = present.argmax(1)[known] * size + decided.argmax(1)[known]
        return np.bincount(cells, minlength=size * size).reshape(size, size)
    both = (present * decided).sum(0)
    missed, invented = present.sum(0) - both, decided.sum(0) - both
    return np.stack([len(scores) - both - missed - invented, invented, missed, both], axis=-1).reshape(-1, 2, 2)


def decide(scores: np.ndarray, *, exclusive: bool, thresholds: np.ndarray | None = None) -> np.ndarray:
    """The decided classes: bool, N x classes.

    Args:
        exclusive: the highest score decides, the first of equals; no class where a score is no number.
        thresholds: one per class, which a score must be above. Default 0.5.

    Raises:
        MusketError: thresholds for exclusive classes, or not one per class.
    """
    if exclusive:
        if thresholds is not None:
            raise MusketError("thresholds say nothing of exclusive classes (softmax): the highest score decides")
        highest = scores.argmax(1)[:, None] == np.arange(scores.shape[1])
        return highest & ~np.isnan(scores)
    if thresholds is not None and np.shape(thresholds) != scores.shape[1:]:
        raise MusketError(f"there are {np.size(thresholds)} thresholds for {scores.shape[1]} classes")
    return scores > (THRESHOLD if thresholds is None else np.asarray(thresholds))


def best_thresholds(
    truth: np.ndarray, scores: np.ndarray, figure: Literal["f1", "balanced_accuracy"] = "f1"
) -> np.ndarray:
    """The threshold of each class at which ``scores > threshold`` gives the best figure: float64, classes.

    To be searched on predictions of samples that were not trained on, as out-of-fold ones. Tries every way the scores
    can be cut; a threshold lies halfway between the scores on both sides of it, or between the lowest score and 0. Of
    equals the one nearest to 0.5 is taken. A class without positives (for balanced_accuracy: or without negatives), or
    with a score that is not finite, has 0.5.

    Raises:
        MusketError: the shapes do not fit, or the figure is another one.
    """
    if figure not in ("f1", "balanced_accuracy"):
        raise MusketError(f"thresholds can be searched for f1 and balanced_accuracy, not for {figure!r}")
    present = _present(truth, scores, exclusive=False)
    return np.array([_best_threshold(*columns, figure) for columns in zip(present.T, scores.T, strict=True)])


def _best_threshold(truth: np.ndarray, scores: np.ndarray, figure: str) -> float:
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or (figure == "balanced_accuracy" and not negatives) or not np.isfinite(scores).all():
        return THRESHOLD
    levels, hits, alarms = curves.steps(truth, scores.astype(np.float64))
    values = {
        "f1": 2 * hits / (positives + hits + alarms),
        "balanced_accuracy": hits * negatives - alarms * positives,  # times a constant: whole numbers have true equals
    }[figure]
    cuts = (levels + np.append(levels[1:], 0 if levels[-1] > 0 else levels[-1] - 1)) / 2
    best = cuts[values == values.max()]
    return float(best[np.abs(best - THRESHOLD).argmin()])


def _present(truth: np.ndarray, scores: np.ndarray, exclusive: bool) -> np.ndarray:
    """Classes the truth has: bool, N x classes. Raises MusketError when the shapes do not fit."""
    if truth.shape != scores.shape or scores.ndim != 2:
        raise MusketError(
            f"truth has shape {truth.shape} and scores {scores.shape}; both must be samples x classes of one head"
        )
    if not exclusive:
        return truth > THRESHOLD
    return (truth.argmax(1)[:, None] == np.arange(truth.shape[1])) & (truth > 0)
