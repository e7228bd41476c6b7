"""Predictions written to a folder: pictures, arrays, or one table of them all."""

from __future__ import annotations

import contextlib
import csv
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from musket.artifacts.layout import CONFIG, Layout, file_name
from musket.core.errors import ArtifactError, DataError, MusketError, SampleFailure
from musket.core.heads import Heads, distinct
from musket.core.identity import examples
from musket.data.folders import ConstrainedDirectory, DirectoryDataSet, ids_of_files, list_files, pictures
from musket.data.identity import sample_ids
from musket.data.sources import files_of
from musket.experiment.facade_prediction import PREDICTIONS
from musket.experiment.inference import MemberKey, TrainedModel, choose
from musket.experiment.label_meaning import stored_class_names
from musket.experiment.reading import TargetShape
from musket.experiment.state.lock import holder
from musket.experiment.submission import score_columns_of
from musket.experiment.targets import heads_of
from musket.predict.runner import Failures
from musket.predict.sinks import Row, refuse_overwriting, rle_rows, score_row, write_npy, write_png, write_rows

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment

Format = Literal["png", "npy", "csv", "rle"]
ERRORS = "errors.csv"
"""The table of images that could not be predicted: ``image``, ``error``."""

OnProgress = Callable[[int, int, int], object]
"""Is told how many images are done, how many there are, and how many of them failed."""

_PARTS = ("train", "validation", "holdout")


@dataclass
class Written:
    """What a prediction left in a folder.

    Attributes:
        folds, stage: of the networks whose mean was taken.
        seeds: how many runs with other seeds are in the mean; 0 for an experiment without ``num_seeds``.
        images: how many were predicted.
        files: those written, tables included.
        failed: images that could not be predicted.
        passed_over: names of files of the input folder that are no images.
        not_searched: names of folders in the input folder.
        seconds: from the first image read to the last one written.
    """

    folds: list[int]
    stage: int
    seeds: int = 0
    images: int = 0
    files: list[Path] = field(default_factory=list)
    failed: list[SampleFailure] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)
    seconds: float = 0.0


def predict_files(
    experiment: Experiment,
    source: str,
    folder: Path,
    *,
    seeds: Sequence[Layout] = (),
    folds: Sequence[int] | None = None,
    stage: int = -1,
    form: Format | None = None,
    threshold: float | None = None,
    limit: int = -1,
    batch: int | None = None,
    on_progress: OnProgress = lambda done, total, failed: None,
    warn: Callable[[str], object] = warnings.warn,
) -> Written:
    """Predict images with the mean of an experiment's networks, and write what they say.

    - ``png``: 8-bit pictures of 255 x score, or with a threshold of 0 and 255; ``NAME.png``, of several classes
      ``NAME_0.png``, ``NAME_1.png`` ...
    - ``npy``: ``NAME.npy``, the float32 scores.
    - ``rle``: one table, ``predictions.csv``, of run lengths: a row per image and class.
    - ``csv``: one table, ``predictions.csv``, of the scores of a classification and what they decide.

    A table appears when all images are done.

    Args:
        source: a folder, an image, or the name of a dataset of the experiment.
        folder: made when it is not there; files of other names in it are left alone.
        seeds: the runs with other seeds, ``experiment`` being the first of them, whose networks answer together.
        folds: default all that have weights of this stage.
        stage: -1 for the last.
        form: default png of maps, csv of vectors.
        threshold: what a score must exceed; default 0.5 where something is decided.
        limit: at most this many images; -1 for all.
        batch: images, or cells of them, predicted at once; default that of the config.
        warn: is told, before anything is predicted, that networks are missing or still being trained.

    Raises:
        MusketError: nothing can be predicted that way: no weights, no images, a format that does not fit, a folder
            to write to that is the one of the images.
        ArtifactError: a file cannot be written.
    """
    heads = heads_of(experiment.spec)
    form = _format(form, heads, threshold)
    runs = list(seeds) or [experiment.layout]
    keys = _members(experiment, runs, folds, stage, warn)
    dataset, names, passed_over = _images(experiment, source)
    if limit >= 0:
        names = dict(list(names.items())[:limit])
    targets = _targets(form, names.values(), experiment)
    refuse_overwriting(folder, targets, files_of(dataset), beside=Path(source).is_file())
    written = Written([key.fold for key in keys], keys[0].stage, len(seeds), passed_over=passed_over)
    written.not_searched = folders_in(Path(source)) if Path(source).is_dir() else []
    weights = [run.weights(key.fold, key.stage) for run in runs for key in keys]
    rows_of = None if form in ("png", "npy") else _rows_of(experiment, heads, weights, threshold)
    rows: list[Row] = []
    failures = Failures(written.failed)
    model = TrainedModel(experiment.spec, runs[0], keys, seeds=runs[1:])
    predicted = experiment._on_dataset(
        dataset, written.folds, written.stage, len(names), batch, False, failures=failures, model=model
    )
    started = time.monotonic()
    for scored in predicted:
        scores = scored.scores[0]
        if rows_of is not None:
            rows += rows_of(scored.id, scores)
        elif form == "npy":
            written.files.append(folder / f"{names[scored.id]}.npy")
            write_npy(written.files[-1], scores)
        else:
            written.files += _write_pictures(folder, names[scored.id], scores, threshold)
        written.images += 1
        on_progress(written.images + len(written.failed), len(names), len(written.failed))
    if rows:
        written.files.append(folder / PREDICTIONS)
        write_rows(written.files[-1], rows)
    written.seconds = time.monotonic() - started
    _record_failures(folder, written)
    return written


def _format(form: Format | None, heads: Heads | None, threshold: float | None) -> Format:
    """The format to write. Raises MusketError when it does not fit what the networks give."""
    allowed: tuple[Format, ...] = ("png", "npy", "rle") if heads is None else ("csv", "npy")
    form = form or allowed[0]
    if form not in allowed:
        why = (
            "masks make no row of scores; rle writes them all into one table, png and npy a file each"
            if heads is None
            else "a classification has no masks; csv writes scores and classes, npy the scores alone"
        )
        raise MusketError(f"format {form} does not fit this experiment: {why}")
    if form == "npy" and threshold is not None:
        raise MusketError("format npy holds the scores themselves, which no threshold changes; leave one of them out")
    return form


def _members(
    experiment: Experiment,
    runs: Sequence[Layout],
    folds: Sequence[int] | None,
    stage: int,
    warn: Callable[[str], object],
) -> list[MemberKey]:
    """The networks to use, of every run. Raises ArtifactError where one that is asked for has no weights."""
    asked = choose(experiment.spec, experiment._fold_count(), folds, stage)
    missing = {key: run for key in asked for run in runs if not run.weights(key.fold, key.stage).exists()}
    trained = [key for key in asked if key not in missing]
    if not trained or (folds is not None and missing):
        key, run = next(iter(missing.items()))
        raise ArtifactError(
            f"there are no weights of fold {key.fold}, stage {key.stage}; train it first, or choose others",
            run.weights(key.fold, key.stage),
        )
    if missing:
        warn(f"{_folds(list(missing))} not trained yet; predicting with {_folds(trained)} alone")
    by = next((by for run in runs for by in (holder(run), holder(Layout(run.base / CONFIG))) if by is not None), None)
    if by is not None:
        warn(f"{runs[0].base.name} is being trained now, by {by}; its weights are the best so far")
    return trained


def _folds(keys: Sequence[MemberKey]) -> str:
    return f"fold{'s' * (len(keys) > 1)} {', '.join(str(key.fold) for key in keys)}"


def folders_in(path: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones left out."""
    return sorted(one.name for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))


def _images(experiment: Experiment, source: str) -> tuple[Any, dict[str, str], list[str]]:
    """A dataset of what is to be predicted, its ids with the names of their files, and files that are no images."""
    path = Path(source)
    if path.is_dir():
        try:
            files = list_files(path)
            chosen = pictures(files, path)
        except DataError as error:
            raise DataError(_no_images(path, error), path=path) from None
        names = dict(zip(chosen, ids_of_files(chosen, str(path)), strict=True))
        passed_over = [name for name in files if name not in names]
        return DirectoryDataSet(ConstrainedDirectory(path, chosen)), names, passed_over
    if path.is_file():
        return DirectoryDataSet(ConstrainedDirectory(path.parent, [path.name])), {path.name: path.stem}, []
    known = (*experiment.spec.datasets, *_PARTS)
    if source not in known:
        raise DataError(
            f"{source!r} is neither a folder of images, nor an image, nor an entry of datasets (there are "
            f"{', '.join(known)})"
        )
    dataset = experiment.get_dataset(source)
    ids = sample_ids(dataset)
    if not ids:
        raise DataError(f"the dataset {source} is empty; there is nothing to predict")
    return dataset, {name: file_name(name) for name in ids}, []


def _no_images(path: Path, error: DataError) -> str:
    """What to tell of a folder without images."""
    with contextlib.suppress(OSError):
        inner = folders_in(path)
        if inner:
            return f"no image lies here itself, and sub-folders are not searched: {examples(inner)}; name one of them"
        if not any(path.iterdir()):
            return "the folder is empty; name one that holds images"
    return error.message


def _targets(form: Format, names: Iterable[str], experiment: Experiment) -> list[str]:
    """Names of the files that may be written."""
    if form in ("rle", "csv"):
        return [PREDICTIONS]
    classes = TargetShape.of(experiment.spec).classes
    numbers = ["", *(f"_{number}" for number in range(classes))] if form == "png" else [""]
    return [f"{name}{number}.{form}" for name in names for number in numbers]


def _write_pictures(folder: Path, name: str, scores: np.ndarray, threshold: float | None) -> list[Path]:
    """A picture of each class of a map H x W x classes."""
    shown = scores if threshold is None else (scores > threshold).astype(np.float32)
    classes = shown.shape[2]
    paths = [folder / (f"{name}.png" if classes == 1 else f"{name}_{number}.png") for number in range(classes)]
    for number, path in enumerate(paths):
        write_png(path, shown[..., number, None])
    return paths


def _rows_of(
    experiment: Experiment, heads: Heads | None, weights: Sequence[Path], threshold: float | None
) -> Callable[[str, np.ndarray], list[Row]]:
    """What writes the scores of an image as rows of a table."""
    limit = 0.5 if threshold is None else threshold
    if heads is None:
        return lambda name, scores: rle_rows(name, scores, limit)
    columns = score_columns_of(experiment, weights)
    names = stored_class_names(weights) or [[]] * len(heads.sizes)
    several = len(heads.sizes) > 1
    decided = distinct([*columns, *(f"{head}_prediction" if several else "prediction" for head in heads.names)])
    decided = decided[len(columns) :]

    def row(name: str, scores: np.ndarray) -> list[Row]:
        found = dict(score_row(name, scores, columns))
        parts = [scores[part] for part in heads.slices]
        for column, kind, part, classes in zip(decided, heads.kinds, parts, names, strict=True):
            if kind != "values":
                found[column] = decision(part, classes, limit, exclusive=kind == "exclusive")
        return [found]

    return row


def decision(scores: np.ndarray, classes: Sequence[str], threshold: float = 0.5, *, exclusive: bool) -> str:
    """What the scores of a head decide: the class of the highest score, or all classes above the threshold.

    Args:
        scores: one per class.
        classes: their names, by number where there are none. A single score may have two, for absence and presence.
        exclusive: exactly one class is right.

    Returns:
        names with blanks between, or ``|`` where a name has a blank; empty where no class is above the threshold. Of a
        single score without two names ``0`` or ``1``.
    """
    if len(scores) == 1 and not exclusive:
        pair = classes if len(classes) == 2 else ("0", "1")
        return pair[int(scores[0] > threshold)]
    numbers = [int(scores.argmax())] if exclusive else np.flatnonzero(scores > threshold).tolist()
    between = "|" if any(" " in name for name in classes) else " "
    return between.join(classes[number] if classes else str(number) for number in numbers)


def _record_failures(folder: Path, written: Written) -> None:
    """Write the table of images that failed; one of an earlier prediction goes when none did."""
    path = folder / ERRORS
    if written.failed:
        written.files.append(path)
        write_rows(path, [{"image": failure.id, "error": failure.message} for failure in written.failed])
    elif _is_ours(path):
        path.unlink()


def _is_ours(path: Path) -> bool:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), None) == ["image", "error"]
    except (OSError, ValueError, csv.Error):
        return False
