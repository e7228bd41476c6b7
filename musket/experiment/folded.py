"""Folded data in the hands of users: which samples are in which part, and batches of them as training sees them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musket.artifacts import records
from musket.artifacts.layout import Layout
from musket.core.errors import DataError
from musket.core.types import Batch
from musket.data.dataset import SubDataSet
from musket.data.identity import sample_ids
from musket.data.loader import BatchLoader
from musket.data.sampling import Negatives, PartSampler, Positivity
from musket.data.split import splits_of
from musket.experiment import reading
from musket.experiment.assemble import DatasetSources
from musket.experiment.prepare_data import PreparedData, classes_by_targets, samples_of, split_settings, with_extra
from musket.experiment.sampling_shares import sampling_shares
from musket.predict.heads import Vectors, split_heads

if TYPE_CHECKING:
    from torch import Tensor

    from musket.config.schema import NetworkSpec
    from musket.experiment.projects.project import Project


class FoldedDataSet:
    """A dataset parted into folds: whole images, or cells of them where the config asks for ``crops``.

    Attributes:
        data: dataset, ids and splits. Positions count in :attr:`ds`.
        batchSize: samples of a batch.
    """

    def __init__(self, spec: NetworkSpec, images: PreparedData, batchSize: int, folders: Sequence[Path]):
        """``folders``: where relative paths of the config may begin."""
        self.spec, self.batchSize = spec, batchSize
        self._images, self._folders = images, folders
        self.data = samples_of(spec, images)

    def __len__(self) -> int:
        return len(self.data.folds)

    @property
    def ds(self) -> Any:
        """The dataset; items for training are those of ``item(i, True)``."""
        return self.data.dataset

    @property
    def folds(self) -> list[tuple[list[int], list[int]]]:
        """Training and validation positions of each fold."""
        return [(list(fold.train), list(fold.validation)) for fold in self.data.folds]

    def indexes(self, foldNum: int, isTrain: bool) -> list[int]:
        """Positions of a part, as they were split."""
        return self.folds[foldNum][0 if isTrain else 1]

    def sampledIndexes(self, foldNum: int, isTrain: bool, negatives: Negatives = "real") -> list[int]:
        """Positions of a part after balancing, in the order of the first epoch (stage key ``negatives``)."""
        return list(self._sampler(foldNum, isTrain, negatives).part)

    def generator(
        self, foldNum: int, isTrain: bool = True, negatives: Negatives = "real", returnBatch: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Batches without end, epoch after epoch: ``(x, y)``, and with returnBatch ``(x, y, batch)``.

        x is N x H x W x C in the depth of the images, augmented (training only) and resized as in training; y are masks
        N x H x W x classes of 0/1 that went the same way, or vectors N x classes, of several heads a list with one
        array per head. Training draws samples as the root's ``sampler`` says, and leaves out a last batch that is not
        full. One epoch of it has :meth:`foldIterations` batches.

        Raises:
            DataError: there is no sample; training, and there are fewer samples than a batch.
        """
        if isTrain:
            self._check_batch(foldNum, negatives)
        elif not self.foldIterations(foldNum, False, negatives):
            raise DataError(f"fold {foldNum}: there is no sample to validate on")
        for epoch in itertools.count():
            for batch in self._epoch(foldNum, isTrain, negatives, epoch):
                assert batch.targets is not None, "samples without a truth are refused when they are read"
                arrays = batch.images.permute(0, 2, 3, 1).numpy(), self._truth(batch.targets)
                yield (*arrays, batch) if returnBatch else arrays

    def _truth(self, targets: Tensor) -> Vectors:
        if self.spec.gives_maps:
            return targets.permute(0, 2, 3, 1).numpy()
        return split_heads(targets.numpy(), self.spec.head_sizes)

    def load(self, foldNum: int, isTrain: bool = True, negatives: Negatives = "real", ln: int = 16) -> Batch:
        """The first ``ln`` samples of a part (all, where there are fewer), as one batch of tensors.

        Images N x C x H x W, masks N x classes x H x W, vectors N x (classes of all heads).
        """
        positions = self.sampledIndexes(foldNum, isTrain, negatives)[:ln]
        if not positions:
            raise DataError(f"fold {foldNum}: there is no sample to {'train' if isTrain else 'validate'} on")
        loader = BatchLoader(self._maker(isTrain), lambda _: positions, len(positions), augmented=True, workers=0)
        return next(loader.epoch(0))

    def addToTrain(self, ds: Any) -> None:
        """More samples for every training part.

        Raises:
            DataError: some have ids of samples that are there already.
        """
        self._images = with_extra(self._images, ds)
        self.data = samples_of(self.spec, self._images)

    def numBatches(self, foldNum: int, negatives: Negatives = "real", subsample: float = 1.0) -> int:
        """Training batches of an epoch that sees a share of the samples."""
        return round(len(self._sampler(foldNum, True, negatives)) * subsample) // self.batchSize

    def foldIterations(self, foldNum: int, isTrain: bool = True, negatives: Negatives = "real") -> int:
        """Batches of an epoch. The last one of validation may not be full."""
        count = len(self._sampler(foldNum, isTrain, negatives))
        return count // self.batchSize if isTrain else -(-count // self.batchSize)

    def save(self, path: str | Path) -> None:
        """Write the folds as YAML: a list of ``[train, validation]``, each a list of positions."""
        records.write_yaml(Path(path), [[train, validation] for train, validation in self.folds])

    def _sampler(self, fold: int, is_train: bool, negatives: Negatives) -> PartSampler:
        shares = sampling_shares(self.spec, self.data, self.spec.sampler if is_train else None)
        part, positive = self.indexes(fold, is_train), self.data.is_positive
        return PartSampler(part, negatives, positive, shares=shares, count=len(self.data.ids))

    def _check_batch(self, fold: int, negatives: Negatives) -> None:
        if not self.foldIterations(fold, True, negatives):
            count = len(self._sampler(fold, True, negatives))
            raise DataError(f"fold {fold} has {count} training samples, fewer than one batch of {self.batchSize}")

    def _epoch(self, fold: int, is_train: bool, negatives: Negatives, epoch: int) -> Iterable[Batch]:
        sampler = self._sampler(fold, is_train, negatives)
        seed = self.spec.random_state
        order: Sequence[int] = sampler.order(epoch, seed) if is_train else sampler.part
        loader = BatchLoader(
            self._maker(is_train), lambda _: order, self.batchSize, drop_last=is_train, augmented=True, workers=0
        )
        return loader.epoch(epoch)

    def _maker(self, is_train: bool) -> reading.SampleMaker:
        if not is_train:
            return reading.evaluation_maker(self.spec, self.ds, self.data.ids)
        return reading.training_maker(self.spec, self.ds, self.data.ids, self.spec.random_state, self._folders)


def folds_among(
    spec: NetworkSpec, layout: Layout, dataset: Any, project: Project | None, positions: Sequence[int]
) -> PreparedData:
    """Some samples of a dataset parted into folds by the rules of a config, without holdout; nothing is stored.

    Raises:
        DataError: too few samples to split; a position is outside the dataset.
    """
    part: Any = SubDataSet(dataset, positions)
    vars(part).pop("holdoutArr", None)
    settings = replace(split_settings(spec), testSplit=0.0)
    sources = DatasetSources(spec, layout, project)
    found = splits_of(part, settings, group_function=sources.group_function(), of_targets=classes_by_targets(spec))
    return PreparedData(part, sample_ids(part), found.folds, (), Positivity(part), dataset)
