"""How rare classes get their share: how often their samples are drawn, and how much they count in a loss.

Heads are told apart by their kind (:func:`musket.core.heads.kind_of`): exclusive classes, one per sample; labels, any
number of them; values, no classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.data.head_targets import HeadTargets

POWERS = {"balanced": 0.0, "sqrt": 0.5}
"""How likely a draw is to show a class: its number of samples to this power (natural shares have 1)."""


def class_sampling_weights(targets: Sequence[HeadTargets], how: str) -> np.ndarray:
    """How likely each sample is to be drawn, so that rare classes are seen more often.

    A draw shows class c, of n_c samples, with a probability proportional to n_c ** q (Kang et al. 2020,
    arXiv:1910.09217, equation 1): q is 0 for ``balanced`` (all classes alike) and 1/2 for ``sqrt`` (halfway to it;
    Mahajan et al. 2018, arXiv:1805.00932). Within a class all samples are alike. Where a sample shows several classes
    the rarest decides, as in the repeat factors of Gupta et al. 2019 (LVIS, arXiv:1908.03195); classes that mostly come
    together with rarer ones are then seen more often than their share. Several heads: the mean of what each asks for;
    heads of numbers are passed over.

    Args:
        targets: of each head, N samples.
        how: ``balanced`` or ``sqrt``.

    Returns:
        N probabilities that sum up to 1.

    Raises:
        DataError: no head has classes.
    """
    power = POWERS[how]
    wanted = [_by_rarest(head, power) for head in targets if head.kind != "values"]
    if not wanted:
        activations = ", ".join(head.activation for head in targets)
        raise DataError(
            f"sampler: {how} goes by classes, and every output gives numbers (activation {activations})"
            "; use sampler: weighted with a dataset that has sample_weight(index), or leave it out"
        )
    return np.mean(wanted, axis=0)


def class_counts(head: HeadTargets) -> np.ndarray:
    """Samples of each class of a head that has classes; of labels one count more, of the samples without any."""
    counts = np.zeros(head.size + (head.kind == "labels"), np.int64)
    for _, classes in head.pairs():
        counts += np.bincount(classes, minlength=len(counts))
    return counts


def _by_rarest(head: HeadTargets, power: float) -> np.ndarray:
    by_class = np.maximum(class_counts(head), 1) ** (power - 1.0)
    rates = np.zeros(len(head))
    for samples, classes in head.pairs():
        np.maximum.at(rates, samples, by_class[classes])
    return rates / rates.sum() if len(rates) else rates


def label_groups(targets: Sequence[HeadTargets]) -> np.ndarray:
    """Samples that show the same classes in all heads have the same number, N numbers from 0."""
    groups = np.zeros(len(targets[0]), np.int64)
    for head in targets:
        if head.kind != "values" and len(head):
            texts = f"S{head.kept.shape[-1]}"  # a row of bytes compares as fast as a number this way
            own = -head.kept if head.kind == "exclusive" else np.ascontiguousarray(head.kept).view(texts).reshape(-1)
            known, numbers = np.unique(own, return_inverse=True)
            groups = np.unique(groups * len(known) + numbers, return_inverse=True)[1]
    return groups


def balanced_class_weights(targets: Sequence[HeadTargets]) -> list[np.ndarray | None]:
    """How much each class counts in a cross-entropy so that rare classes weigh as much as frequent ones.

    A softmax head: n / (K * n_c) for n samples of K classes that occur, the rule of scikit-learn's
    ``class_weight="balanced"``; the mean over the samples is 1. A sigmoid head: negatives / positives of each class,
    how much a positive counts beside a negative (the ``pos_weight`` of torch's BCEWithLogitsLoss). Classes that never
    occur, or in a sigmoid head always do, weigh 1.

    Args:
        targets: of each head, of the training part.

    Returns:
        per head float32 weights of its classes; None for a head of numbers.
    """
    return [None if head.kind == "values" else _weights(head) for head in targets]


def _weights(head: HeadTargets) -> np.ndarray:
    counts = class_counts(head)[: head.size]
    samples = len(head)
    wanted = samples / max(1, np.count_nonzero(counts)) if head.kind == "exclusive" else samples - counts
    weights = wanted / np.maximum(counts, 1)
    return np.where((counts > 0) & (weights > 0), weights, 1).astype(np.float32)


def told_weights(tell: Any, positions: Sequence[int], ids: Sequence[str]) -> np.ndarray:
    """What a dataset's ``sample_weight`` says of some samples, float64.

    Args:
        tell: the method, position -> number; None = the dataset has none.
        ids: of all samples of the dataset.

    Raises:
        DataError: there is no such method, it fails, or gives something else than a number of 0 or more; no weight is
            above 0.
    """
    if tell is None:
        raise DataError(
            "sampler: weighted draws samples by their weights, but the dataset has no method sample_weight(index) (all "
            "parts of a composite one need it, extra_train_data too); add it, or use sampler: balanced"
        )
    weights = np.fromiter((_told(tell, position, ids[position]) for position in positions), float, len(positions))
    if len(weights) and not weights.any():
        raise DataError(f"sampler: weighted: sample_weight is 0 for all {len(weights)} samples; none can be drawn")
    return weights


def _told(tell: Any, position: int, sample: str) -> float:
    try:
        weight = float(tell(position))
    except MusketError:
        raise
    except Exception as error:
        raise DataError(f"sample_weight({position}) failed: {type(error).__name__}: {error}", sample=sample) from error
    if not 0 <= weight < np.inf:
        raise DataError(f"sample_weight({position}) is {weight:g}; it must be a number of 0 or more", sample=sample)
    return weight
