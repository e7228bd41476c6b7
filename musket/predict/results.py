"""Results under the faces that code written for the former framework expects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from musket.predict.runner import Scored


@dataclass(frozen=True)
class Map:
    """A map of scores or truth; ``arr`` is float H x W x classes at the image's size. For numpy it is that array."""

    arr: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.arr.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.arr, dtype=dtype, copy=copy)


@dataclass(frozen=True)
class PredictedBatch:
    """Some predicted samples, in order.

    Attributes:
        data: sample ids.
        images: the images as read; ``images_aug`` is the same list.
        results: scores, H x W x classes each.
        segmentation_maps: truth as maps (empty without truth).
        predicted_maps_aug: scores as maps; ``segmentation_maps_aug`` and ``heatmaps_aug`` are the same list.
    """

    data: list[str]
    images: list[np.ndarray]
    results: list[np.ndarray]
    segmentation_maps: list[Map] = field(default_factory=list)

    @property
    def images_aug(self) -> list[np.ndarray]:
        return self.images

    @property
    def ground_truth(self) -> list[np.ndarray]:
        return [truth.arr for truth in self.segmentation_maps]

    @property
    def predicted_maps_aug(self) -> list[Map]:
        return [Map(scores) for scores in self.results]

    segmentation_maps_aug = predicted_maps_aug
    heatmaps_aug = predicted_maps_aug

    def __len__(self) -> int:
        return len(self.data)


def as_batch(scored: Sequence[Scored]) -> PredictedBatch:
    """Bundle results of one group of members."""
    return PredictedBatch(
        data=[one.id for one in scored],
        images=[one.image for one in scored],
        results=[one.scores[0] for one in scored],
        segmentation_maps=[Map(one.truth.astype(np.float32)) for one in scored if one.truth is not None],
    )


def batches(scored: Iterable[Scored], size: int) -> Iterator[PredictedBatch]:
    """Results as they come, bundled by ``size``."""
    remaining = iter(scored)
    while batch := list(itertools.islice(remaining, size)):
        yield as_batch(batch)
