"""Datasets with predictions: predicted once, kept on disk, used as long as they belong to the weights of today."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musket.artifacts import predictions as artifacts
from musket.artifacts.predictions import PredictionWriter, StoredPredictions
from musket.config.schema import SegmentationSpec
from musket.core.errors import ArtifactError, DataError, MusketError
from musket.core.identity import examples, fingerprint
from musket.data.dataset import DataSet, SubDataSet, is_positive, target_of
from musket.data.identity import sample_ids
from musket.data.sources import files_of
from musket.experiment import inference, reading
from musket.experiment.inference import Choice, MemberKey
from musket.experiment.targets import heads_of
from musket.predict.heads import Vectors, at_face
from musket.predict.views import PLAIN, views_of

if TYPE_CHECKING:
    from musket.experiment.facade import Experiment
    from musket.experiment.prepare_data import PreparedData

Lookup = Callable[[str, np.ndarray | None], np.ndarray]
"""(Sample id, its image or None) -> its prediction; another image than the one that was predicted is refused."""

# Keys of the config that decide, beside the weights, what is predicted.
_DECISIVE = (
    "architecture",
    "backbone",
    "pooling",
    "classes",
    "activation",
    "shape",
    "crops",
    "manualResize",
    "transforms",
    "normalize",
    "preprocessing",
    "dataset",
    "datasets",
    "datasets_path",
)
_PART = re.compile(r"(validation|train)(\d*)")


class PredictionDataSet(DataSet):
    """A dataset whose items have a ``prediction`` beside x, y and id: float32 scores, read when asked.

    Of segmentation H x W x classes, of classification a vector, of several heads a list of vectors.

    Attributes:
        parent: the dataset itself; items are read from it.
        name: what was predicted: ``validation0``, ``holdout``, ``oof``, an entry of ``datasets``, a dataset's name.
        ids: sample ids, in dataset order.
    """

    def __init__(
        self, dataset: Any, ids: Sequence[str], lookup: Lookup, name: str, experiment: Experiment | None = None
    ):
        self.parent = self.ds = dataset
        self.ids = ids
        self.name = name
        self._lookup = lookup
        self._experiment = experiment
        self._heads = None if experiment is None else heads_of(experiment.spec)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return SubDataSet(self, range(len(self))[index])
        index = range(len(self))[index]
        item = copy.copy(reading.fetch(self.ds, index, is_train=False))  # the dataset may keep its own
        item.prediction = self.prediction(self.ids[index], reading.as_image(item.x))
        return item

    def prediction(self, sample: str, image: np.ndarray | None = None) -> Vectors:
        """The prediction of a sample id, without reading the image.

        Args:
            image: the sample's image, where it is at hand: see whether it is the one that was predicted.

        Raises:
            DataError: there is none.
            ArtifactError: it is gone, damaged, or that of another image.
        """
        if sample not in self._known:
            raise DataError(f"there is no prediction of it in {self.name}", sample=sample)
        return at_face(self._lookup(sample, image), None if self._heads is None else self._heads.sizes)

    def vectors(self) -> np.ndarray:
        """Predictions of classification, samples x classes of all heads, float32; in the order of ``ids``."""
        assert self._heads is not None, "maps of different sizes make no array"
        rows = [self._lookup(sample, None) for sample in self.ids]
        return np.stack(rows) if rows else np.zeros((0, sum(self._heads.sizes)), np.float32)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.ids)

    def sample_ids(self) -> list[str]:
        return list(self.ids)

    def isPositive(self, index: int) -> bool:
        return is_positive(self.ds, index)

    def get_target(self, index: int) -> Any:
        return target_of(self.ds, index)

    def blend(self, other: PredictionDataSet | str | Path, w: float = 0.5) -> PredictionDataSet:
        """The same items with ``w * own + (1 - w) * other`` as prediction, matched by sample id.

        Args:
            other: predictions of the same samples; or another experiment (a YAML file, its folder, or its name in the
                project), whose predictions of the same part are taken: all its folds and stages, on this dataset.
            w: weight of these predictions, 0..1.

        Raises:
            DataError: the other one lacks samples. When reading an item: the predictions differ in shape.
            MusketError: ``w`` is outside 0..1, or there is no such experiment.
        """
        if not 0 <= w <= 1:
            raise MusketError(f"blend: w is a share from 0 to 1; found {w}")
        theirs = self._of(other) if isinstance(other, str | Path) else other
        missing = sorted(self._known - theirs._known)
        if missing:
            raise DataError(
                f"blend: {len(missing)} of {len(self)} samples have no prediction in {theirs.name} "
                f"({examples(missing)}); both must be predictions of the same samples. Folds of different splits "
                "cannot be blended: use oof"
            )

        def mixed(sample: str, image: np.ndarray | None) -> np.ndarray:
            first, second = self._lookup(sample, image), theirs._lookup(sample, image)
            if first.shape != second.shape:
                raise DataError(f"blend: predictions of shapes {first.shape} and {second.shape}", sample=sample)
            return np.float32(w) * first + np.float32(1 - w) * second

        return PredictionDataSet(self.ds, self.ids, mixed, self.name, self._experiment)

    def _of(self, path: str | Path) -> PredictionDataSet:
        if self._experiment is None:
            raise MusketError("blend: these predictions belong to no experiment; give the other ones as a dataset")
        return predictions(_neighbour(self._experiment, path), self.name)

    def _encode_item(self, item: Any, encode_y: bool = False, treshold: float = 0.5) -> Any:
        if not hasattr(self.ds, "encode"):
            raise DataError(
                f"{type(self.ds).__name__} cannot write its items as table rows; give it a method "
                "encode(item, encode_y, treshold) that returns a dict per row",
                sample=str(item.id),
            )
        return self.ds.encode(item, encode_y, treshold)


@dataclass(frozen=True)
class Source:
    """What is predicted.

    Attributes:
        name: in file names.
        dataset: the items.
        ids: their sample ids, in order.
        fold: whose part it is, None for other data. ``name`` ends with it.
        named: whether the name says which samples these are; that of a dataset's class does not.
    """

    name: str
    dataset: Any
    ids: Sequence[str]
    fold: int | None = None
    named: bool = True

    @cached_property
    def files(self) -> str:
        """A digest of places, sizes and times of all files the dataset reads; empty where it tells none."""
        names = sorted({os.path.abspath(name) for name in files_of(self.dataset)})  # noqa: PTH100 - 100,000 Paths take a second
        total = hashlib.sha256()
        for name in names:
            with contextlib.suppress(OSError):  # whoever reads it will hear of it
                state = os.stat(name)  # noqa: PTH116 - as above
                total.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
        return total.hexdigest() if names else ""

    @cached_property
    def looks(self) -> list[str]:
        """Marks of the first, middle and last image."""
        return [self._look(position) for position in sorted({0, len(self.ids) // 2, len(self.ids) - 1}) if self.ids]

    def _look(self, position: int) -> str:
        return artifacts.image_mark(reading.as_image(reading.fetch(self.dataset, position, is_train=False).x))


def predictions(experiment: Experiment, name: Any, fold: Choice = None, stage: Choice = None) -> PredictionDataSet:
    """Predictions of a part of the data, from disk as far as they belong to the weights and settings of today.

    Whether they also belong to the images of today is seen at the first, middle and last one here, and at every other
    one when its item is read. Vectors may be asked for without reading an image: they are predicted anew when a file of
    a dataset that tells its files (``source_files``) has another size or time; of other datasets, only those three
    images say that the data changed.

    Args:
        name: ``holdout``; ``validation`` (of the fold that is given, else 0), ``validationN``, and so ``train``,
            ``trainN``; ``oof``: every sample outside the holdout, predicted by the folds that did not train on it; an
            entry of ``datasets``; None for the config's dataset; or a dataset.
        fold: whose networks predict, averaged. Default: all; for parts of a fold, that fold.
        stage: default all.

    Raises:
        ArtifactError: there are no weights, or no holdout.
        DataError: a sample cannot be read.
    """
    if name == "oof" and name not in experiment.spec.datasets:
        return out_of_fold(experiment, stage)
    source = source_of(experiment, name, fold)
    found = stored(experiment, source, source.fold if fold is None else fold, stage)
    return PredictionDataSet(source.dataset, source.ids, found.read, source.name, experiment)


def out_of_fold(experiment: Experiment, stage: Choice = None, folds: Sequence[int] | None = None) -> PredictionDataSet:
    """Every sample of a validation part, in dataset order, predicted by the folds that did not train on it.

    The predictions are those stored as ``validation[...]F.npy``; a sample in several validation parts has their mean.

    Args:
        folds: only the parts of these; default all.

    Raises:
        ArtifactError: a fold has no weights, or there are no folds.
    """
    data = experiment._prepare()
    folds = range(len(data.folds)) if folds is None else folds
    if not folds:
        raise ArtifactError("no fold is trained to its end; train it first (fit)", experiment.layout.folder)
    parts = [source_of(experiment, f"validation{fold}") for fold in folds]
    stores = [stored(experiment, part, part.fold, stage) for part in parts]
    positions = sorted({position for fold in folds for position in data.folds[fold].validation})
    ids = [data.ids[position] for position in positions]

    def lookup(sample: str, image: np.ndarray | None) -> np.ndarray:
        found = [store.read(sample, image) for store in stores if sample in store]
        return found[0] if len(found) == 1 else np.stack(found).mean(axis=0)

    return PredictionDataSet(data.subset(positions, "oof"), ids, lookup, "oof", experiment)


def predict_all(
    experiment: Experiment,
    dataset: Any,
    fold: Choice,
    stage: Choice,
    limit: int = -1,
    batch_size: int | None = None,
    ttflips: Any = False,
    folder: Path | None = None,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, count: items,
) -> PredictionDataSet:
    """Predict a dataset anew and keep the result; see :meth:`Experiment.predict_all_to_dataset`."""
    source = source_of(experiment, dataset)
    if 0 <= limit < len(source.ids):
        source = Source(source.name, SubDataSet(source.dataset, range(limit)), source.ids[:limit], named=False)
    found = stored(experiment, source, fold, stage, ttflips, folder, anew=True, batch_size=batch_size, track=track)
    return PredictionDataSet(source.dataset, source.ids, found.read, source.name, experiment)


def stored(
    experiment: Experiment,
    source: Source,
    fold: Choice,
    stage: Choice,
    ttflips: Any = False,
    folder: Path | None = None,
    *,
    anew: bool = False,
    batch_size: int | None = None,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, count: items,
) -> StoredPredictions:
    """The stored predictions of a source; predicted and stored when there are none of these weights and settings.

    Args:
        folder: default see :func:`folder_of`.
        anew: predict whatever is there.
    """
    keys = members(experiment, fold, stage)
    folder = folder or folder_of(experiment, source, keys, ttflips)
    mark = digest(experiment, source, keys, ttflips)
    found = None if anew else artifacts.stored(folder, mark, source.ids)
    if found is not None:
        return found
    with artifacts.alone(folder):
        found = None if anew else artifacts.stored(folder, mark, source.ids)  # by who was faster
        if found is not None:
            return found
        model = inference.TrainedModel(experiment.spec, experiment.layout, keys)
        shape = reading.TargetShape.of(experiment.spec)
        count = len(source.ids)
        samples = inference.dataset_sources(source.dataset, source.ids, range(count), shape, needs_truth=False)
        with PredictionWriter(folder, mark, scale(experiment)) as writer:
            for scored in track(model.scored(samples, batch_size, ttflips=ttflips), count):
                writer.add(scored.id, scored.scores[0], scored.image)
        return reopened(folder, mark)


def reopened(folder: Path, mark: str) -> StoredPredictions:
    """A store that was written a moment ago."""
    found = artifacts.stored(folder, mark)
    if found is None:
        raise ArtifactError(
            "was changed by another program while it was written; ask for the predictions again", folder
        )
    return found


def members(experiment: Experiment, fold: Choice, stage: Choice) -> list[MemberKey]:
    """The networks that are asked for and trained; those without weights are left out when several are asked for."""
    asked = inference.choose(experiment.spec, experiment._fold_count(), fold, stage)
    return inference.existing(experiment.layout, asked)


def folder_of(experiment: Experiment, source: Source, keys: Sequence[MemberKey], ttflips: Any = False) -> Path:
    """Where predictions of these networks are stored: those of a fold's part by that fold as ``validation[0]1.npy``.

    A few characters behind the name keep apart datasets whose name does not, and views that only the call asks for.
    """
    stages, folds = (sorted(set(numbers)) for numbers in ([k.stage for k in keys], [k.fold for k in keys]))
    name = source.name.removesuffix(str(source.fold)) if folds == [source.fold] else source.name
    asked = views_of(ttflips) if experiment.spec.testTimeAugmentation is None else PLAIN
    apart = [
        *([] if source.named else [fingerprint(source.ids), *source.looks]),
        *([] if asked == PLAIN else [repr(asked)]),
    ]
    if apart:
        name = f"{name}~{hashlib.sha256(' '.join(apart).encode()).hexdigest()[:8]}"
    return experiment.layout.stored_predictions(name, stages, folds)


def scale(experiment: Experiment) -> int | None:
    """How the config wants predictions stored; vectors are small, and may be any number: always as float32."""
    spec = experiment.spec
    if not isinstance(spec, SegmentationSpec):
        return None
    return artifacts.scale_of(spec.compressPredictionsAsInts, spec.compressScale)


def digest(experiment: Experiment, source: Source, keys: Sequence[MemberKey], ttflips: Any = False) -> str:
    """What stored predictions are recognised by: weights, settings, sample ids, three images, and of vectors all files.

    The first, middle and last image tell at once when the data changed under the same names; a single image that
    changed elsewhere is told by its own mark when it is read.
    """
    spec = experiment.spec
    override = spec.testTimeAugmentation
    settings: Mapping[str, Any] = spec.dump()
    facts = {
        "members": [[key.fold, key.stage] for key in keys],
        "views": repr(views_of(ttflips if override is None else override)),
        "scale": scale(experiment),
        "settings": {name: settings[name] for name in _DECISIVE if name in settings},
        "samples": fingerprint(source.ids),
        "images": source.looks,
        **({"options": repr(sorted(spec.architecture_options.items()))} if spec.architecture_options else {}),
        **({} if spec.gives_maps else {"files": source.files}),
    }
    return artifacts.digest(facts, [experiment.layout.weights(key.fold, key.stage) for key in keys])


def source_of(experiment: Experiment, what: Any, fold: Choice = None) -> Source:
    """The data that a name means, see :func:`predictions`; or a dataset as it is.

    Args:
        fold: of a part that is named without it; 0 by default.

    Raises:
        ArtifactError: there is no such fold, or no holdout.
        ConfigError: there is no such entry of ``datasets``.
        MusketError: a part of several folds.
    """
    if what is None:
        data = experiment._prepare()
        return part_of(data, range(len(data.ids) - data.extra), _name_of(data.source))
    if not isinstance(what, str):
        return Source(_name_of(what), what, sample_ids(what), named=False)
    part = _PART.fullmatch(what)
    if what in experiment.spec.datasets or (part is None and what != "holdout"):
        dataset = experiment.get_dataset(what)
        return Source(what, dataset, sample_ids(dataset))
    data = experiment._prepare()
    if part is None:
        experiment.holdout(data.source)  # says so when there is none
        return part_of(data, data.holdout, "holdout")
    if not part[2] and fold is not None and inference.whole(fold) is None:
        raise MusketError(f"{what} of several folds: name the part, as {what}0, or ask for oof")
    number = fold_of(data, int(part[2]) if part[2] else 0 if fold is None else fold)
    return part_of(data, getattr(data.folds[number], part[1]), f"{part[1]}{number}", number)


def fold_of(data: PreparedData, fold: Any) -> int:
    """The number of a fold there is.

    Raises:
        ArtifactError: it is none; says which there are.
    """
    count = len(data.folds)
    number = inference.whole(fold)
    if number is None:
        raise ArtifactError(f"one fold is needed here, a number from 0 to {count - 1}; found {fold!r}")
    if not 0 <= number < count:
        raise ArtifactError(f"there is no fold {number}; this experiment has folds 0 to {count - 1}")
    return number


def part_of(data: PreparedData, positions: Sequence[int], name: str, fold: int | None = None) -> Source:
    """Some samples of the data."""
    return Source(name, data.subset(positions, name), [data.ids[position] for position in positions], fold)


def _name_of(dataset: Any) -> str:
    own = dataset.get_name() if hasattr(dataset, "get_name") else getattr(dataset, "name", "")
    return own if isinstance(own, str) and own else type(dataset).__name__


def _neighbour(experiment: Experiment, path: str | Path) -> Experiment:
    """Another experiment, by file, folder or name in the project, on the same data."""
    from musket.experiment.facade import parse

    if experiment.project is not None and not Path(path).exists():
        path = experiment.project.config(str(path))
    other = parse(path)
    if other.spec.dataset is None:
        other._prepare(experiment._prepare().source)
    return other
