"""What training samples show, and how often they are drawn for it: the key ``sampler``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.core.errors import DataError, MusketError
from musket.data.class_balance import class_sampling_weights, label_groups, told_weights
from musket.data.dataset import read_item, target_of, teller
from musket.data.derived import is_value
from musket.data.head_targets import HeadTargets, by_head, joined
from musket.data.sampling import Shares
from musket.experiment.targets import checked_mask, heads_of, target_vectors

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData


Read = Callable[[Sequence[int]], tuple[HeadTargets, ...]]

_BLOCK = 1024
"""Most target vectors in memory at a time."""


class KnownTargets:
    """Targets by sample, each read at most once (a file may have to be opened for it) and kept small."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._known: tuple[HeadTargets, ...] | None = None

    def of(self, positions: Sequence[int], read: Read) -> tuple[HeadTargets, ...]:
        """Targets of some samples, of each head; ``read`` makes those not known yet, a few at a time."""
        missing = [position for position in dict.fromkeys(positions) if position not in self._row]
        blocks = [read(missing[start : start + _BLOCK]) for start in range(0, len(missing), _BLOCK)]
        if self._known is None:
            self._known = joined(blocks) if blocks else read(())
        elif blocks:
            self._known = joined([self._known, *blocks])
        self._row.update(zip(missing, range(len(self._row), len(self._row) + len(missing)), strict=True))
        rows = np.fromiter((self._row[position] for position in positions), np.int64, len(positions))
        return tuple(head[rows] for head in self._known)

    def copy(self) -> KnownTargets:
        """The same targets, for a dataset that begins with the samples of this one."""
        other = KnownTargets()
        other._row, other._known = dict(self._row), self._known
        return other


def sampling_shares(spec: NetworkSpec, data: PreparedData, how: str | None) -> Callable[[Sequence[int]], Shares] | None:
    """How often the samples of a part are drawn, by a value of the key ``sampler``; None = once each.

    Returns:
        positions -> shares. It raises DataError where the dataset cannot tell.
    """
    return None if how is None else partial(_shares, spec, data, how)


def _shares(spec: NetworkSpec, data: PreparedData, how: str, part: Sequence[int]) -> Shares:
    if how == "weighted":
        weights = told_weights(teller(data.dataset, "sample_weight"), part, data.ids)
        return Shares(weights, np.zeros(len(part), np.int64))
    targets = known_targets(spec, data, part)
    return Shares(class_sampling_weights(targets, how), label_groups(targets))


def known_targets(spec: NetworkSpec, data: PreparedData, positions: Sequence[int]) -> tuple[HeadTargets, ...]:
    """Targets of some samples by head; of masks, as labels, the classes that occur.

    Raises:
        DataError: a target cannot be read or used; names the sample.
    """
    heads = heads_of(spec)
    if heads is None:
        shown = partial(_shown_in_masks, spec, data)
        return data.targets.of(positions, lambda part: by_head(shown(part), (spec.output_channels,), ("sigmoid",)))
    vectors = partial(target_vectors, spec, data)
    return data.targets.of(positions, lambda part: by_head(vectors(part), heads.sizes, heads.activations))


def _shown_in_masks(spec: NetworkSpec, data: PreparedData, positions: Sequence[int]) -> np.ndarray:
    rows = np.zeros((len(positions), spec.output_channels), bool)
    for row, position in zip(rows, positions, strict=True):
        row[:] = _shown(data.dataset, position, data.ids[position], spec.output_channels)
    return rows


def _shown(dataset: Any, position: int, sample: str, classes: int) -> np.ndarray:
    """Which classes occur in a mask, bool."""
    try:
        target = target_of(dataset, position)
        if is_value(target) and classes > 1:  # tells only whether there is an object
            target = read_item(dataset, position, False).y
    except MusketError:
        raise
    except Exception as error:
        raise DataError(f"the mask cannot be read: {type(error).__name__}: {error}", sample=sample) from error
    if target is None:
        raise DataError("there is no mask (y is None); sampler asks which classes it shows", sample=sample)
    if is_value(target):
        return np.array([bool(target)])
    first = target[0] if isinstance(target, list | tuple) else target
    mask = checked_mask(target, sample, np.shape(first)[:2], classes)
    return np.asarray(mask.any(axis=(0, 1)))
