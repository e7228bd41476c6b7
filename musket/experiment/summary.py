"""summary.yaml: every fold judged on its own validation part, and all folds together on the holdout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts import records
from musket.config.logged_figures import bare_figure
from musket.core.errors import ArtifactError, MusketError
from musket.data.dataset import check_rows
from musket.experiment import final_metrics
from musket.experiment import predictions as stores
from musket.experiment.class_names import class_names
from musket.experiment.judge import Group, Judge, Part, Scores
from musket.experiment.leftovers import forget_by_class
from musket.experiment.predictions import PredictionDataSet, Source, part_of
from musket.experiment.prepare_data import PreparedData
from musket.experiment.targets import heads_of
from musket.metrics.catalogue import find_column

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment


@dataclass
class Evaluation:
    """What summary.yaml is to hold, and what a user's own metrics came to grief over.

    Attributes:
        parts: of a classification, what is to be written by class.
        missing: what ``experiment_result`` asks for, where no metric gave it; in words.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    missing: str = ""

    def raise_if_failed(self) -> None:
        """Raises MusketError naming the first metric that failed, or the figure that is missing.

        The summary, without it, is worth writing first.
        """
        for name, error in self.failed.items():
            raise MusketError(
                f"final metric {name} failed: {type(error).__name__}: {error}. Everything is trained, and summary.yaml "
                "is written without it; mend the metric, then createSummary() adds it without training again"
            ) from error
        if self.missing:
            raise MusketError(
                f"{self.missing}. Everything is trained, and summary.yaml is written; mend experiment_result or the "
                "metric, then createSummary() adds it without training again"
            )


def check(experiment: Experiment, data: PreparedData) -> None:
    """Find before training what would stop the evaluation after it.

    Raises:
        ConfigError: a final metric is not there any more.
        ArtifactError: experiment_result asks for a holdout, and there is none.
        DataError: dumpPredictionsToCSV asks for tables of a dataset that cannot write any.
    """
    spec = experiment.spec
    for metric in spec.final_metrics:
        final_metrics.find_final(experiment, metric.name)
    if spec.experiment_result is not None and spec.experiment_result.endswith("_holdout") and not data.holdout:
        raise ArtifactError(
            f"experiment_result is {spec.experiment_result}, but there is no holdout; set testSplit", spec.source
        )
    if spec.dumpPredictionsToCSV:
        check_rows(data.dataset)


def summarize(experiment: Experiment, data: PreparedData, folds: Sequence[int], subsample: float) -> Evaluation:
    """Compute what summary.yaml holds, from the stored weights.

    Per stage, and for the mean prediction of all stages: each figure's mean, max, min and std over folds, and
    ``<figure>_holdout``, that of the folds' mean prediction on the holdout. Predictions are compared at the images' own
    size; metrics are thresholded at 0.5 unless they want probabilities, final metrics as they say. Every image is read
    once, whatever the number of stages and folds, and no more than a few are held.

    Functions of (model, dataset), and tables, get their predictions from disk: stored on the way, as
    :meth:`Experiment.predictions` finds them. Predictions of classification are always stored.
    """
    spec, layout = experiment.spec, experiment.layout
    stages = range(len(spec.stages))
    blocks = [*((stage,) for stage in stages), tuple(stages)]
    result = Evaluation()
    judge = Judge(experiment, data, result.failed)
    per_fold = []
    out_of_fold: list[Part] = []
    for fold in folds:
        groups = [Group((fold,), block) for block in blocks]
        source = part_of(data, data.folds[fold].validation, f"validation{fold}", fold)
        figures, part = judge.scores(source, groups)
        per_fold.append(figures)
        out_of_fold += [] if part is None else [part]
        _dump(experiment, source, "validation", [fold])
    if out_of_fold:
        result.parts.append(_joined("validation", out_of_fold))
    holdout: list[Scores] | None = None
    if data.holdout:
        groups = [Group(tuple(folds), block) for block in blocks]
        source = part_of(data, data.holdout, "holdout")
        alone = [Group((fold,), (stages[-1],)) for fold in folds] if spec.dumpPredictionsToCSV else []
        holdout, part = judge.scores(source, groups, alone)
        result.parts += [] if part is None else [part]
        _dump(experiment, source, "holdout", folds)
    summaries = [
        _block([fold[number] for fold in per_fold], None if holdout is None else holdout[number], result.failed)
        for number in range(len(blocks))
    ]
    result.summary = {
        "completed": True,
        "cfgName": layout.config.name,
        "subsample": subsample,
        "folds": list(folds),
        "experiment_result": _result(experiment, summaries[-1], folds),
        "stages": summaries[:-1],
        "allStages": summaries[-1],
    }
    if spec.experiment_result is not None and result.summary["experiment_result"] is None:
        result.missing = no_figure(f"experiment_result is {spec.experiment_result}", summaries[-1])
    if result.failed:
        result.summary["failed"] = {name: f"{type(error).__name__}: {error}" for name, error in result.failed.items()}
    return result


def _joined(name: str, parts: Sequence[Part]) -> Part:
    """The parts of several folds as one; of a sample in more than one the mean prediction."""
    ids = list(dict.fromkeys(sample for part in parts for sample in part.ids))
    row_of = {sample: row for row, sample in enumerate(ids)}
    rows = np.array([row_of[sample] for part in parts for sample in part.ids])
    given, found = (np.concatenate([getattr(part, side) for part in parts]) for side in ("truth", "scores"))
    truth, scores = np.zeros((2, len(ids), given.shape[1]), np.float32)
    truth[rows] = given
    np.add.at(scores, rows, found)
    return Part(name, ids, truth, scores / np.bincount(rows)[:, None].astype(np.float32))


def write_by_class(experiment: Experiment, data: PreparedData, parts: Sequence[Part]) -> None:
    """Write tables and pictures by class of out-of-fold and holdout predictions, into ``evaluation``.

    Nothing of segmentation, which has no classes of images.

    Raises:
        ArtifactError: a file cannot be written.
    """
    heads = heads_of(experiment.spec)
    if heads is None:
        return
    from musket.report.classes import write_evaluation

    names = class_names(data.source, experiment.spec)
    forget_by_class(experiment.layout)
    for part in parts:
        searched = part.name == "validation"
        folder = experiment.layout.evaluation
        write_evaluation(folder, part.name, part.truth, part.scores, heads, names, thresholds=searched)


def _block(per_fold: Sequence[Scores], holdout: Scores | None, failed: Iterable[str]) -> dict[str, Any]:
    """Figures of one stage, or of all: statistics over the folds that have them, and those of the holdout."""
    names = {name: None for fold in per_fold for name in fold if name not in failed}
    block: dict[str, Any] = {}
    for name in names:
        values = [fold[name] for fold in per_fold if name in fold and not math.isnan(fold[name])]
        block[name] = records.statistics(values or [math.nan])
    block |= {f"{name}_holdout": value for name, value in (holdout or {}).items() if name not in failed}
    return dict(sorted(block.items()))


def no_figure(asked: str, block: Mapping[str, Any]) -> str:
    """The sentence for a figure that is not among those of a summary.

    Args:
        asked: what was asked for, as the begin of the sentence.
        block: the summary's figures of all stages.
    """
    return f"{asked}, but there is no such figure; there are: {', '.join(block) or 'none'}"


def _result(experiment: Experiment, block: dict[str, Any], folds: Sequence[int]) -> dict[str, Any] | None:
    """The figure an experiment is judged by: experiment_result, else the primary metric (on the holdout if any).

    A figure that is only logged (val_loss) is the mean of the folds' best epochs of the last stage.
    """
    spec = experiment.spec
    asked = spec.experiment_result or spec.primary_metric
    bare = bare_figure(asked)
    if asked.endswith("_holdout") or spec.experiment_result is None:
        name = find_column(f"{bare}_holdout", block)
        if name is not None:
            return {"name": name, "value": block[name]}
    name = find_column(bare, block)
    if name is not None:
        return {"name": name, "value": block[name]["mean"]}
    logged, _ = experiment._best_logged(asked)
    best = [one["best"] for one in logged if one["fold"] in folds and one["stage"] == len(spec.stages) - 1]
    return {"name": asked, "value": math.fsum(best) / len(best)} if best else None


def _dump(experiment: Experiment, source: Source, part: str, folds: Sequence[int]) -> None:
    """Truth and predictions of the last stage as CSV, fold by fold, when the config asks for it."""
    if not experiment.spec.dumpPredictionsToCSV:
        return
    last = len(experiment.spec.stages) - 1
    for fold in folds:
        store = stores.stored(experiment, source, fold, last)
        dataset = PredictionDataSet(source.dataset, source.ids, store.read, source.name, experiment)
        for kind in ("gt", "pt"):
            path = experiment.layout.prediction_table(part, fold, last, kind)
            dataset.dump(path, encode_y=kind == "gt")
