"""The experiment as users hold it: parse a config, fit, look at results, predict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import ArtifactError, MusketError
from musket.core.runtime import silence_telemetry

if TYPE_CHECKING:
    from musket.config.schema import ExperimentSpec
    from musket.experiment.data import PreparedData
    from musket.experiment.inference import Choice, TrainedModel
    from musket.experiment.project import Project
    from musket.predict.results import Map, PredictedBatch
    from musket.predict.runner import Failures, Scored
    from musket.training.lr_finder import LRFinder

OnPredict = Callable[[str, "Map", Any], object]


class Experiment:
    """One experiment: its checked config and the folder its results lie in.

    Attributes:
        spec: the checked config, frozen.
        layout: where its files are.
        project: the project it belongs to, if any.
    """

    def __init__(self, spec: ExperimentSpec, project: Project | None = None):
        from musket.config.schema import SegmentationSpec

        if not isinstance(spec, SegmentationSpec):
            raise MusketError(f"{spec.source}: not available yet: {spec.dialect} experiments")
        self.spec = spec
        self.project = project
        self.layout = Layout(spec.source.absolute())  # user code may change the working directory
        self.resume = False
        self.accept_changes = False
        self._dataset: Any = None
        self._prepared: PreparedData | None = None

    @classmethod
    def from_spec(cls, spec: ExperimentSpec, project: Project | None = None) -> Experiment:
        return cls(spec, project)

    def __repr__(self) -> str:
        return f"Experiment({str(self.spec.source)!r})"

    # ------------------------------------------------------------------------------------------------- training

    def setAllowResume(self, resume: bool, accept_changes: bool = False) -> None:
        """Let :meth:`fit` go on where an interrupted run stopped.

        Args:
            accept_changes: go on even though the config was edited in a way that makes it another run.
        """
        self.resume = resume
        self.accept_changes = accept_changes

    def fit(
        self,
        dataset: Any = None,
        subsample: float = 1.0,
        foldsToExecute: Sequence[int] | None = None,
        start_from_stage: int = 0,
        rerun: bool = False,
    ) -> dict[str, Any]:
        """Train all folds through all stages, then write and return the summary.

        Args:
            dataset: anything with ``__len__`` and ``__getitem__`` giving PredictionItems; default: the config's own.
            subsample: share of the training items each epoch sees, above 0 up to 1.
            foldsToExecute: only these folds.
            start_from_stage: skip the stages before it and start from their best weights.
            rerun: train a finished experiment again; its summary goes once data and config have been found good.

        Returns:
            what was written to summary.yaml.

        Raises:
            AlreadyFinished: summary.yaml exists, and rerun is not asked for.
            MusketError: bad config, bad data, NaN loss, full disk ... in words.
        """
        from musket.experiment import run
        from musket.experiment.evaluate import summarize
        from musket.experiment.unit import FitContext, FitOptions
        from musket.report.samples import draw_triples, write_jpg
        from musket.report.tables import summary_table
        from musket.training.display import logged_to

        _check_subsample(subsample)
        options = FitOptions(self.resume, self.accept_changes, foldsToExecute, start_from_stage, subsample, rerun)
        self._refuse_unavailable()
        self._prepared = None  # the dataset may have grown since it was last looked at
        console = _console(quiet=not self.spec.verbose)

        def picture(path: Path, samples: tuple[Any, Any, Any]) -> None:
            write_jpg(path, draw_triples(*samples))

        with run.failures_recorded(self.layout), logged_to(console):
            data = self._prepare(dataset)
            run.check_unfinished(self.spec, self.layout, options, len(data.folds))
            fabric = run.local_fabric(self.spec)
            console.print(f"{self.layout.config}: {data.describe()}; {run.device_name(fabric)}", highlight=False)
            run.fit(FitContext(self.spec, self.layout, data, options, fabric, console, picture))
            folds = run.trained_folds(self.spec, self.layout, len(data.folds))
            summary = summarize(self.spec, self.layout, data, folds, subsample)
            records.write_yaml(self.layout.summary, summary)
            self.layout.in_progress.unlink(missing_ok=True)
        console.print(summary_table(summary))
        console.print(f"results in {self.layout.folder}", highlight=False)
        return summary

    def lr_find(
        self,
        ds: Any = None,
        foldsToExecute: Sequence[int] | None = None,
        stage: int = 0,
        subsample: float = 1.0,
        start_lr: float = 1e-6,
        end_lr: float = 1.0,
        epochs: int = 5,
    ) -> LRFinder:
        """Search for a learning rate: train a while with a rate that grows from batch to batch.

        Uses the network, batches, loss and clipping of a fit, and leaves its results alone.

        Args:
            ds: as in :meth:`fit`.
            foldsToExecute: the first of these folds is used; default: fold 0.
            stage: whose loss and frozen parts count; after the first one the best weights of the stage before are
                needed.
            subsample: share of the training items each epoch sees, above 0 up to 1.
            start_lr, end_lr: rates to search; the rate grows by ``(end_lr / start_lr) ** (1 / batches)`` a batch.
            epochs: passes over the training part at most. A loss that is no number, or above four times the best one,
                ends the search.

        Returns:
            the finder: ``lrs``, ``losses``, ``best_loss``, ``suggestion``, ``plot_loss()``, ``plot_loss_change()``.

        Raises:
            MusketError: bad config, bad data, a range that is none ... in words.
        """
        from musket.experiment import run
        from musket.experiment.lr_search import search_rate
        from musket.experiment.unit import FitContext, FitOptions

        _check_subsample(subsample)
        self._refuse_unavailable()
        console = _console(quiet=not self.spec.verbose)
        options = FitOptions(folds=foldsToExecute, subsample=subsample)
        data, fabric = self._prepare(ds), run.local_fabric(self.spec)
        context = FitContext(self.spec, self.layout, data, options, fabric, console, lambda path, samples: None)
        return search_rate(context, stage, start_lr, end_lr, epochs)

    def _refuse_unavailable(self) -> None:
        from musket.config.check import refuse_unavailable

        refuse_unavailable(self.spec)

    # ----------------------------------------------------------------------------------------------------- data

    def get_dataset(self, name: str | None = None) -> Any:
        """The config's dataset, or ``train``/``validation`` (fold 0), ``holdout``, or an entry of ``datasets``."""
        if name in ("train", "validation", "holdout") and name not in self.spec.datasets:
            return getattr(self, name)()
        if name is not None:
            return self._build_dataset(name)
        if self._dataset is None:
            self._dataset = self._build_dataset(None)
        return self._dataset

    def _build_dataset(self, name: str | None) -> Any:
        from musket.experiment.build import build_dataset
        from musket.experiment.data import dataset_factory

        folder = self.project.data if self.project is not None else None
        if self.spec.datasets_path is not None:
            folder = self.layout.folder / self.spec.datasets_path
        return build_dataset(self.spec, dataset_factory(self.spec, self.project), name, folder)

    def _prepare(self, dataset: Any = None) -> PreparedData:
        from musket.experiment.data import prepare

        if dataset is None or isinstance(dataset, str):
            dataset = self.get_dataset(dataset)
        # Ids of a dataset that cannot tell them are read item by item, so they are asked for once.
        if self._prepared is None or self._prepared.dataset is not dataset:
            self._prepared = prepare(self.spec, self.layout, dataset, self.project)
        return self._prepared

    def holdout(self, ds: Any = None) -> Any:
        """The samples kept out of every fold. Raises ArtifactError when the config cuts none off."""
        data = self._prepare(ds)
        if not data.holdout:
            raise ArtifactError("this experiment has no holdout; set testSplit", self.layout.config)
        return data.subset(data.holdout, "holdout")

    def train_without_holdout(self, ds: Any = None) -> Any:
        """All samples but the holdout."""
        data = self._prepare(ds)
        kept = set(data.holdout)
        return data.subset([position for position in range(len(data.ids)) if position not in kept], "train")

    def validation(self, ds: Any = None, foldNum: int = 0) -> Any:
        """The validation part of a fold."""
        data = self._prepare(ds)
        return data.subset(data.folds[foldNum].validation, f"validation{foldNum}")

    def train(self, ds: Any = None, foldNum: int = 0) -> Any:
        """The training part of a fold."""
        data = self._prepare(ds)
        return data.subset(data.folds[foldNum].train, f"train{foldNum}")

    # -------------------------------------------------------------------------------------------------- results

    def info(self, metric: str | None = None) -> list[dict[str, Any]]:
        """Best value of ``metric`` (default: the primary one) per trained fold and stage, and the smallest rate used.

        Returns:
            records ``{fold, stage, best, lr}``; best is the maximum or minimum, as the metric's direction says.
        """
        from musket.experiment.unit import primary_monitor
        from musket.metrics.catalogue import direction, find_column

        name = metric or self.spec.primary_metric
        mode = primary_monitor(self.spec).mode if name == self.spec.primary_metric else direction(name)
        best = min if mode == "min" else max
        found = []
        for fold, stage in itertools.product(range(self._fold_count()), range(len(self.spec.stages))):
            path = self.layout.metrics(fold, stage)
            if not path.exists():
                continue
            rows = records.read_rows(path)
            column = find_column(name, rows[0]) if rows else None
            values = [row[column] for row in rows if column is not None and not math.isnan(row[column])]
            if values:
                lr = min(row["lr"] for row in rows)
                found.append({"fold": fold, "stage": stage, "best": best(values), "lr": lr})
        return found

    def _fold_count(self) -> int:
        """Folds as they were split, or as the config says where nothing was split yet."""
        from musket.artifacts.splits import stored_fold_count

        return stored_fold_count(self.layout) or self.spec.folds_count

    def createNet(self) -> Any:
        """The network as a torch module giving logits, freshly drawn or with pretrained encoder weights."""
        from musket.experiment.build import build_model

        return build_model(self.spec)

    def load_model(self, fold: Choice = 0, stage: Choice = -1) -> TrainedModel:
        """Networks with their best weights; lists (or None = all) give an ensemble. Has ``predict(images)``."""
        from musket.experiment.inference import load

        return load(self.spec, self.layout, self._fold_count(), fold, stage)

    # ----------------------------------------------------------------------------------------------- prediction

    def predict_in_directory(
        self,
        spath: Any,
        fold: Choice,
        stage: Any = -1,
        cb: Any = None,
        data: Any = None,
        limit: int = -1,
        batchSize: int | None = None,
        ttflips: Any = False,
    ) -> None:
        """Call ``cb(file_name, map, data)`` once for every image of a folder; ``map.arr`` holds H x W x classes scores.

        The stage may be left out, as in ``predict_in_directory(path, [0, 1], cb, data)``: then the last one is used.

        Raises:
            DataError: some files could not be predicted; raised at the end, when all others are done.
        """
        from musket.predict.results import Map

        if callable(stage):
            stage, cb, data = -1, stage, cb
        if not callable(cb):
            raise MusketError("predict_in_directory needs a function to call: cb(file_name, map, data)")
        with _reported() as failures:
            for scored in self._in_directory(spath, fold, stage, limit, batchSize, ttflips, failures):
                cb(scored.id, Map(scored.scores[0]), data)

    def predict_to_directory(
        self,
        spath: Any,
        tpath: str | Path,
        fold: Choice = 0,
        stage: Choice = 0,
        limit: int = -1,
        batchSize: int | None = None,
        binaryArray: bool = False,
        ttflips: Any = False,
    ) -> None:
        """Write a prediction per image of a folder: ``NAME.png`` (255 x score), or ``NAME.npy`` with binaryArray.

        NAME is the image's name up to its first dot.

        Raises:
            MusketError: two images would be written to one file; raised before anything is predicted.
            DataError: some files could not be predicted; raised at the end, when all others are done.
        """
        from musket.data.folders import DirectoryDataSet
        from musket.predict.sinks import write_npy, write_png

        folder, dataset = Path(tpath), DirectoryDataSet(spath)
        written: dict[str, str] = {}
        for image in dataset.sample_ids():
            other = written.setdefault(_stem(image), image)
            if other != image:
                raise MusketError(
                    f"{other} and {image} would both be written to {_stem(image)}; keep them in separate folders"
                )
        with _reported() as failures:
            for scored in self._on_dataset(dataset, fold, stage, limit, batchSize, ttflips, False, failures):
                name = _stem(scored.id)
                if binaryArray:
                    write_npy(folder / f"{name}.npy", scored.scores[0])
                else:
                    write_png(folder / f"{name}.png", scored.scores[0])

    def predict_on_directory(
        self,
        path: Any,
        fold: Choice = 0,
        stage: Choice = 0,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
    ) -> Iterator[PredictedBatch]:
        """Predictions of a folder's images, batch by batch."""
        size = batch_size or self.spec.inference_batch
        with _reported() as failures:
            yield from _batched(self._in_directory(path, fold, stage, limit, size, ttflips, failures), size)

    def predict_on_dataset(
        self,
        dataset: Any,
        fold: Choice = 0,
        stage: Choice = 0,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
    ) -> Iterator[PredictedBatch]:
        """Predictions of a dataset's samples in dataset order, batch by batch. A name means :meth:`get_dataset`."""
        size = batch_size or self.spec.inference_batch
        dataset = self.get_dataset(dataset) if isinstance(dataset, str) else dataset
        yield from _batched(self._on_dataset(dataset, fold, stage, limit, size, ttflips, needs_truth=False), size)

    def predict_all_to_array(
        self,
        dataset: Any,
        fold: Choice = None,
        stage: Choice = None,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
    ) -> np.ndarray:
        """All predictions of a dataset whose images have one size: N x H x W x classes, in dataset order."""
        batches = self.predict_on_dataset(dataset, fold, stage, limit, batch_size, ttflips)
        results = [scores for batch in batches for scores in batch.results]
        sizes = {scores.shape for scores in results}
        if len(sizes) > 1:
            raise MusketError(
                f"the images have {len(sizes)} different sizes, so their maps make no single array; "
                "use predict_on_dataset, which gives them batch by batch"
            )
        return np.stack(results)

    def evaluateAll(
        self,
        ds: Any,
        fold: int,
        stage: Choice = -1,
        negatives: Any = "real",
        ttflips: Any = None,
        batchSize: int | None = None,
    ) -> Iterator[PredictedBatch]:
        """The whole validation part of a fold once: truth and prediction at the images' own size, batch by batch."""
        from musket.data.sampling import part_order

        data = self._prepare(ds)
        positions = part_order(data.folds[fold].validation, negatives, data.is_positive)
        part = data.subset(positions, f"validation{fold}")
        size = batchSize or self.spec.inference_batch
        yield from _batched(self._on_dataset(part, fold, stage, -1, size, ttflips, needs_truth=True), size)

    def _in_directory(
        self,
        path: Any,
        fold: Choice,
        stage: Choice,
        limit: int,
        batch_size: int | None,
        ttflips: Any,
        failures: Failures,
    ) -> Iterator[Scored]:
        from musket.data.folders import DirectoryDataSet

        yield from self._on_dataset(DirectoryDataSet(path), fold, stage, limit, batch_size, ttflips, False, failures)

    def _on_dataset(
        self,
        dataset: Any,
        fold: Choice,
        stage: Choice,
        limit: int,
        batch_size: int | None,
        ttflips: Any,
        needs_truth: bool,
        failures: Failures | None = None,
    ) -> Iterator[Scored]:
        from musket.data.identity import sample_ids
        from musket.experiment.build import TargetShape
        from musket.experiment.inference import dataset_sources

        _refuse_views(ttflips)
        model = self.load_model(fold, stage)
        ids = sample_ids(dataset)
        count = len(ids) if limit < 0 else min(limit, len(ids))
        sources = dataset_sources(dataset, ids, range(count), TargetShape.of(self.spec), needs_truth)
        return model.scored(sources, batch_size, failures=failures)


class _reported:
    """Collects images that fail and raises once all others are done; an error inside goes out as it is."""

    def __enter__(self) -> Failures:
        from musket.predict.runner import Failures

        self.failures = Failures()
        return self.failures

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            self.failures.raise_if_any()


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _check_subsample(subsample: float) -> None:
    if not 0 < subsample <= 1:
        raise MusketError(f"subsample is a share above 0, up to 1; found {subsample}")


def _refuse_views(ttflips: Any) -> None:
    if ttflips:
        raise MusketError("not available yet: ttflips (test-time flips); call without it")


def _batched(scored: Iterator[Scored], size: int) -> Iterator[PredictedBatch]:
    from musket.predict.results import as_batch

    while batch := list(itertools.islice(scored, size)):
        yield as_batch(batch)


def _console(quiet: bool) -> Any:
    from rich.console import Console

    return Console(soft_wrap=True, quiet=quiet)


def parse(path: str | Path, *, dialect: str | None = None, **overrides: Any) -> Experiment:
    """Read and check an experiment.

    Args:
        path: a YAML file, a folder with ``config.yaml``, or the name of an experiment of the current project. An
            experiment that lies in a project gets the project's common.yaml and modules.
        dialect: kind of problem when the file's first line names none; default segmentation.
        overrides: values that replace the config's, by key.

    Raises:
        ConfigError: everything that is wrong with the config, at once.
    """
    from musket.experiment.project import find_project, load_spec

    silence_telemetry()
    project, config = find_project(path)
    return Experiment(load_spec(config, project=project, dialect=dialect, overrides=overrides), project)
