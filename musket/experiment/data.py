"""The data of an experiment: dataset, sample ids, and the splits that are made once and read ever after."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from musket.artifacts import splits
from musket.artifacts.layout import Layout
from musket.core.errors import ConfigError, DataError, Problem
from musket.core.identity import fingerprint
from musket.core.registry import RegistryError
from musket.core.types import Split
from musket.data.catalogue import DATASETS
from musket.data.identity import sample_ids
from musket.data.sampling import Positivity
from musket.data.split import SplitSettings, split_record, splits_of
from musket.data.views import SubDataSet

if TYPE_CHECKING:
    from musket.config.schema import SegmentationSpec
    from musket.experiment.project import Project


@dataclass(frozen=True)
class PreparedData:
    """A dataset with its ids and splits. Positions count in the dataset itself.

    Attributes:
        ids: sample id of every position.
        folds: training and validation positions of each fold.
        holdout: positions kept out of every fold; empty without a holdout.
        is_positive: whether a sample shows an object, asked once per sample and only when needed.
    """

    dataset: Any
    ids: Sequence[str]
    folds: Sequence[Split]
    holdout: Sequence[int]
    is_positive: Callable[[int], bool]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.ids)

    def describe(self) -> str:
        """One line for people: how many samples, and how they are parted."""
        held = f", {len(self.holdout)} of them held out" if self.holdout else ""
        fold = self.folds[0]
        parts = f"{len(fold.train)} to train on and {len(fold.validation)} to validate on"
        each = f"{len(self.folds)} folds of about" if len(self.folds) > 1 else "one fold of"
        return f"{len(self.ids)} samples{held}; {each} {parts}"

    def subset(self, positions: Sequence[int], name: str) -> SubDataSet:
        """A view of some samples."""
        view = SubDataSet(self.dataset, positions)
        view.name = name
        return view


def prepare(
    spec: SegmentationSpec, layout: Layout, dataset: Any, project: Project | None, *, store: bool = True
) -> PreparedData:
    """Ids and splits of a dataset under a config; the splits are stored beside it the first time.

    Args:
        store: False leaves the disk as it is.

    Raises:
        DataError: the dataset is empty or cannot be read, or cannot be split that way.
        ArtifactError: stored splits belong to other data or other settings.
    """
    ids = sample_ids(dataset)
    if not ids:
        raise DataError(f"{type(dataset).__name__} is empty; there is nothing to train on")
    settings = SplitSettings(
        folds_count=spec.folds_count,
        random_state=spec.random_state,
        stratified=spec.stratified,
        validationSplit=spec.validationSplit,
        testSplit=spec.testSplit,
        testSplitSeed=spec.testSplitSeed,
    )
    group_function = None if spec.groupFunc is None else dataset_factory(spec, project)(spec.groupFunc)
    found = splits.load_or_create(
        layout,
        ids,
        split_record(dataset, settings),
        lambda: splits_of(dataset, settings, group_function=group_function),
        store=store,
    )
    holdout = [] if found.holdout is None else found.holdout.validation
    return PreparedData(dataset, ids, found.folds, holdout, Positivity(dataset))


def dataset_factory(spec: SegmentationSpec, project: Project | None) -> Callable[[str], Any]:
    """Looks up functions and classes a config names: the project's modules, ``imports``, then the built-in datasets."""

    def find(name: str) -> Any:
        if project is not None and (found := project.find(name)) is not None:
            return found
        for module in spec.imports:
            found = getattr(importlib.import_module(module), name, None)
            if found is not None:
                return found
        try:
            return DATASETS.load(name)
        except RegistryError as error:
            where = f"modules of {project.root}" if project is not None else "no project modules here"
            place = spec.place("dataset")
            raise ConfigError(
                spec.source, [Problem(place.line, place.column, "dataset", f"{error}; searched {where}")]
            ) from None

    return find
