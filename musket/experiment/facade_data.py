"""The part of an experiment that gives data: datasets by name, folds, and their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.core.errors import ArtifactError

if TYPE_CHECKING:
    from musket.artifacts.layout import Layout
    from musket.config.schema import NetworkSpec
    from musket.experiment.folded import FoldedDataSet
    from musket.experiment.prepare_data import PreparedData
    from musket.experiment.projects.project import Project


class Supplying:
    """Methods of :class:`musket.experiment.facade.Experiment`.

    Args:
        ds: the dataset, or the name of one; None for the config's, or the one last handed to ``fit``.
    """

    if TYPE_CHECKING:
        layout: Layout
        project: Project | None
        spec: NetworkSpec
        _dataset: Any
        _holdout: list[int] | None
        _prepared: PreparedData | None

        def _folders(self) -> list[Path]: ...

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
        from musket.experiment.assemble import DatasetSources

        sources = DatasetSources(self.spec, self.layout, self.project)
        return sources.main() if name is None else sources.entry(name)

    def _prepare(self, dataset: Any = None) -> PreparedData:
        from musket.experiment.prepare_data import prepare

        dataset = self._source(dataset)
        # Ids of a dataset that cannot tell them are read item by item, so they are asked for once.
        if self._prepared is None or self._prepared.source is not dataset:
            self._prepared = prepare(self.spec, self.layout, dataset, self.project, holdout=self._holdout)
        return self._prepared

    def _source(self, dataset: Any) -> Any:
        """The dataset that is meant: by name, the config's own, or that of fit, where the config names none."""
        if dataset is None and self.spec.dataset is None and self._prepared is not None:
            return self._prepared.source
        return self.get_dataset(dataset) if dataset is None or isinstance(dataset, str) else dataset

    def setHoldout(self, indices: Iterable[int] | None) -> None:
        """Hold out these positions of the dataset, in place of ``testSplit``; None takes that back.

        Raises:
            ArtifactError: (when the data is used) the splits were drawn already with another holdout.
        """
        self._holdout = None if indices is None else [int(index) for index in indices]
        self._prepared = None

    def kfold(self, ds: Any = None, indeces: Sequence[int] | None = None, batch: int | None = None) -> FoldedDataSet:
        """The data parted into folds, as training sees it.

        Args:
            ds: dataset; default the config's own.
            indeces: only these samples: folds are drawn among them, without holdout, and not stored.
            batch: samples of a batch; default the config's.
        """
        from musket.experiment.folded import FoldedDataSet, folds_among

        if indeces is None:
            data = self._prepare(ds)
        else:
            dataset = self.get_dataset(ds) if ds is None or isinstance(ds, str) else ds
            data = folds_among(self.spec, self.layout, dataset, self.project, indeces)
        return FoldedDataSet(self.spec, data, batch or self.spec.batch, self._folders())

    def holdout(self, ds: Any = None) -> Any:
        """The samples kept out of every fold. Raises ArtifactError when the config cuts none off."""
        data = self._prepare(ds)
        if not data.holdout:
            raise ArtifactError("this experiment has no holdout; set testSplit", self.layout.config)
        return data.subset(data.holdout, "holdout")

    def train_without_holdout(self, ds: Any = None) -> Any:
        """All samples but the holdout (and ``extra_train_data``)."""
        data = self._prepare(ds)
        kept, count = set(data.holdout), len(data.ids) - data.extra
        return data.subset([position for position in range(count) if position not in kept], "train")

    def validation(self, ds: Any = None, foldNum: int = 0) -> Any:
        """The validation part of a fold. Raises ArtifactError when there is no such fold."""
        return self._part(ds, foldNum, "validation")

    def train(self, ds: Any = None, foldNum: int = 0) -> Any:
        """The training part of a fold. Raises ArtifactError when there is no such fold."""
        return self._part(ds, foldNum, "train")

    def _part(self, ds: Any, fold: int, part: str) -> Any:
        from musket.experiment.predictions import fold_of

        data = self._prepare(ds)
        number = fold_of(data, fold)
        return data.subset(getattr(data.folds[number], part), f"{part}{number}")
