"""The data of an experiment: dataset, sample ids, and the splits that are made once and read ever after."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from musket.artifacts import splits
from musket.artifacts.layout import Layout
from musket.core.errors import DataError
from musket.core.identity import examples, fingerprint
from musket.core.types import Split
from musket.data.cache import DecodeCache, attach_cache, default_cache_folder
from musket.data.crops import CropAndSplit
from musket.data.dataset import CompositeDataSet, SubDataSet
from musket.data.identity import sample_ids
from musket.data.item_caches import store_items
from musket.data.sampling import Positivity
from musket.data.split import SplitSettings, holdout_of, split_record, splits_of, with_extra_train
from musket.data.strata import Strata, target_strata
from musket.experiment.assemble import DatasetSources
from musket.experiment.class_names import class_names
from musket.experiment.sampling_shares import KnownTargets, known_targets

if TYPE_CHECKING:
    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project


@dataclass(frozen=True)
class PreparedData:
    """A dataset with its ids and splits. Positions count in the dataset itself.

    Attributes:
        ids: sample id of every position.
        folds: training and validation positions of each fold.
        holdout: positions kept out of every fold; empty without a holdout.
        is_positive: whether a sample shows an object, asked once per sample and only when needed.
        source: the dataset all this was made of, before ``extra_train_data`` and the like.
        extra: how many of the samples, the last ones, are only trained on.
        targets: what samples are trained towards, as far as somebody asked.
    """

    dataset: Any
    ids: Sequence[str]
    folds: Sequence[Split]
    holdout: Sequence[int]
    is_positive: Callable[[int], bool]
    source: Any = None
    extra: int = 0
    targets: KnownTargets = field(default_factory=KnownTargets, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.ids)

    def describe(self) -> str:
        """One line for people: how many samples, and how they are parted."""
        held = f", {len(self.holdout)} of them held out" if self.holdout else ""
        fold = self.folds[0]
        parts = f"{len(fold.train)} to train on and {len(fold.validation)} to validate on"
        each = f"{len(self.folds)} folds of about" if len(self.folds) > 1 else "one fold of"
        extra = f" and {self.extra} extra ones to train on" if self.extra else ""
        return f"{len(self.ids) - self.extra} samples{extra}{held}; {each} {parts}"

    def subset(self, positions: Sequence[int], name: str) -> SubDataSet:
        """A view of some samples."""
        view = SubDataSet(self.dataset, positions)
        view.name = name
        return view


def in_cells(data: PreparedData, cells: int, overlap: float = 0.0, labels: bool = False) -> PreparedData:
    """The same data with every image cut into cells; the cells of an image stay on its side of every split.

    Args:
        labels: targets are vectors, no masks.
    """
    split = CropAndSplit(data.dataset, cells, overlap, labels)
    folds = tuple(Split(split.cells_of(fold.train), split.cells_of(fold.validation)) for fold in data.folds)
    return PreparedData(split, sample_ids(split), folds, split.cells_of(data.holdout), Positivity(split))


def samples_of(spec: NetworkSpec, data: PreparedData) -> PreparedData:
    """What is trained on: whole images, or their cells where the config asks for ``crops``."""
    return data if spec.crops is None else in_cells(data, spec.crops.cells, spec.crops.overlap, not spec.gives_maps)


def prepare(
    spec: NetworkSpec,
    layout: Layout,
    dataset: Any,
    project: Project | None,
    *,
    store: bool = True,
    keep: bool | None = None,
    holdout: Sequence[int] | None = None,
) -> PreparedData:
    """Ids and splits of a dataset under a config; the splits are stored beside it the first time.

    What the config does to the data comes in this order: the holdout is cut off, ``pretrain_transform`` changes the
    rest, folds are drawn, ``extra_train_data`` joins every training part, ``dataset_augmenter`` changes what is read
    in training. Stored are the splits of the main data, so that extra data may come and go.

    Args:
        store: False leaves the experiment's folder as it is.
        keep: whether what is read is kept in the caches on disk; default: as ``store`` says.
        holdout: positions of the holdout, in place of ``testSplit``.

    Raises:
        DataError: the dataset is empty or cannot be read, or cannot be split that way.
        ArtifactError: stored splits belong to other data or other settings.
    """
    keep = store if keep is None else keep
    _keep(keep, spec, layout, dataset, project)
    if not len(dataset):
        raise DataError(f"{type(dataset).__name__} is empty; there is nothing to train on")
    sources = DatasetSources(spec, layout, project)
    known = KnownTargets()
    groups = sources.group_function()
    settings = split_settings(spec)
    main, record = dataset, {}
    if spec.pretrain_transform is not None:
        of_targets = classes_by_targets(spec)
        cut = holdout_of(dataset, settings, group_function=groups, of_targets=of_targets, holdout=holdout)
        main, record = transformed(dataset, cut, sources), {"pretrain_transform": spec.pretrain_transform}
        holdout = None
    ids = sample_ids(main)
    of_targets = classes_by_targets(spec, known)
    found = splits.load_or_create(
        layout,
        ids,
        split_record(main, settings, holdout=holdout) | record,
        lambda: splits_of(main, settings, group_function=groups, of_targets=of_targets, holdout=holdout),
        store=store,
    )
    held = [] if found.holdout is None else found.holdout.validation
    data = PreparedData(main, ids, found.folds, held, Positivity(main), dataset, targets=known)
    extra = sources.extra_train()
    if extra is not None:
        _keep(keep, spec, layout, extra, project)
        data = with_extra(data, extra)
    augmented = sources.augmented(data.dataset, data.ids)
    return data if augmented is data.dataset else replace(data, dataset=augmented, targets=KnownTargets())


def split_settings(spec: NetworkSpec) -> SplitSettings:
    """What a config says about splits."""
    return SplitSettings(
        folds_count=spec.folds_count,
        random_state=spec.random_state,
        stratified=spec.stratified,
        validationSplit=spec.validationSplit,
        testSplit=spec.testSplit,
        testSplitSeed=spec.testSplitSeed,
    )


def classes_by_targets(spec: NetworkSpec, known: KnownTargets | None = None) -> Callable[[Any], Strata] | None:
    """What ``stratified`` goes by in a classification: dataset -> classes of its samples, by their targets.

    None for masks. The function raises DataError for a target that cannot be read or used.

    Args:
        known: where the targets of that dataset are kept for those who ask later.
    """
    if spec.gives_maps:
        return None

    def classes(dataset: Any) -> Strata:
        targets = KnownTargets() if known is None else known
        whole = PreparedData(dataset, sample_ids(dataset), (), (), Positivity(dataset), targets=targets)
        found = known_targets(spec, whole, range(len(dataset)))
        return target_strata(found, least, class_names(dataset, spec))

    cuts = (spec.testSplit, spec.validationSplit if spec.folds_count == 1 else 0)
    least = max(2, spec.folds_count, *(math.ceil(1 / min(share, 1 - share)) for share in cuts if 0 < share < 1))
    return classes


def transformed(dataset: Any, cut: Split | None, sources: DatasetSources) -> Any:
    """A dataset whose items outside of the holdout went through ``pretrain_transform``, the holdout behind them.

    Folds the transformed part brings along count.

    Raises:
        DataError: nothing is left of the training data.
    """
    rest = sources.transformed(dataset if cut is None else SubDataSet(dataset, cut.train))
    if not len(rest):
        raise DataError(f"pretrain_transform {sources.spec.pretrain_transform} left no training data")
    if cut is None:
        return rest
    both: Any = CompositeDataSet([rest, SubDataSet(dataset, cut.validation)])
    both.holdoutArr = list(range(len(rest), len(both)))
    if hasattr(rest, "folds"):
        both.folds = rest.folds
    else:
        vars(both).pop("folds", None)
    return both


def with_extra(data: PreparedData, extra: Any) -> PreparedData:
    """The data with more samples in every training part, and in no other.

    Raises:
        DataError: samples of the main data are among them: they would be trained on and validated on.
    """
    ids = sample_ids(extra)
    both = sorted(set(ids) & set(data.ids))
    if both:
        raise DataError(
            f"extra_train_data: {len(both)} of its {len(ids)} samples have ids of the main data ({examples(both)}). "
            "If they are the same, scores on validation data they leak into would look better than they are: leave "
            "them out. If not, rename the files"
        )
    joined = CompositeDataSet([data.dataset, extra])
    folds = with_extra_train(data.folds, len(data.ids), len(ids))
    return replace(
        data,
        dataset=joined,
        ids=[*data.ids, *ids],
        folds=folds,
        is_positive=Positivity(joined),
        targets=data.targets.copy(),
        extra=data.extra + len(ids),
    )


def _keep(keep: bool, spec: NetworkSpec, layout: Layout, dataset: Any, project: Project | None) -> None:
    store_items(dataset, keep)
    if keep:
        keep_decoded(spec, layout, dataset, project)


def keep_decoded(spec: NetworkSpec, layout: Layout, dataset: Any, project: Project | None) -> None:
    """Let the built-in datasets among what a dataset reads from keep what they decode, as the key ``cache`` says."""
    if spec.cache is False:
        attach_cache(dataset, None)
        return
    folder = default_cache_folder(None if project is None else project.root)
    attach_cache(dataset, DecodeCache(folder if spec.cache is True else layout.base / spec.cache))
