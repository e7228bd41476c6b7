"""summary.yaml: every fold judged on its own validation part, and all folds together on the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.experiment import inference
from musket.experiment.build import TargetShape
from musket.experiment.data import PreparedData
from musket.metrics.build import MetricSet

if TYPE_CHECKING:
    from musket.config.schema import SegmentationSpec

Scores = dict[str, float]


def summarize(
    spec: SegmentationSpec, layout: Layout, data: PreparedData, folds: Sequence[int], subsample: float
) -> dict[str, Any]:
    """Compute what summary.yaml holds, from the stored weights.

    Per stage, and for the mean prediction of all stages: each metric's mean, max, min and std over folds, and
    ``<metric>_holdout``, the score of the folds' mean prediction on the holdout. Predictions are compared at the
    images' own size, thresholded at 0.5 unless the metric wants probabilities.
    """
    stage_count = len(spec.stages)
    per_fold = [_validation_scores(spec, layout, data, fold) for fold in folds]
    holdout = _holdout_scores(spec, layout, data, folds) if data.holdout else None
    blocks = []
    for block in range(stage_count + 1):
        scores: dict[str, Any] = {
            name: records.statistics(fold[block][name] for fold in per_fold) for name in per_fold[0][block]
        }
        if holdout is not None:
            scores |= {f"{name}_holdout": value for name, value in holdout[block].items()}
        blocks.append(dict(sorted(scores.items())))
    return {
        "completed": True,
        "cfgName": layout.config.name,
        "subsample": subsample,
        "folds": list(folds),
        "stages": blocks[:-1],
        "allStages": blocks[-1],
    }


def _validation_scores(spec: SegmentationSpec, layout: Layout, data: PreparedData, fold: int) -> list[Scores]:
    """Scores of one fold's validation part: one entry per stage, then one for all stages together."""
    stages = range(len(spec.stages))
    model = inference.load(spec, layout, len(data.folds), fold, None)
    groups = [*([stage] for stage in stages), list(stages)]
    return _scores(spec, data, data.folds[fold].validation, model, groups)


def _holdout_scores(spec: SegmentationSpec, layout: Layout, data: PreparedData, folds: Sequence[int]) -> list[Scores]:
    """The same for the holdout, each group being the mean of all folds."""
    stages = len(spec.stages)
    model = inference.load(spec, layout, len(data.folds), list(folds), None)
    members = range(len(model.keys))  # folds outermost, stages within
    groups = [*([member for member in members if member % stages == stage] for stage in range(stages)), list(members)]
    return _scores(spec, data, data.holdout, model, groups)


def _scores(
    spec: SegmentationSpec,
    data: PreparedData,
    positions: Sequence[int],
    model: inference.TrainedModel,
    groups: Sequence[Sequence[int]],
) -> list[Scores]:
    metrics = [MetricSet(spec.metrics, evaluation=True, activation=spec.activation) for _ in groups]
    sources = inference.dataset_sources(data.dataset, data.ids, positions, TargetShape.of(spec), needs_truth=True)
    for scored in model.scored(sources, groups=groups):
        assert scored.truth is not None
        truth = torch.from_numpy(scored.truth.astype("uint8")).permute(2, 0, 1)[None]
        for metric, scores in zip(metrics, scored.scores, strict=True):
            metric.update(truth, torch.from_numpy(scores).permute(2, 0, 1)[None])
    return [metric.compute() for metric in metrics]
