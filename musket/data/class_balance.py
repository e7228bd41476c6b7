"""How rare classes get their share: how often their samples are drawn, and how much they count in a loss.

Targets are N x sum(head_sizes), the heads side by side. Heads are told apart by the kind of their activation
(:func:`musket.core.heads.kind_of`): exclusive classes, one per sample; labels, any number of them; values, no classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.core.heads import kind_of

POWERS = {"balanced": 0.0, "sqrt": 0.5}
"""How likely a draw is to show a class: its number of samples to this power (natural shares have 1)."""


def heads_of_targets(targets: np.ndarray, head_sizes: Sequence[int]) -> list[np.ndarray]:
    """The columns of each head.

    Raises:
        ValueError: there are not as many columns as all heads have.
    """
    if targets.ndim != 2 or targets.shape[1] != sum(head_sizes):
        raise ValueError(f"targets of shape {targets.shape} do not have the {sum(head_sizes)} columns of {head_sizes}")
    return np.split(targets, np.cumsum(head_sizes)[:-1], axis=1)


def shown_classes(targets: np.ndarray, activation: str) -> np.ndarray | None:
    """Which classes of one head every sample shows.

    Args:
        targets: N x classes.
        activation: canonical name.

    Returns:
        bool N x classes, of a sigmoid head with one more column: the samples that show no class are a class of their
        own, as the negatives of a yes-or-no head are. None for a head of numbers.
    """
    kind = kind_of(activation)
    if kind == "exclusive":
        return targets.argmax(axis=1)[:, None] == np.arange(targets.shape[1])
    if kind == "labels":
        shown = targets > 0.5
        return np.column_stack([shown, ~shown.any(axis=1)])
    return None


def class_sampling_weights(
    targets: np.ndarray, head_sizes: Sequence[int], head_activations: Sequence[str], how: str
) -> np.ndarray:
    """How likely each sample is to be drawn, so that rare classes are seen more often.

    A draw shows class c, of n_c samples, with a probability proportional to n_c ** q (Kang et al. 2020,
    arXiv:1910.09217, equation 1): q is 0 for ``balanced`` (all classes alike) and 1/2 for ``sqrt`` (halfway to it;
    Mahajan et al. 2018, arXiv:1805.00932). Within a class all samples are alike. Where a sample shows several classes
    the rarest decides, as in the repeat factors of Gupta et al. 2019 (LVIS, arXiv:1908.03195); classes that mostly come
    together with rarer ones are then seen more often than their share. Several heads: the mean of what each asks for;
    heads of numbers are passed over.

    Args:
        targets: N x sum(head_sizes).
        head_activations: canonical names.
        how: ``balanced`` or ``sqrt``.

    Returns:
        N probabilities that sum up to 1.

    Raises:
        DataError: no head has classes.
    """
    power = POWERS[how]
    wanted = [
        _by_rarest(shown, power)
        for head, activation in zip(heads_of_targets(targets, head_sizes), head_activations, strict=True)
        if (shown := shown_classes(head, activation)) is not None
    ]
    if not wanted:
        raise DataError(
            f"sampler: {how} goes by classes, and every output gives numbers (activation {', '.join(head_activations)})"
            "; use sampler: weighted with a dataset that has sample_weight(index), or leave it out"
        )
    return np.mean(wanted, axis=0)


def _by_rarest(shown: np.ndarray, power: float) -> np.ndarray:
    counts = np.maximum(shown.sum(axis=0), 1)
    rates = (shown * counts ** (power - 1.0)).max(axis=1)
    return rates / rates.sum() if len(rates) else rates


def label_groups(targets: np.ndarray, head_sizes: Sequence[int], head_activations: Sequence[str]) -> np.ndarray:
    """Samples that show the same classes in all heads have the same number, N numbers from 0."""
    shown = [
        part
        for head, activation in zip(heads_of_targets(targets, head_sizes), head_activations, strict=True)
        if (part := shown_classes(head, activation)) is not None
    ]
    if not shown or not len(targets):
        return np.zeros(len(targets), np.int64)
    packed = np.packbits(np.hstack(shown), axis=1)
    return np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)


def balanced_class_weights(
    targets: np.ndarray, head_sizes: Sequence[int], head_activations: Sequence[str]
) -> list[np.ndarray | None]:
    """How much each class counts in a cross-entropy so that rare classes weigh as much as frequent ones.

    A softmax head: n / (K * n_c) for n samples of K classes that occur, the rule of scikit-learn's
    ``class_weight="balanced"``; the mean over the samples is 1. A sigmoid head: negatives / positives of each class,
    how much a positive counts beside a negative (the ``pos_weight`` of torch's BCEWithLogitsLoss). Classes that never
    occur, or in a sigmoid head always do, weigh 1.

    Args:
        targets: N x sum(head_sizes) of the training part.
        head_activations: canonical names.

    Returns:
        per head float32 weights of its classes; None for a head of numbers.
    """
    return [
        _weights(head, activation)
        for head, activation in zip(heads_of_targets(targets, head_sizes), head_activations, strict=True)
    ]


def _weights(targets: np.ndarray, activation: str) -> np.ndarray | None:
    shown = shown_classes(targets, activation)
    if shown is None:
        return None
    samples, classes = targets.shape
    counts = shown[:, :classes].sum(axis=0)
    wanted = samples / max(1, np.count_nonzero(counts)) if kind_of(activation) == "exclusive" else samples - counts
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
