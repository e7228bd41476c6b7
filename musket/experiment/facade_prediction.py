"""The part of an experiment that predicts: folders and datasets in; calls, files, batches or arrays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from musket.core.errors import MusketError

if TYPE_CHECKING:
    import pandas as pd

    from musket.artifacts.layout import Layout
    from musket.config.schema import NetworkSpec
    from musket.experiment.facade import Experiment
    from musket.experiment.inference import Choice, TrainedModel
    from musket.predict.heads import Vectors
    from musket.predict.results import Map, PredictedBatch
    from musket.predict.runner import Failures, Scored

Weights = Sequence[float] | None
PREDICTIONS = "predictions.csv"
"""The table of :meth:`Predicting.predict_to_directory`."""

OnPredict = Callable[[str, "Map | Vectors", Any], object]


class Predicting:
    """Methods of :class:`musket.experiment.facade.Experiment`. Their arguments mean the same everywhere.

    Of segmentation a result is a map H x W x classes at the image's own size; of classification a vector with a number
    per class, of several heads a list of vectors, one per head.

    Args:
        dataset: a dataset, or the name of one; None for the config's, or the one last handed to ``fit``.
        fold: one fold or several, None for all; the mean of several is taken.
        stage: one stage or several, None for all, -1 for the last.
        limit: at most this many items; -1 for all.
        batchSize: images, or cells of them, that are predicted at once; None = ``inference_batch`` of the config.
            Called batch_size in the methods that always called it so.
        ttflips: test-time views: ``"Horizontal"``, ``"Horizontal_and_vertical"``, or True for four turns, plain and
            mirrored; ``testTimeAugmentation`` of the config overrides it.
        weights: of the networks in their mean, one each (folds outermost, stages within), divided by their sum.
            Default: all alike.
    """

    if TYPE_CHECKING:
        spec: NetworkSpec
        layout: Layout

        def _fold_count(self) -> int: ...

        def get_dataset(self, name: str | None = None) -> Any: ...

    @property
    def _self(self) -> Experiment:
        return cast("Experiment", self)

    @property
    def _head_sizes(self) -> tuple[int, ...] | None:
        """Classes of each head of a classification; None for maps."""
        return None if self.spec.gives_maps else self.spec.head_sizes

    def load_model(self, fold: Choice = 0, stage: Choice = -1, weights: Weights = None) -> TrainedModel:
        """Networks with their best weights; lists (or None = all) give an ensemble. Has ``predict(images)``."""
        from musket.experiment.inference import load

        return load(self.spec, self.layout, self._fold_count(), fold, stage, weights)

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
        *,
        weights: Weights = None,
    ) -> None:
        """Call ``cb(file_name, result, data)`` once for every image of a folder.

        The result is a map, whose ``arr`` holds H x W x classes scores; of classification a vector, or a list of them.

        The stage may be left out, as in ``predict_in_directory(path, [0, 1], cb, data)``: then the last one is used,
        and limit and what follows it are given by name.

        Raises:
            MusketError: the stage is left out, and more than cb and data is given in order.
            DataError: some files could not be predicted; raised at the end, when all others are done.
        """
        from musket.data.folders import DirectoryDataSet

        self.predict_in_dataset(
            DirectoryDataSet(spath), fold, stage, cb, data, limit, batchSize, ttflips, weights=weights
        )

    def predict_in_dataset(
        self,
        dataset: Any,
        fold: Choice,
        stage: Any = -1,
        cb: Any = None,
        data: Any = None,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        *,
        weights: Weights = None,
    ) -> None:
        """Call ``cb(id, result, data)`` once for every sample of a dataset, or of an entry of ``datasets``.

        Results are those of :meth:`predict_in_directory`, and the stage may be left out as there.

        Raises:
            DataError: some samples could not be predicted; raised at the end, when all others are done.
        """
        from musket.predict.heads import split_heads
        from musket.predict.results import Map

        if callable(stage):
            if cb is not None and data is not None:
                raise MusketError(
                    f"with the stage left out, cb and data are given in order and all else by name, as "
                    f"limit=2; found {data!r} behind them"
                )
            # What stood behind the stage has moved one place forward.
            stage, cb, data = -1, stage, cb if data is None else data
        if not callable(cb):
            raise MusketError(f"a function to call with every result is needed: cb(name, result, data); found {cb!r}")
        sizes = self._head_sizes
        with _reported() as failures:
            for scored in self._on_dataset(
                dataset, fold, stage, limit, batch_size, ttflips, weights, failures=failures
            ):
                scores = scored.scores[0]
                cb(scored.id, Map(scores) if sizes is None else split_heads(scores, sizes), data)

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
        *,
        weights: Weights = None,
    ) -> None:
        """Write a prediction per image of a folder.

        Of segmentation ``NAME.png`` (255 x score), or ``NAME.npy`` with binaryArray, NAME being the image's name up to
        its first dot. Of classification one table, ``predictions.csv``: ``image`` (the file's name) and a column per
        class, called as the class where the dataset has ``classes``; with binaryArray ``NAME.npy``, the vector of all
        heads side by side.

        Raises:
            MusketError: two images would be written to one file, or something into the folder of the images; raised
                before anything is predicted.
            DataError: some files could not be predicted; raised at the end, when all others are done.
        """
        from musket.data.folders import DirectoryDataSet
        from musket.predict.sinks import refuse_overwriting, score_row, write_npy, write_png, write_rows

        folder, dataset = Path(tpath), DirectoryDataSet(spath)
        table = not (self.spec.gives_maps or binaryArray)
        write, suffix = (write_npy, "npy") if binaryArray else (write_png, "png")
        names = {} if table else _separate_names(dataset.sample_ids())
        written = [PREDICTIONS] if table else [f"{name}.{suffix}" for name in names.values()]
        refuse_overwriting(folder, written, dataset.source_files())
        columns = self._score_columns(fold, stage) if table else []
        rows = []
        with _reported() as failures:
            for scored in self._on_dataset(dataset, fold, stage, limit, batchSize, ttflips, weights, failures=failures):
                if table:
                    rows.append(score_row(scored.id, scored.scores[0], columns))
                else:
                    write(folder / f"{names[scored.id]}.{suffix}", scored.scores[0])
            if table:
                write_rows(folder / PREDICTIONS, rows)

    def _score_columns(self, fold: Choice, stage: Choice) -> list[str]:
        """Names of the scores of a vector in tables."""
        from musket.experiment.inference import choose
        from musket.experiment.submission import score_columns_of

        keys = choose(self.spec, self._fold_count(), fold, stage)
        weights = (self.layout.weights(key.fold, key.stage) for key in keys)
        return score_columns_of(self._self, [path for path in weights if path.exists()])

    def submit(
        self,
        dataset: Any,
        path: str | Path,
        fold: Choice = None,
        stage: Choice = -1,
        ttflips: Any = False,
        treshold: float | str = 0.5,
    ) -> pd.DataFrame:
        """Predict a dataset and write the table of a submission, CSV without index, rows in dataset order.

        Rows are written as the dataset itself encodes its items (``_encode_item``), else as the dataset the experiment
        is trained on does, else as ``image`` and a column of scores per class (masks: ``image``, ``rle_mask``).

        Args:
            dataset: a dataset, the name of one, or a folder of images, whose file names are the ids then; None for the
                config's, or the one last handed to ``fit``.
            path: of the table. It appears whole or not at all.
            stage: default the last one.
            treshold: scores above it count as object or class, where classes do not exclude each other; ``"best"``:
                for every class that of :meth:`find_thresholds`. Without effect, and a warning, where there are only
                columns of scores.

        Returns:
            what was written.

        Raises:
            DataError: some samples could not be predicted or encoded, or the dataset is empty or has other classes than
                the one trained on; nothing is written then.
            MusketError: a threshold that is none, or ``"best"`` where there is nothing to search.
        """
        from musket.experiment.submission import submit

        return submit(self._self, dataset, Path(path), fold, stage, ttflips, treshold)

    def predict_on_directory(
        self,
        path: Any,
        fold: Choice = 0,
        stage: Choice = 0,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        *,
        weights: Weights = None,
    ) -> Iterator[PredictedBatch]:
        """Predictions of a folder's images, batch by batch.

        Raises:
            DataError: some files could not be predicted; raised at the end, when all others are done.
        """
        from musket.data.folders import DirectoryDataSet
        from musket.experiment.inference import batch_of
        from musket.predict.results import batches

        size, dataset = batch_of(self.spec, batch_size), DirectoryDataSet(path)
        with _reported() as failures:
            scored = self._on_dataset(dataset, fold, stage, limit, size, ttflips, weights, failures=failures)
            yield from batches(scored, size, self._head_sizes)

    def predict_on_dataset(
        self,
        dataset: Any,
        fold: Choice = 0,
        stage: Choice = 0,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        cacheModel: bool = False,
        *,
        weights: Weights = None,
    ) -> Iterator[PredictedBatch]:
        """Predictions of a dataset's samples in dataset order, batch by batch. A name means :meth:`get_dataset`.

        Args:
            cacheModel: no effect; networks are loaded for the call.

        Raises:
            DataError: a sample could not be predicted; raised at once, for a consumer may count on the order.
        """
        from musket.experiment.inference import batch_of
        from musket.predict.results import batches

        size = batch_of(self.spec, batch_size)
        scored = self._on_dataset(dataset, fold, stage, limit, size, ttflips, weights)
        yield from batches(scored, size, self._head_sizes)

    def predict_all_to_array(
        self,
        dataset: Any,
        fold: Choice = None,
        stage: Choice = None,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        *,
        weights: Weights = None,
    ) -> Any:
        """All predictions of a dataset as one array, in dataset order.

        Returns:
            of segmentation N x H x W x classes; of classification N x classes, of several heads a list of these.

        Raises:
            MusketError: maps, and the images differ in size.
            DataError: some samples could not be predicted; names all of them.
        """
        return self.predict_all_to_array_with_ids(dataset, fold, stage, limit, batch_size, ttflips, weights=weights)[0]

    def predict_all_to_array_with_ids(
        self,
        dataset: Any,
        fold: Choice = None,
        stage: Choice = None,
        limit: int = -1,
        batch_size: int | None = None,
        ttflips: Any = False,
        *,
        weights: Weights = None,
    ) -> tuple[Any, list[str]]:
        """The same, and the ids of the samples. Raises as :meth:`predict_all_to_array`."""
        from musket.experiment.inference import as_arrays

        results: list[np.ndarray] = []
        ids: list[str] = []
        with _reported() as failures:
            for scored in self._on_dataset(
                dataset, fold, stage, limit, batch_size, ttflips, weights, failures=failures
            ):
                if results and scored.scores[0].shape != results[0].shape:
                    raise MusketError(
                        f"maps of different sizes make no single array: that of {ids[0]} is {_size(results[0])}, "
                        f"that of {scored.id} {_size(scored.scores[0])} (height x width); "
                        "use predict_on_dataset, which gives them batch by batch"
                    )
                results.append(scored.scores[0])
                ids.append(scored.id)
        return as_arrays(results, self._head_sizes), ids

    def _on_dataset(
        self,
        dataset: Any,
        fold: Choice,
        stage: Choice,
        limit: int,
        batch_size: int | None,
        ttflips: Any,
        weights: Weights = None,
        *,
        needs_truth: bool = False,
        failures: Failures | None = None,
        model: TrainedModel | None = None,
    ) -> Iterator[Scored]:
        from musket.data.identity import sample_ids
        from musket.experiment.inference import dataset_sources
        from musket.experiment.reading import TargetShape

        dataset = self._self._source(dataset)
        model = model or self.load_model(fold, stage, weights)
        ids = sample_ids(dataset)
        count = len(ids) if limit < 0 else min(limit, len(ids))
        sources = dataset_sources(dataset, ids, range(count), TargetShape.of(self.spec), needs_truth)
        return model.scored(sources, batch_size, failures=failures, ttflips=ttflips)


@contextmanager
def _reported() -> Iterator[Failures]:
    """Collects images that fail and raises once all others are done; an error inside goes out as it is."""
    from musket.predict.runner import Failures

    failures = Failures()
    yield failures
    failures.raise_if_any()


def _separate_names(files: Sequence[str]) -> dict[str, str]:
    """File -> its name up to the first dot. Raises MusketError when two share one."""
    owners: dict[str, str] = {}
    for file in files:
        other = owners.setdefault(file.partition(".")[0], file)
        if other != file:
            name = file.partition(".")[0]
            raise MusketError(f"{other} and {file} would both be written to {name}; keep them in separate folders")
    return {file: name for name, file in owners.items()}


def _size(scores: np.ndarray) -> str:
    return f"{scores.shape[0]} x {scores.shape[1]}"
