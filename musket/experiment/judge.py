"""Figures of trained networks on a part of the data; what they predict is stored on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from musket.artifacts.predictions import PredictionWriter, image_mark
from musket.config.logged_figures import bare_figure
from musket.core.errors import ConfigError
from musket.experiment import build, final_metrics, inference
from musket.experiment import predictions as stores
from musket.experiment.connected import FoldsAndStages
from musket.experiment.inference import MemberKey
from musket.experiment.predictions import PredictionDataSet, Source
from musket.experiment.prepare_data import PreparedData
from musket.experiment.reading import TargetShape
from musket.metrics.build import MetricSet
from musket.metrics.catalogue import METRICS, find_column
from musket.metrics.final import ItemMetric, flat
from musket.metrics.metric import Metric

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment

Scores = dict[str, float]

_AT_ONCE = 2**24
"""Most numbers of vectors, samples x classes, shown to metrics at a time; some metrics make several arrays of them."""


@dataclass(frozen=True)
class Group:
    """Networks whose mean prediction is judged."""

    folds: tuple[int, ...]
    stages: tuple[int, ...]

    @property
    def keys(self) -> list[MemberKey]:
        return [MemberKey(fold, stage) for fold in self.folds for stage in self.stages]


@dataclass(frozen=True)
class Part:
    """Truth and scores of some samples of a classification, the scores being the mean of all stages.

    Attributes:
        name: ``validation`` or ``holdout``.
        truth, scores: samples x classes of all heads, float32.
    """

    name: str
    ids: Sequence[str]
    truth: np.ndarray
    scores: np.ndarray


class Judge:
    """Judges parts of the data; everything is built afresh for every part and group."""

    def __init__(self, experiment: Experiment, data: PreparedData, failed: dict[str, Exception]):
        self.experiment = experiment
        self.data = data
        self.failed = failed
        spec = experiment.spec
        names = [metric.name for metric in spec.final_metrics]
        bare = None if spec.experiment_result is None else bare_figure(spec.experiment_result)
        extra = bare is not None and bare in METRICS and find_column(bare, spec.metrics) is None
        self.metrics = [*spec.metrics, *([bare] if extra and bare else [])]
        if bare is not None and bare not in (*names, "loss") and bare not in METRICS and _is_final(experiment, bare):
            names.append(bare)
        self.names = names
        found = {name: final_metrics.find_final(experiment, name) for name in names}
        self.functions = {name: metric for name, metric in found.items() if not isinstance(metric, Metric)}

    def scores(
        self, source: Source, groups: Sequence[Group], alone: Sequence[Group] = ()
    ) -> tuple[list[Scores], Part | None]:
        """Figures of each group on a part of the data; of vectors also truth and scores of the last group.

        Args:
            alone: groups whose predictions are stored without being judged.
        """
        experiment, spec = self.experiment, self.experiment.spec
        judged = list(dict.fromkeys(groups))  # of a single stage the mean of all stages is the same group
        every = list(dict.fromkeys([*judged, *alone]))
        stored = every if self.functions or spec.dumpPredictionsToCSV or not spec.gives_maps else []
        keys = list(dict.fromkeys(key for group in every for key in group.keys))
        model = inference.TrainedModel(spec, experiment.layout, keys)
        metrics = [self._metrics() for _ in judged]
        shown = _Maps(metrics) if spec.gives_maps else _Vectors(metrics, len(source.ids))
        positions = range(len(source.ids))
        samples = inference.dataset_sources(
            source.dataset, source.ids, positions, TargetShape.of(spec), needs_truth=True
        )
        writers = [self._writer(source, group) for group in stored]
        with contextlib.ExitStack() as stack:
            for writer in writers:
                stack.enter_context(writer)
            members = [[keys.index(key) for key in group.keys] for group in every]
            for scored in model.scored(samples, groups=members):
                assert scored.truth is not None
                shown.add(scored.truth, scored.scores)
                mark = image_mark(scored.image) if writers else None
                for writer, scores in zip(writers, scored.scores, strict=False):
                    writer.add(scored.id, scores, mark)
        found = dict(zip(judged, shown.figures(), strict=True))
        for group, writer in zip(judged, writers, strict=False) if self.functions else ():
            store = stores.reopened(writer.folder, writer.digest)
            dataset = PredictionDataSet(source.dataset, source.ids, store.read, source.name, experiment)
            found[group] |= self._of_dataset(dataset, group)
        part = None
        if isinstance(shown, _Vectors):
            part = Part(source.name, source.ids, shown.truth, shown.scores_of(judged.index(groups[-1])))
        return [found[group] for group in groups], part

    def _metrics(self) -> MetricSet:
        found = [final_metrics.find_final(self.experiment, name) for name in self.names if name not in self.functions]
        cautious = [final_metrics.Cautious(one, self.failed) if isinstance(one, ItemMetric) else one for one in found]
        also = [metric for metric in cautious if isinstance(metric, Metric)]
        return build.build_metrics(self.experiment.spec, self.data.source, self.metrics, evaluation=True, also=also)

    def _writer(self, source: Source, group: Group) -> PredictionWriter:
        folder = stores.folder_of(self.experiment, source, group.keys)
        return PredictionWriter(
            folder, stores.digest(self.experiment, source, group.keys), stores.scale(self.experiment)
        )

    def _of_dataset(self, dataset: PredictionDataSet, group: Group) -> Scores:
        """What functions of (model, dataset) say; an error is kept, and the function not asked again."""
        figures: Scores = {}
        for name, function in self.functions.items():
            if name in self.failed:
                continue
            model = FoldsAndStages(self.experiment, _one_or_all(group.folds), _one_or_all(group.stages))
            try:
                figures |= flat(name, function(model, dataset))
            except Exception as error:  # noqa: BLE001 (raised when the summary is safe)
                self.failed[name] = error
        return figures


def _is_final(experiment: Experiment, name: str) -> bool:
    """Whether a final metric has this very name; else it is a further figure, ``<metric>_<key>``, of another one."""
    try:
        final_metrics.find_final(experiment, name)
    except ConfigError:
        return False
    return True


class _Maps:
    """Shows maps to the metrics of every group, one image at a time, for they differ in size."""

    def __init__(self, metrics: Sequence[MetricSet]):
        self.metrics = metrics

    def add(self, truth: np.ndarray, scores: Sequence[np.ndarray]) -> None:
        """Take in a sample: its mask, and its map by every group."""
        mask = torch.from_numpy(truth.astype("uint8")).permute(2, 0, 1)[None]
        for metric, one in zip(self.metrics, scores, strict=False):
            metric.update(mask, torch.from_numpy(one).permute(2, 0, 1)[None])

    def figures(self) -> list[Scores]:
        """What the metrics of each group say."""
        return [metric.compute() for metric in self.metrics]


class _Vectors:
    """Gathers vectors and shows them to the metrics of every group many at once; one by one would take far longer.

    It holds the truth and the scores by each group, 4 bytes a number: 400 MB each for 100,000 samples of 1,000 classes.
    """

    def __init__(self, metrics: Sequence[MetricSet], count: int):
        self.metrics = metrics
        self._count = count
        self._shown = 0
        self._gathered = [np.zeros((count, 0), np.float32) for _ in range(1 + len(metrics))]

    def add(self, truth: np.ndarray, scores: Sequence[np.ndarray]) -> None:
        """Take in a sample: its target, and its vector by every group."""
        if not self._shown:
            self._gathered = [np.empty((self._count, len(truth)), np.float32) for _ in self._gathered]
        for gathered, one in zip(self._gathered, (truth, *scores), strict=False):
            gathered[self._shown] = one
        self._shown += 1

    @property
    def truth(self) -> np.ndarray:
        """Targets, samples x classes."""
        return self._gathered[0][: self._shown]

    def scores_of(self, group: int) -> np.ndarray:
        """Vectors by a group, samples x classes."""
        return self._gathered[1 + group][: self._shown]

    def figures(self) -> list[Scores]:
        """What the metrics of each group say."""
        step = max(1, _AT_ONCE // max(1, self.truth.shape[1]))
        for group, metric in enumerate(self.metrics):
            for start in range(0, self._shown, step):
                part = slice(start, start + step)  # copies: metrics may be the user's own, and these go into tables
                metric.update(torch.tensor(self.truth[part]), torch.tensor(self.scores_of(group)[part]))
        return [metric.compute() for metric in self.metrics]


def _one_or_all(numbers: Sequence[int]) -> int | list[int]:
    return numbers[0] if len(numbers) == 1 else list(numbers)
