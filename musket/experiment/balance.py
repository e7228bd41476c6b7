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
from musket.data.sampling import Shares
from musket.experiment.targets import checked_mask, heads_of, target_vectors

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.prepare_data import PreparedData


class KnownTargets:
    """Rows of numbers by sample, each read at most once: a file may have to be opened for it."""

    def __init__(self) -> None:
        self._rows: dict[int, np.ndarray] = {}

    def of(self, positions: Sequence[int], read: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
        """The rows of some samples, N x columns; ``read`` makes those not known yet."""
        missing = [position for position in dict.fromkeys(positions) if position not in self._rows]
        if missing:
            self._rows.update(zip(missing, read(missing), strict=True))
        return np.stack([self._rows[position] for position in positions])


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
    heads = heads_of(spec)
    sizes = (spec.output_channels,) if heads is None else heads.sizes
    activations = ("sigmoid",) if heads is None else heads.activations
    targets = known_targets(spec, data, part)
    return Shares(class_sampling_weights(targets, sizes, activations, how), label_groups(targets, sizes, activations))


def known_targets(spec: NetworkSpec, data: PreparedData, positions: Sequence[int]) -> np.ndarray:
    """Targets of some samples, N x outputs, float32: vectors as they are; of masks 1 for every class that occurs.

    Raises:
        DataError: a target cannot be read or used; names the sample.
    """
    read = partial(_shown_in_masks if spec.gives_maps else target_vectors, spec, data)
    return data.targets.of(positions, read)


def _shown_in_masks(spec: NetworkSpec, data: PreparedData, positions: Sequence[int]) -> np.ndarray:
    return np.stack(
        [_shown(data.dataset, position, data.ids[position], spec.output_channels) for position in positions]
    )


def _shown(dataset: Any, position: int, sample: str, classes: int) -> np.ndarray:
    """Which classes occur in a mask, float32 0/1."""
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
        return np.array([bool(target)], np.float32)
    first = target[0] if isinstance(target, list | tuple) else target
    mask = checked_mask(target, sample, np.shape(first)[:2], classes)
    return np.asarray(mask.any(axis=(0, 1)), np.float32)
