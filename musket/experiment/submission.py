"""Tables of submissions: a dataset predicted and written as rows, in one go."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts.files import write_atomic
from musket.core.errors import DataError, MusketError
from musket.core.identity import examples
from musket.data import labels
from musket.data.dataset import CompositeDataSet, DataSet, SubDataSet, shown_by
from musket.data.folders import ConstrainedDirectory, DirectoryDataSet
from musket.data.identity import sample_ids
from musket.data.labelled import LabelledImages
from musket.experiment import inference
from musket.experiment.class_names import class_names
from musket.experiment.inference import Choice
from musket.experiment.label_meaning import refuse_other_labels, stored_class_names
from musket.experiment.predictions import PredictionDataSet
from musket.experiment.reading import TargetShape
from musket.experiment.targets import heads_of
from musket.experiment.thresholds import find_thresholds, parted_at_half
from musket.predict.heads import at_face, score_columns
from musket.predict.runner import Failures
from musket.predict.sinks import rle_rows, score_row

if TYPE_CHECKING:
    import pandas as pd

    from musket.experiment.facade import Experiment

Encode = Callable[..., Any]
"""``encode(item, encode_y, treshold)`` -> a row, or a list of them."""

BEST = "best"
_PARTS = ("train", "validation", "holdout")


def submit(
    experiment: Experiment,
    dataset: Any,
    path: Path,
    fold: Choice = None,
    stage: Choice = -1,
    ttflips: Any = False,
    treshold: Any = 0.5,
) -> pd.DataFrame:
    """See :meth:`Experiment.submit`."""
    import pandas as pd

    dataset = _opened(experiment, dataset)
    if not len(dataset):
        raise DataError(f"{type(dataset).__name__} is empty; there is nothing to predict, and no table to write")
    best = isinstance(treshold, str) and treshold == BEST
    single = 0.5 if best else _checked(treshold)
    heads = heads_of(experiment.spec)
    sizes = None if heads is None else heads.sizes
    model = experiment.load_model(fold, stage)
    weights = [experiment.layout.weights(key.fold, key.stage) for key in model.keys]
    encode = _encoder(experiment, dataset, weights)
    only_scores = encode is None and sizes is not None
    if only_scores and (best or single != 0.5):
        warnings.warn(
            "this dataset has no _encode_item, so scores are written as they are; treshold has no effect", stacklevel=3
        )
    thresholds = np.array(find_thresholds(experiment, stages=stage)) if best and not only_scores else None
    items: dict[str, Any] = {}  # read and not encoded yet
    ids = sample_ids(dataset)
    shape = TargetShape.of(experiment.spec)
    sources = inference.dataset_sources(dataset, ids, range(len(ids)), shape, False, items.__setitem__)
    columns = score_columns_of(experiment, weights) if only_scores else []
    rows: list[Any] = []
    failures = Failures()
    for scored in model.scored(sources, failures=failures, ttflips=ttflips):
        item, scores = copy.copy(items.pop(scored.id)), scored.scores[0]  # a copy: the dataset may keep its own
        if encode is not None:
            item.prediction = at_face(scores if thresholds is None else parted_at_half(scores, thresholds), sizes)
            found = _rows_of(encode, item, single)
        elif sizes is None:
            found = rle_rows(scored.id, scores, single)
        else:
            found = score_row(scored.id, scores, columns)
        rows += [found] if isinstance(found, Mapping) else found
    failures.raise_if_any()
    frame = getattr(dataset, "_create_dataframe", pd.DataFrame)(rows)
    write_atomic(path, frame.to_csv(index=False))
    return frame


def _rows_of(encode: Encode, item: Any, treshold: float) -> Any:
    """What an encoder makes of an item. Raises DataError, naming the sample, when it fails."""
    try:
        return encode(item, False, treshold)
    except MusketError:
        raise
    except Exception as error:
        raise DataError(
            f"it cannot be written as rows: {type(error).__name__}: {error}; see _encode_item of the dataset",
            sample=str(item.id),
        ) from error


def _opened(experiment: Experiment, dataset: Any) -> Any:
    """The dataset that is meant: itself, one by name, the images of a folder, or for None the one trained on."""
    named = dataset in (*experiment.spec.datasets, *_PARTS) if isinstance(dataset, str) else dataset is None
    if named:
        return experiment._source(dataset)
    if isinstance(dataset, str) and not Path(dataset).is_dir():
        entries = ", ".join([*experiment.spec.datasets, *_PARTS])
        raise DataError(f"{dataset!r} is neither a folder of images nor an entry of datasets (there are {entries})")
    folder = isinstance(dataset, str | Path | ConstrainedDirectory)
    return DirectoryDataSet(dataset) if folder else dataset


def _encoder(experiment: Experiment, dataset: Any, weights: Sequence[Path]) -> Encode | None:
    """What writes an item as rows: the dataset itself, or the one that is trained on; None when neither can.

    Tables whose labels are missing, or show only some of the classes, are written as the one that is trained on.

    Raises:
        DataError: what would write the rows has other names, or ranges, for the scores than the networks were trained
            with.
    """
    own = own_encoder(dataset)
    try:
        model = _trained_on(experiment)
    except MusketError:
        if own is None:
            raise
        model = None
    while isinstance(model, CompositeDataSet):  # which part a new item would belong to nobody knows
        model = model.components[0]
    theirs = None if model is None else own_encoder(model)
    as_trained = own is None or (theirs is not None and _writes_for(model, dataset))
    writer = model if as_trained else dataset
    if writer is not None:
        known = stored_class_names(weights) or (None if model is None else labels.class_names(model))
        for part in _shown(writer):
            _check_classes(part, known)
        refuse_other_labels(weights, writer, experiment.spec)
    return theirs if as_trained else own


def _shown(dataset: Any) -> list[Any]:
    """What views and composite datasets show the items of."""
    if isinstance(dataset, CompositeDataSet):
        return [each for part in dataset.components for each in _shown(part)]
    inner = shown_by(dataset)
    return [dataset] if inner is None else _shown(inner)


def _writes_for(model: Any, dataset: Any) -> bool:
    """Whether a table knows how to write all rows of another."""
    table = _shown(model)[0]
    return isinstance(table, LabelledImages) and all(
        isinstance(part, LabelledImages) and table.writes_for(part) for part in _shown(dataset)
    )


def _check_classes(dataset: Any, trained: list[Any] | None) -> None:
    """Raises DataError for a dataset with other classes, or in another order, than those trained on."""
    told, known = _by_head(labels.class_names(dataset)), _by_head(trained)
    pairs = list(zip(told, known, strict=False))
    # A single name has no order, and a flag may be named by its presence alone.
    if not told or not known or not any(own != their and min(len(own), len(their)) > 1 for own, their in pairs):
        return
    absent = getattr(dataset, "absent", ())
    said = f"the table has no column {', '.join(absent)}, and its" if absent else "the table's"
    raise DataError(
        f"{said} classes are {_in_words(told)}, the network's {_in_words(known)}, so its scores would get wrong names; "
        f"give the table the network's classes in their order: classes=[{_in_words(known)}]",
        path=getattr(dataset, "source", None),
    )


def _by_head(names: list[Any] | None) -> list[list[str]]:
    heads = names if any(isinstance(head, list) for head in names or ()) else [names or []]
    return [[str(name) for name in (head if isinstance(head, list) else [head])] for head in heads or ()]


def _in_words(heads: list[list[str]]) -> str:
    return "; ".join(examples(names, 20) for names in heads)


def _trained_on(experiment: Experiment) -> Any:
    """The dataset of the experiment; None where the config names none, and none was handed over."""
    known = experiment.spec.dataset is not None or experiment._prepared is not None
    return experiment._source(None) if known else None


def own_encoder(dataset: Any) -> Encode | None:
    """The method by which a dataset, or what it is a view of, writes an item as rows; None when it has none."""
    if isinstance(dataset, SubDataSet | PredictionDataSet):
        return None if own_encoder(dataset.ds) is None else dataset.encode
    if isinstance(dataset, CompositeDataSet):
        return dataset.encode if all(map(own_encoder, dataset.components)) else None
    unable = getattr(type(dataset), "_encode_item", None) is DataSet._encode_item
    return None if unable else getattr(dataset, "encode", None)


def score_columns_of(experiment: Experiment, weights: Sequence[Path]) -> list[str]:
    """Names of the scores of a vector in tables: those of the classes, as the weights tell them.

    Of older weights, which tell none, the dataset trained on is asked; warns where it cannot be had: networks predict
    without it, as on another machine.
    """
    heads = heads_of(experiment.spec)
    assert heads is not None, "only vectors have columns"
    names = stored_class_names(weights)
    if names is None:
        try:
            dataset = _trained_on(experiment)
        except MusketError as error:
            warnings.warn(f"columns are called by number, for the classes have no names: {error}", stacklevel=2)
            dataset = None
        names = None if dataset is None else class_names(dataset, experiment.spec)
    return score_columns(heads.sizes, names or [None] * len(heads.sizes), heads.names)


def _checked(treshold: Any) -> float:
    """A single threshold. Raises MusketError when it is none."""
    if isinstance(treshold, bool) or not isinstance(treshold, Real) or not 0 <= float(treshold) <= 1:
        raise MusketError(f'treshold: a number from 0 to 1, or "{BEST}"; found {treshold!r}')
    return float(treshold)
