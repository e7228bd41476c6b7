"""Thresholds searched on predictions: one by a function of items, or one per class by F1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from musket.core.errors import ArtifactError, DataError, MusketError
from musket.experiment import final_metrics, inference
from musket.experiment import predictions as stores
from musket.experiment.inference import Choice
from musket.experiment.judge import Scores
from musket.experiment.label_meaning import refuse_other_labels
from musket.experiment.predictions import Source, out_of_fold, part_of
from musket.experiment.reading import TargetShape
from musket.experiment.run import trained_folds
from musket.experiment.targets import heads_of, target_vectors
from musket.metrics.final import WithTreshold
from musket.metrics.per_class import best_thresholds
from musket.metrics.tally import THRESHOLD

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment

OfItem = Callable[[Any, Any], Any]
"""``f(truth, prediction > threshold)``: both bool and H x W x classes, or vectors of all heads side by side (truth as
numbers where a head gives plain values); a number per item, None or nan leaves it out."""


def best_threshold(experiment: Experiment, source: Source, fold: Choice, stage: Choice, func: OfItem) -> Scores:
    """The best mean of ``func`` over items among the thresholds 0.00 ... 0.99, and the threshold; one pass over items.

    Raises:
        DataError: ``func`` says nothing of any item.
    """
    metric = WithTreshold(func)
    model = inference.load(experiment.spec, experiment.layout, experiment._fold_count(), fold, stage)
    shape = TargetShape.of(experiment.spec)
    samples = inference.dataset_sources(source.dataset, source.ids, range(len(source.ids)), shape, needs_truth=True)
    values = final_metrics.gives_values(experiment.spec)
    for scored in model.scored(samples):
        assert scored.truth is not None
        metric.onItem(scored.scores[0], scored.truth if values else scored.truth > THRESHOLD)
    threshold, score = metric.best()
    if math.isnan(threshold):
        raise DataError(f"the function says nothing of any of the {len(source.ids)} items of {source.name}")
    return {"score": score, "treshold": threshold}


def best_threshold_of_validation(experiment: Experiment, func: OfItem, stage: Choice) -> float:
    """Mean over the trained folds of the best threshold on each fold's own validation part."""
    data = experiment._prepare()
    folds = trained_folds(experiment.spec, experiment.layout, len(data.folds))
    if not folds:
        raise ArtifactError("no fold is trained to its end; train it first (fit)", experiment.layout.folder)
    parts = [part_of(data, data.folds[fold].validation, f"validation{fold}", fold) for fold in folds]
    found = [best_threshold(experiment, part, part.fold, stage, func)["treshold"] for part in parts]
    return math.fsum(found) / len(found)


def best_threshold_of_holdout(experiment: Experiment, func: OfItem, stage: Choice) -> float:
    """The best threshold of the mean prediction of all folds on the holdout. Raises ArtifactError without one."""
    return best_threshold(experiment, stores.source_of(experiment, "holdout"), None, stage, func)["treshold"]


def find_thresholds(
    experiment: Experiment, figure: Literal["f1", "balanced_accuracy"] = "f1", stages: Choice = -1
) -> list[float]:
    """See :meth:`Experiment.find_thresholds`."""
    heads = heads_of(experiment.spec)
    if heads is None:
        raise MusketError(
            "thresholds by class are those of classification; for masks there is find_optimal_treshold_by_validation"
        )
    searched = np.repeat([kind == "labels" for kind in heads.kinds], heads.sizes)
    if not searched.any():
        raise MusketError(
            "no head has classes that count each on its own (activation: sigmoid), so there is nothing to threshold: "
            "of exclusive classes the highest is taken"
        )
    data = experiment._prepare()
    folds = trained_folds(experiment.spec, experiment.layout, len(data.folds))
    keys = inference.choose(experiment.spec, len(data.folds), folds, stages) if folds else []
    refuse_other_labels((experiment.layout.weights(key.fold, key.stage) for key in keys), data.source, experiment.spec)
    found = out_of_fold(experiment, stages, folds)
    positions = {sample: position for position, sample in enumerate(data.ids)}
    truth = target_vectors(experiment.spec, data, [positions[sample] for sample in found.ids])
    thresholds = np.full(len(searched), math.nan)
    thresholds[searched] = best_thresholds(truth[:, searched], found.vectors()[:, searched], figure=figure)
    return thresholds.tolist()


def parted_at_half(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Scores 0..1 stretched on both sides of their thresholds so that exactly those above them are above 0.5.

    Encoders know a single threshold. Those of a nan threshold stay as they are.
    """
    scores = scores.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        above = 0.5 + 0.5 * (scores - thresholds) / (1 - thresholds)
        below = 0.5 * scores / thresholds
    parted = np.where(scores > thresholds, np.maximum(above, np.nextafter(0.5, 1)), np.minimum(below, 0.5))
    return np.where(np.isnan(thresholds), scores, np.nan_to_num(parted, nan=0.5))
