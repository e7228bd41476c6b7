"""What tasks and final metrics predict with: an experiment, some of its networks, or the mean of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from musket.core.errors import DataError, MusketError

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment
    from musket.experiment.inference import Choice
    from musket.experiment.predictions import PredictionDataSet
    from musket.predict.heads import Vectors
    from musket.predict.results import PredictedBatch


@runtime_checkable
class Model(Protocol):
    """Anything that predicts datasets."""

    def predict_on_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Iterator[PredictedBatch]:
        """Predictions of a dataset in dataset order, batch by batch."""
        ...


@runtime_checkable
class ConnectedModel(Model, Protocol):
    """A model that knows the data of its experiment, as every :class:`musket.Experiment` does."""

    def predictions(self, name: Any, *args: Any, **kwargs: Any) -> PredictionDataSet:
        """A part of the data by name (``holdout``, ``validation0``, ``oof``) or a dataset, with predictions."""
        ...


@dataclass(frozen=True)
class FoldsAndStages:
    """An experiment seen through some of its networks.

    Attributes:
        wrapped: the experiment.
        folds, stages: whose networks answer; None = all. Several are averaged.
    """

    wrapped: Experiment
    folds: Choice = None
    stages: Choice = None

    @property
    def name(self) -> str:
        """Name of the experiment: that of its folder."""
        return self.wrapped.layout.folder.name

    def predictions(self, name: Any) -> PredictionDataSet:
        """Predictions of a part or dataset, see :func:`musket.experiment.predictions.predictions`.

        Parts of a fold are still those of that fold.
        """
        return self.wrapped.predictions(name, self.folds, self.stages)

    def predict_on_dataset(self, dataset: Any, ttflips: Any = False) -> Iterator[PredictedBatch]:
        """Predictions of a dataset, batch by batch."""
        return self.wrapped.predict_on_dataset(dataset, self.folds, self.stages, ttflips=ttflips)


@dataclass(frozen=True)
class AverageBlend:
    """The mean of what several models predict, sample by sample.

    Attributes:
        models: experiments, or models made of them; one at least.
    """

    models: Sequence[ConnectedModel]

    def __post_init__(self) -> None:
        if not self.models:
            raise MusketError("AverageBlend: name one model at least")

    def predictions(self, name: Any) -> PredictionDataSet:
        """The first model's part or dataset of that name, with the mean of all models' predictions of it.

        Raises:
            DataError: another model has not predicted all of these samples, as with parts of different splits.
        """
        mean, *others = (model.predictions(name) for model in self.models)
        for count, other in enumerate(others, start=1):
            mean = mean.blend(other, count / (count + 1))
        return mean

    def predict_on_dataset(self, dataset: Any, ttflips: Any = False) -> Iterator[PredictedBatch]:
        """Means of predictions, in batches of the first model. The dataset is read once by each model.

        Raises:
            DataError: a name means other samples to another model.
        """
        first, *others = (model.predict_on_dataset(dataset, ttflips=ttflips) for model in self.models)
        theirs = [_one_by_one(batches) for batches in others]
        for batch in first:
            means = [
                _mean(sample, own, [next(results, None) for results in theirs])
                for sample, own in zip(batch.data, batch.results, strict=True)
            ]
            yield replace(batch, results=means)


def _one_by_one(batches: Iterator[PredictedBatch]) -> Iterator[tuple[str, Vectors]]:
    for batch in batches:
        yield from zip(batch.data, batch.results, strict=True)


def _mean(sample: str, own: Vectors, others: Sequence[tuple[str, Vectors] | None]) -> Vectors:
    """The mean result of a sample: an array, or one per head."""
    results = [own]
    for other in others:
        if other is None or other[0] != sample:
            found = "no more sample" if other is None else f"sample {other[0]!r}"
            raise DataError(f"AverageBlend: another model has {found} in its place; blend the same data", sample=sample)
        results.append(other[1])
    if isinstance(own, list):
        return [np.mean(heads, axis=0) for heads in zip(*results, strict=True)]
    return np.mean(results, axis=0)
