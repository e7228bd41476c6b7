"""Tables of finished predictions: figures of every class, confusion, thresholds. Plain numpy.

Everywhere truth is N x classes, 0/1, and scores are N x classes, activated; N samples of one head. Figures agree with
scikit-learn (``zero_division=0``), and with the metrics of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
    counts = _counts(truth, scores, exclusive, thresholds)
    limits = _limits(scores, exclusive, thresholds)
    rows = []
    columns = zip(names or map(str, range(len(limits))), _present(truth, exclusive), _columns(scores), strict=True)
    for position, (name, of, own) in enumerate(columns):
        support, predicted, both = map(int, counts[:, position])
        steps = None if np.isnan(own).any() else curves.steps(of, own)
        rows.append(
            ClassRow(
                name=name,
                support=support,
                precision=both / max(1, predicted),
                recall=both / max(1, support),
                f1=2 * both / max(1, support + predicted),
                roc_auc=math.nan if steps is None else steps.roc_auc(len(own) - support),
                average_precision=math.nan if steps is None else steps.average_precision(),
                threshold=float(limits[position]),
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
    if exclusive:
        _require_fit(truth, scores)
        _limits(scores, exclusive, thresholds)
        size, actual, found = scores.shape[1], _true_number(truth), _decided_number(scores)
        known = (actual >= 0) & (found >= 0)
        return np.bincount(actual[known] * size + found[known], minlength=size * size).reshape(size, size)
    support, predicted, both = _counts(truth, scores, exclusive, thresholds)
    missed, invented = support - both, predicted - both
    return np.stack([len(scores) - both - missed - invented, invented, missed, both], axis=-1).reshape(-1, 2, 2)


def decide(scores: np.ndarray, *, exclusive: bool, thresholds: np.ndarray | None = None) -> np.ndarray:
    """The decided classes: bool, N x classes.

    Args:
        exclusive: the highest score decides, the first of equals; no class where a score is no number.
        thresholds: one per class, which a score must be above. Default 0.5.

    Raises:
        MusketError: thresholds for exclusive classes, or not one per class.
    """
    limits = _limits(scores, exclusive, thresholds)
    return _decided_number(scores)[:, None] == np.arange(len(limits)) if exclusive else scores > limits


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
    _require_fit(truth, scores)
    columns = zip(_present(truth, exclusive=False), _columns(scores), strict=True)
    return np.array([_best_threshold(of, own, figure) for of, own in columns])


def _best_threshold(truth: np.ndarray, scores: np.ndarray, figure: str) -> float:
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or (figure == "balanced_accuracy" and not negatives) or not np.isfinite(scores).all():
        return THRESHOLD
    steps = curves.steps(truth, scores)
    levels, lower = steps.levels.astype(np.float64), steps.lower.astype(np.float64)
    values = {
        "f1": 2 * steps.hits / (positives + steps.hits + steps.alarms),
        "balanced_accuracy": steps.hits * negatives - steps.alarms * positives,  # times a constant: of whole numbers
    }[figure]
    cuts = (levels + np.where(np.isnan(lower), np.where(levels > 0, 0, levels - 1), lower)) / 2
    best = cuts[values == values.max()]
    return float(best[np.abs(best - THRESHOLD).argmin()])


def _counts(truth: np.ndarray, scores: np.ndarray, exclusive: bool, thresholds: np.ndarray | None) -> np.ndarray:
    """How often each class is true, decided, and both: int64, 3 x classes. Raises MusketError, as :func:`decide`."""
    _require_fit(truth, scores)
    if not exclusive:
        present, decided = truth > THRESHOLD, decide(scores, exclusive=False, thresholds=thresholds)
        return np.stack([np.count_nonzero(which, axis=0) for which in (present, decided, present & decided)])
    actual, found = _true_number(truth), _decided_number(scores)
    each = (actual, found, np.where(actual == found, actual, -1))
    return np.stack([np.bincount(1 + numbers, minlength=1 + scores.shape[1])[1:] for numbers in each])


def _true_number(truth: np.ndarray) -> np.ndarray:
    """The true one of exclusive classes: int64, N; -1 of samples without any."""
    highest = truth.argmax(1)
    return np.where(_at(truth, highest) > 0, highest, -1)


def _decided_number(scores: np.ndarray) -> np.ndarray:
    """The decided one of exclusive classes: int64, N; -1 where a score is no number."""
    highest = scores.argmax(1)  # a nan is the highest
    return np.where(np.isnan(_at(scores, highest)), -1, highest)


def _at(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, classes[:, None], axis=1)[:, 0]


def _present(truth: np.ndarray, exclusive: bool) -> Iterator[np.ndarray]:
    """Of class after class, the samples that have it: bool, N."""
    if exclusive:
        numbers = _true_number(truth)
        return (numbers == position for position in range(truth.shape[1]))
    return (column > THRESHOLD for column in _columns(truth))


def _columns(values: np.ndarray, at_once: int = 64) -> Iterator[np.ndarray]:
    """The columns one by one, each in one piece of memory; some are gathered at a time, for rows lie far apart."""
    for start in range(0, values.shape[1], at_once):
        yield from np.ascontiguousarray(values[:, start : start + at_once].T)


def _limits(scores: np.ndarray, exclusive: bool, thresholds: np.ndarray | None) -> np.ndarray:
    """What scores of each class must be above, nan of exclusive ones: float64. Raises MusketError as :func:`decide`."""
    if thresholds is None:
        return np.full(scores.shape[1], math.nan if exclusive else THRESHOLD)
    if exclusive:
        raise MusketError("thresholds say nothing of exclusive classes (softmax): the highest score decides")
    if np.shape(thresholds) != scores.shape[1:]:
        raise MusketError(f"there are {np.size(thresholds)} thresholds for {scores.shape[1]} classes")
    return np.asarray(thresholds, dtype=float)


def _require_fit(truth: np.ndarray, scores: np.ndarray) -> None:
    """Raises MusketError when the shapes do not fit."""
    if truth.shape != scores.shape or scores.ndim != 2:
        raise MusketError(
            f"truth has shape {truth.shape} and scores {scores.shape}; both must be samples x classes of one head"
        )
