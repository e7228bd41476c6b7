"""Final metrics of an experiment: found by name, shown items, asked after every epoch where the config says so."""

from __future__ import annotations

import contextlib
import importlib
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musket.artifacts.predictions import PredictionWriter
from musket.core.errors import ConfigError, MusketError, Problem, TrainingError
from musket.core.geometry import resize_scores
from musket.core.registry import RegistryError
from musket.experiment.connected import FoldsAndStages
from musket.experiment.predictions import PredictionDataSet, Source, part_of, reopened
from musket.experiment.targets import heads_of
from musket.metrics.catalogue import FINAL_METRICS
from musket.metrics.final import ItemMetric, build_final, flat
from musket.metrics.metric import Metric
from musket.metrics.tally import Tally

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.facade import Experiment
    from musket.experiment.prepare_data import PreparedData

OfDataset = Callable[[Any, Any], Any]
"""``f(connected_model, predictions_dataset) -> number or map``."""


def find_final(experiment: Experiment, name: str) -> Metric | OfDataset:
    """A final metric by name: of the project's modules, of ``imports``, else registered or built in.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        found = build_final(name, None if name in FINAL_METRICS else _own(experiment, name))
    except RegistryError as error:
        place = experiment.spec.place("final_metrics")
        problem = Problem(place.line, place.column, "final_metrics", str(error), place.origin)
        raise ConfigError(experiment.spec.source, [problem]) from None
    if isinstance(found, ItemMetric):
        found.values = gives_values(experiment.spec)
    return found


def gives_values(spec: NetworkSpec) -> bool:
    """Whether a head gives plain values, so that truth is no matter of yes or no."""
    heads = heads_of(spec)
    return heads is not None and "values" in heads.kinds


def _own(experiment: Experiment, name: str) -> Any:
    """A function or class of the project's modules or of ``imports``; None when there is none."""
    if experiment.project is not None and (found := experiment.project.find(name)) is not None:
        return found
    modules = (importlib.import_module(module) for module in experiment.spec.imports)
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


class Cautious(ItemMetric):
    """A user's metric by item that cannot spoil the others: its first error is kept, and it says nothing.

    Args:
        failed: where the error goes, by name.
    """

    def __init__(self, metric: ItemMetric, failed: dict[str, Exception]):
        self.failed = failed
        super().__init__(metric.name, metric.pattern, metric.mode, values=metric.values)

    def measure(self, tally: Tally) -> torch.Tensor:
        if self.name not in self.failed:
            try:
                return super().measure(tally)
            except Exception as error:  # noqa: BLE001 (raised when the summary is safe)
                self.failed[self.name] = error
        return torch.zeros(0)

    def figures(self) -> dict[str, float]:
        if self.name not in self.failed:
            try:
                return super().figures()
            except Exception as error:  # noqa: BLE001 (raised when the summary is safe)
                self.failed[self.name] = error
        return {}


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors of a user's metric, told with its name."""
    try:
        yield
    except MusketError:
        raise
    except Exception as error:
        raise TrainingError(f"final metric {name} failed: {type(error).__name__}: {error}") from error


class OfItems(ItemMetric):
    """A user's metric by item after every epoch: its errors are told with its name."""

    def measure(self, tally: Tally) -> torch.Tensor:
        with _named(self.name):
            return super().measure(tally)

    def figures(self) -> dict[str, float]:
        with _named(self.name):
            return super().figures()


def each_epoch(
    experiment: Experiment, data: PreparedData, positions: Sequence[int], fold: int, stage: int
) -> list[Metric]:
    """The final metrics with ``for_validation``, to be shown the validation part after every epoch.

    Args:
        data: what is trained on.
        positions: the samples, in the order they will be shown.
    """
    model = FoldsAndStages(experiment, fold, stage)
    source = part_of(data, positions, f"validation{fold}", fold)
    folder = experiment.layout.predictions / f"tmp-validation{fold}.{stage}.npy"
    names = [metric.name for metric in experiment.spec.final_metrics if metric.for_validation]
    found = {name: find_final(experiment, name) for name in names}
    metrics: list[Metric] = []
    for name, metric in found.items():
        if isinstance(metric, ItemMetric):
            metrics.append(OfItems(name, metric.pattern, metric.mode, values=metric.values))
        else:
            metrics.append(metric if isinstance(metric, Metric) else EachEpoch(name, metric, model, source, folder))
    return metrics


class EachEpoch(Metric):
    """A metric of a whole dataset of predictions, after an epoch. Meanwhile the predictions lie in a scratch folder.

    Items are those of the dataset; maps are resized from the network's size to that of the masks.
    """

    def __init__(self, name: str, function: OfDataset, model: FoldsAndStages, source: Source, folder: Path):
        self.function = function
        self.model = model
        self.source = source
        self.folder = folder / name
        super().__init__(name)

    def reset(self) -> None:
        super().reset()
        self._writer: PredictionWriter | None = None

    def measure(self, tally: Tally) -> torch.Tensor:
        if self._writer is None:
            self._writer = PredictionWriter(self.folder, "this epoch", None).__enter__()
        for scores in tally.scores:
            self._writer.add(self.source.ids[len(self._writer)], scores.movedim(0, -1).cpu().numpy())
        return torch.zeros(0)

    def figures(self) -> dict[str, float]:
        if self._writer is None:
            return {}
        self._writer.__exit__(None, None, None)
        store = reopened(self.folder, "this epoch")
        kind = _AtMaskSize if self.model.wrapped.spec.gives_maps else PredictionDataSet
        dataset = kind(self.source.dataset, self.source.ids, store.read, self.source.name, self.model.wrapped)
        try:
            with _named(self.name):
                return flat(self.name, self.function(self.model, dataset))
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # others may still have theirs there
                self.folder.parent.rmdir()

    def compute(self) -> float:
        return self.figures().get(self.name, math.nan)

    def state(self) -> torch.Tensor:
        raise TrainingError(f"metric {self.name} looks at a whole dataset and cannot be computed on several devices")


class _AtMaskSize(PredictionDataSet):
    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        if not isinstance(index, slice):
            item.prediction = resize_scores(item.prediction, *np.shape(item.y)[:2])
        return item
