"""Results under the faces that code written for the former framework expects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from musket.predict.heads import at_face
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
        results: scores of each sample: a map H x W x classes, a vector, or a list of vectors, one per head.
        ground_truth: truth in the same form, as float32 (empty without truth).
    """

    data: list[str]
    images: list[np.ndarray]
    results: list[Any]
    ground_truth: list[Any] = field(default_factory=list)

    @property
    def images_aug(self) -> list[np.ndarray]:
        return self.images

    def __len__(self) -> int:
        return len(self.data)


class PredictedMaps(PredictedBatch):
    """A batch whose scores are maps.

    Attributes:
        segmentation_maps: truth as maps (empty without truth).
        predicted_maps_aug: scores as maps; ``segmentation_maps_aug`` and ``heatmaps_aug`` are the same list.
    """

    @property
    def segmentation_maps(self) -> list[Map]:
        return [Map(truth) for truth in self.ground_truth]

    @property
    def predicted_maps_aug(self) -> list[Map]:
        return [Map(scores) for scores in self.results]

    segmentation_maps_aug = predicted_maps_aug
    heatmaps_aug = predicted_maps_aug


def as_batch(scored: Sequence[Scored], head_sizes: Sequence[int] | None = None) -> PredictedBatch:
    """Bundle results of one group of members.

    Args:
        head_sizes: classes of each head where the scores are vectors; None for maps.
    """
    kind = PredictedMaps if head_sizes is None else PredictedBatch
    return kind(
        data=[one.id for one in scored],
        images=[one.image for one in scored],
        results=[at_face(one.scores[0], head_sizes) for one in scored],
        ground_truth=[at_face(one.truth.astype(np.float32), head_sizes) for one in scored if one.truth is not None],
    )


def batches(scored: Iterable[Scored], size: int, head_sizes: Sequence[int] | None = None) -> Iterator[PredictedBatch]:
    """Results as they come, bundled by ``size``; see :func:`as_batch`."""
    remaining = iter(scored)
    while batch := list(itertools.islice(remaining, size)):
        yield as_batch(batch, head_sizes)
