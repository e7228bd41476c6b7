"""The part of an experiment that judges: summary, stored predictions, thresholds, truth beside prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from musket.artifacts import records
from musket.core.errors import ArtifactError, MusketError

if TYPE_CHECKING:
    from musket.artifacts.layout import Layout
    from musket.config.schema import NetworkSpec
    from musket.experiment.facade import Experiment
    from musket.experiment.inference import Choice
    from musket.experiment.predictions import PredictionDataSet
    from musket.experiment.prepare_data import PreparedData
    from musket.predict.results import PredictedBatch
    from musket.predict.runner import Scored

OfItem = Callable[[Any, Any], Any]


class Evaluating:
    """Methods of :class:`musket.experiment.facade.Experiment`.

    Args:
        fold: one fold or several, None for all; the mean of several is taken. Methods that look at a fold's own
            validation part (find_treshold, evaluate, evaluateAll) take one, from 0 on.
        stage: one stage or several, None for all, -1 for the last.
        ds: the dataset, or the name of one; None for the config's, or the one last handed to ``fit``.
        negatives: samples without object: "real" or "all", "none", or a number per positive one.
        func: ``f(truth, prediction > threshold)`` -> number of an item, None leaves it out. Both are bool and H x W x
            classes, or vectors of all heads side by side (truth as numbers where a head gives plain values).
    """

    if TYPE_CHECKING:
        spec: NetworkSpec
        layout: Layout

        def _prepare(self, dataset: Any = None) -> PreparedData: ...

        def _on_dataset(self, *args: Any, **kwargs: Any) -> Iterator[Scored]: ...

        @property
        def _self(self) -> Experiment: ...

        @property
        def _head_sizes(self) -> tuple[int, ...] | None: ...

    # -------------------------------------------------------------------------------------------------- summary

    def createSummary(self, foldsToExecute: Sequence[int] | None = None, subsample: float = 1.0) -> dict[str, Any]:
        """Judge the trained folds anew and write summary.yaml; nothing is trained.

        Args:
            foldsToExecute: only these folds. Default: every fold that was trained to its end.
            subsample: recorded in the summary.

        Returns:
            what was written.

        Raises:
            ArtifactError: no fold is trained to its end, or one that is asked for is not.
            DataError: the classes, or ranges of scaled numbers, are not those the folds were trained on.
            MusketError: a metric of the user's failed, or none gave what experiment_result asks for; the summary is
                written without it.
        """
        from musket.experiment.inference import listed
        from musket.experiment.label_meaning import refuse_other_labels
        from musket.experiment.run import trained_folds
        from musket.experiment.state.run_record import note_evaluation
        from musket.experiment.summary import check

        data = self._prepare()
        check(self._self, data)
        trained = trained_folds(self.spec, self.layout, len(data.folds))
        folds = listed("foldsToExecute", foldsToExecute, trained)
        missing = [fold for fold in folds if fold not in trained]
        if missing or not folds:
            which = f"fold {missing[0]} is not" if missing else "no fold is"
            raise ArtifactError(f"{which} trained to its end; train it first (fit)", self.layout.folder)
        stages = range(len(self.spec.stages))
        weights = [self.layout.weights(fold, stage) for fold in folds for stage in stages]
        refuse_other_labels(weights, data.source, self.spec)
        summary = self._summarize(data, folds, subsample)
        note_evaluation(self.spec, self.layout, self._self.project)
        return summary

    generateReports = createSummary

    def _summarize(self, data: PreparedData, folds: Sequence[int], subsample: float) -> dict[str, Any]:
        """Write and return the summary. An error of a user's metric comes after it is safe on disk."""
        from musket.experiment.summary import summarize, write_by_class

        evaluation = summarize(self._self, data, folds, subsample)
        records.write_yaml(self.layout.summary, evaluation.summary)
        for path in (self.layout.in_progress, self.layout.error):
            path.unlink(missing_ok=True)
        write_by_class(self._self, data, evaluation.parts)
        evaluation.raise_if_failed()
        return evaluation.summary

    def result(self) -> float:
        """The figure this experiment is judged by, from its summary.

        That of ``experiment_result`` (``val_`` before it means the mean over folds, ``_holdout`` after it the
        holdout); without that key the primary metric, on the holdout if there is one.

        Raises:
            ArtifactError: there is no summary yet, or it has no such figure.
        """
        summary = records.read_yaml(self.layout.summary)
        judged = summary.get("experiment_result") if isinstance(summary, dict) else None
        if not isinstance(summary, dict) or "experiment_result" not in summary:
            raise ArtifactError("it holds no experiment_result; createSummary() writes it", self.layout.summary)
        if not isinstance(judged, dict):
            from musket.experiment.summary import no_figure

            spec = self.spec
            asked = f"experiment_result is {spec.experiment_result or 'not given'}"
            asked += "" if spec.experiment_result else f" and primary_metric {spec.primary_metric}"
            words = no_figure(asked, summary.get("allStages") or {})
            raise ArtifactError(f"{words}. Name one of them, then createSummary() writes it", self.layout.summary)
        return float(judged["value"])

    def eval_tasks(self) -> None:
        """Run the old per-image tasks of the key ``run_tasks``; see :func:`musket.experiment.tasks.image_tasks`.

        Raises:
            MusketError: a function is not there, or fails; in words.
        """
        from musket.experiment.tasks.image_tasks import run_image_tasks

        run_image_tasks(self._self)

    # --------------------------------------------------------------------------------------- stored predictions

    def predictions(self, name: Any, fold: Choice = None, stage: Choice = None) -> PredictionDataSet:
        """Dataset whose items carry ``.prediction``, from disk as far as it belongs to the weights of today.

        Args:
            name: ``holdout``, ``validation`` or ``validationN``, ``train`` or ``trainN``, an entry of ``datasets``, a
                dataset, or ``oof``: every sample outside the holdout, predicted by the folds that did not train on it.
        """
        from musket.experiment.predictions import predictions

        return predictions(self._self, name, fold, stage)

    def predict_all_to_dataset(
        self,
        dataset: Any,
        fold: Choice = None,
        stage: Choice = None,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        dsPath: str | Path | None = None,
        cacheModel: bool = False,
        verbose: int = 1,
    ) -> PredictionDataSet:
        """Predict a dataset anew into files, and return it with ``.prediction`` on its items.

        Args:
            dataset: a dataset, or the name of one.
            limit: at most this many items; -1 for all.
            dsPath: folder of the files. Default ``predictions/NAME[stages]folds.npy`` of the experiment, with a few
                characters behind the name for a dataset of one's own, for a limit, and for views.
            cacheModel: no effect; networks are loaded for the call.
            verbose: 0 shows no progress.
        """
        from musket.experiment.predictions import predict_all

        folder = None if dsPath is None else Path(dsPath)
        track = _bar if verbose else _silent
        return predict_all(self._self, dataset, fold, stage, limit, batch_size, ttflips, folder, track)

    # ------------------------------------------------------------------------------------------------ thresholds

    def find_treshold(self, ds: Any, fold: int, func: OfItem, stage: Choice = 0) -> dict[str, float]:
        """The threshold 0.00 ... 0.99 with the best mean of ``func`` over a fold's validation part.

        Returns:
            ``{"score": ..., "treshold": ...}``; the lowest threshold of equals.

        Raises:
            ArtifactError: there is no such fold, or several are asked for.
        """
        from musket.experiment.predictions import fold_of, part_of
        from musket.experiment.thresholds import best_threshold

        data = self._prepare(ds)
        fold = fold_of(data, fold)
        part = part_of(data, data.folds[fold].validation, f"validation{fold}", fold)
        return best_threshold(self._self, part, fold, stage, func)

    def find_optimal_treshold_by_validation(self, func: OfItem, stages: Choice = None) -> float:
        """Mean over folds of the best threshold on each fold's own validation part."""
        from musket.experiment.thresholds import best_threshold_of_validation

        return best_threshold_of_validation(self._self, func, stages)

    def find_optimal_treshold_by_holdout(self, func: OfItem, stages: Choice = None) -> float:
        """The best threshold of the mean prediction of all folds on the holdout."""
        from musket.experiment.thresholds import best_threshold_of_holdout

        return best_threshold_of_holdout(self._self, func, stages)

    def find_thresholds(self, figure: Literal["f1", "balanced_accuracy"] = "f1", stages: Choice = -1) -> list[float]:
        """The best threshold for every class of a classification, on the out-of-fold predictions of the trained folds.

        Args:
            figure: what is to be highest: f1, or balanced_accuracy, the mean of the recalls of both sides.
            stages: default the last one, as in ``submit``.

        Returns:
            a threshold per class of all heads, side by side; nan for heads whose classes exclude each other (softmax)
            or that give plain values.

        Raises:
            ArtifactError: no fold is trained to its end.
            MusketError: of masks, or of an experiment without a head whose classes count each on its own.
        """
        from musket.experiment.thresholds import find_thresholds

        return find_thresholds(self._self, figure, stages)

    # ------------------------------------------------------------------------------------ truth beside prediction

    def evaluate(
        self, ds: Any, fold: int, stage: Choice, negatives: Any = "all", limit: int = 16
    ) -> Iterator[PredictedBatch]:
        """The first ``limit`` samples of a fold's validation part (-1: all), as :meth:`evaluateAll` gives them."""
        yield from self._judged(ds, fold, stage, negatives, False, None, limit)

    def evaluateAll(
        self,
        ds: Any,
        fold: int,
        stage: Choice = -1,
        negatives: Any = "real",
        ttflips: Any = None,
        batchSize: int | None = None,
    ) -> Iterator[PredictedBatch]:
        """The whole validation part of a fold once, in the order of :meth:`predictions`: truth and prediction by batch.

        Maps are at the images' own size. Of classification ``results`` and ``ground_truth`` hold a vector per sample,
        of several heads a list of vectors.

        Raises:
            ArtifactError: there is no such fold, or several are asked for.
        """
        yield from self._judged(ds, fold, stage, negatives, ttflips, batchSize, -1)

    def evaluate_all_to_arrays(
        self,
        ds: Any,
        fold: int,
        stage: Choice = -1,
        negatives: Any = "real",
        ttflips: Any = None,
        batchSize: int | None = None,
    ) -> tuple[Any, Any]:
        """What :meth:`evaluateAll` gives, as arrays.

        Returns:
            predictions and labels, both float32: of classification N x classes, of several heads lists of these; of
            segmentation N x H x W x classes.

        Raises:
            ArtifactError: there is no such fold, or several are asked for.
            MusketError: maps of different sizes.
        """
        from musket.experiment.inference import as_arrays

        pairs = [
            (one.scores[0], one.truth.astype("float32"))
            for one in self._scored(ds, fold, stage, negatives, ttflips, batchSize, -1)
            if one.truth is not None
        ]
        if len({scores.shape for scores, _ in pairs}) > 1:
            raise MusketError(
                "maps of different sizes make no single array; use evaluateAll, which gives them by batch"
            )
        scores, truth = ([pair[side] for pair in pairs] for side in (0, 1))
        return as_arrays(scores, self._head_sizes), as_arrays(truth, self._head_sizes)

    def _judged(
        self, ds: Any, fold: int, stage: Choice, negatives: Any, ttflips: Any, batch_size: int | None, limit: int
    ) -> Iterator[PredictedBatch]:
        from musket.experiment.inference import batch_of
        from musket.predict.results import batches

        size = batch_of(self.spec, batch_size)
        scored = self._scored(ds, fold, stage, negatives, ttflips, size, limit)
        yield from batches(scored, size, self._head_sizes)

    def _scored(
        self, ds: Any, fold: int, stage: Choice, negatives: Any, ttflips: Any, batch_size: int | None, limit: int
    ) -> Iterator[Scored]:
        """A fold's validation part in its own order, predicted, with its truth."""
        from musket.data.sampling import part_order
        from musket.experiment.inference import choose
        from musket.experiment.label_meaning import refuse_other_labels
        from musket.experiment.predictions import fold_of

        data = self._prepare(ds)
        fold = fold_of(data, fold)
        validation = data.folds[fold].validation
        chosen = set(part_order(validation, negatives, data.is_positive))
        part = data.subset([position for position in validation if position in chosen], f"validation{fold}")
        keys = choose(self.spec, len(data.folds), fold, stage)
        weights = (self.layout.weights(key.fold, key.stage) for key in keys)
        refuse_other_labels((path for path in weights if path.exists()), data.source, self.spec)
        return self._on_dataset(part, fold, stage, limit, batch_size, ttflips, needs_truth=True)


def _silent(items: Iterable[Any], count: int) -> Iterable[Any]:
    return items


def _bar(items: Iterable[Any], count: int) -> Iterable[Any]:
    """A bar on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import track

    console = Console()
    return track(items, "predicting", total=count, console=console, disable=not console.is_terminal)
